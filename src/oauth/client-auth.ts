import type { HttpProblem } from "../http/problem.js";
import { type AuthError, type AuthRequest, credentialSource, extractCredential } from "../kit.js";
import type { Authenticated, Exchange } from "./exchange.js";
import type { OAuthForm } from "./form.js";
import { oauthProblem } from "./responses.js";

/** How a key came: as the service's own requests bring it, by HTTP Basic, in the form, or to be exchanged. */
type Way = "direct" | "basic" | "form" | "subject";

interface Presented {
  readonly way: Way;
  /** The request as the verifier of keys is to see it. */
  readonly request: AuthRequest;
  /** Every id that the client says it has. */
  readonly clientIds: readonly string[];
}

/** Authenticates the client of a request; the client of a key is the key. */
export type ClientAuth<S extends string> = (
  arrived: AuthRequest,
  form: OAuthForm,
  options?: { readonly takesSubject?: boolean },
) => Promise<Client<S>>;

/** A client that is who it says. */
export interface Client<S extends string> extends Authenticated<S> {
  /** The problem that a later refusal of its key is answered with. */
  readonly refusal: (error: AuthError) => HttpProblem;
}

const BASIC = credentialSource({ scheme: "Basic" });
const B64TOKEN = /^[A-Za-z0-9._~+/-]+=*$/; // RFC 6750, 2.1

/**
 * Makes the authentication that the endpoints share: a key as Bearer, by HTTP Basic or in the form (RFC 6749,
 * 2.3.1), or, where one is taken, as `subject_token` (RFC 8693). Exactly one of them; the verifier of keys decides
 * over each.
 */
export function createClientAuth<S extends string>(exchange: Exchange<S>, realm: string): ClientAuth<S> {
  return async (arrived, form, { takesSubject = false } = {}) => {
    const { way, request, clientIds } = readCredential(arrived, form, takesSubject);
    const refusal = (error: AuthError) => toProblem(error, way, realm);
    const result = await exchange.authenticate(request);
    if (!("principal" in result)) throw refusal(result);
    const { id } = result.principal;
    if (clientIds.some((clientId) => clientId !== id)) {
      throw oauthProblem("invalid_client", "The client_id is not that of the API key.", {
        status: 401,
        headers: challenge(way, realm),
      });
    }
    return { ...result, refusal };
  };
}

/** @throws HttpProblem for more than one credential. */
function readCredential(arrived: AuthRequest, form: OAuthForm, takesSubject: boolean): Presented {
  const lines = authorizationLines(arrived);
  const subject = takesSubject ? form.get("subject_token") : undefined;
  const ways = [lines > 0, form.has("client_secret"), subject !== undefined, form.has("client_assertion")];
  // RFC 6749, 2.3: one method in a request. A header section that was cut may have held another.
  const isSecond = arrived.headersTruncated === true && lines === 0;
  if (lines > 1 || isSecond || ways.filter(Boolean).length > 1) {
    throw oauthProblem("invalid_request", "Send one credential only.");
  }
  const clientId = form.get("client_id");
  const named = clientId === undefined ? [] : [clientId];
  const secret = form.get("client_secret");
  if (secret !== undefined) {
    if (clientId === undefined) throw oauthProblem("invalid_request", "client_id is missing.");
    return { way: "form", request: withSecret(arrived, secret), clientIds: named };
  }
  if (subject !== undefined) {
    return { way: "subject", request: withSecret(arrived, subject), clientIds: named };
  }
  if (/^[ \t]*basic(?: |$)/i.test(headerOf(arrived) ?? "")) {
    const encoded = extractCredential(arrived, BASIC);
    const [id, password = ""] = (typeof encoded === "string" ? decodeBasic(encoded) : undefined) ?? [];
    const clientIds = id === undefined ? named : [...named, id];
    return { way: "basic", request: withSecret(arrived, password), clientIds };
  }
  return { way: "direct", request: arrived, clientIds: named };
}

function headerOf({ headers }: AuthRequest): string | undefined {
  return (headers as Headers).get("authorization") ?? undefined;
}

function authorizationLines(request: AuthRequest): number {
  const { rawHeaders } = request;
  if (rawHeaders === undefined) return headerOf(request) === undefined ? 0 : 1;
  return rawHeaders.filter((name, index) => index % 2 === 0 && name.toLowerCase() === "authorization").length;
}

/**
 * The same request with a key as Bearer, for the verifier of keys: it counts and judges one that came otherwise
 * like any other. What no Bearer can be reaches it as none, and is refused there.
 */
function withSecret(arrived: AuthRequest, secret: string): AuthRequest {
  const { headers, remoteAddress, method, path, requestId } = arrived;
  const authorization = B64TOKEN.test(secret) ? `Bearer ${secret}` : "Bearer";
  const lookup = headers as Headers;
  return {
    headers: { get: (name) => (name.toLowerCase() === "authorization" ? authorization : lookup.get(name)) },
    remoteAddress,
    method,
    path,
    requestId,
  };
}

/**
 * RFC 7617, and RFC 6749, 2.3.1: each half is encoded like a form. `undefined` for anything that is not the one
 * way to write two texts.
 */
function decodeBasic(encoded: string): readonly [id: string, secret: string] | undefined {
  const bytes = Buffer.from(encoded, "base64");
  if (bytes.toString("base64").replace(/=+$/, "") !== encoded.replace(/=+$/, "")) return undefined;
  try {
    const text = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
    const colon = text.indexOf(":");
    if (colon < 0) return undefined;
    const [id, secret] = [text.slice(0, colon), text.slice(colon + 1)].map((half) =>
      decodeURIComponent(half.replaceAll("+", " ")),
    );
    return [id as string, secret as string];
  } catch {
    return undefined;
  }
}

/** RFC 6749, 5.2: a challenge of the scheme that the client used. Without one it is told of Basic. */
function challenge(way: Way, realm: string): Readonly<Record<string, string>> {
  return {
    "WWW-Authenticate":
      way === "direct" ? `Bearer realm="${realm}"` : `Basic realm="${realm}", charset="UTF-8"`,
  };
}

function toProblem(error: AuthError, way: Way, realm: string): HttpProblem {
  const { status, code, headers } = error;
  const isUnreadable = code === "malformed_credential" && way !== "direct";
  const message = isUnreadable ? "The credential cannot be read." : error.message;
  // RFC 6749 has no code of the token endpoint for these two; RFC 9110 has the status.
  if (status === 429 || status === 503) {
    return oauthProblem("temporarily_unavailable", message, { status, code, headers });
  }
  // RFC 8693, 2.2.2: a subject token that is invalid or unacceptable for any reason is an invalid request.
  if (way === "subject") return oauthProblem("invalid_request", message, { code });
  if (status === 401) {
    const challenged = way === "direct" ? headers : challenge(way, realm);
    return oauthProblem("invalid_client", message, { status, code, headers: challenged });
  }
  // RFC 6749, 5.2: 400 for everything else. The client is known, and may not do this from where it is.
  return oauthProblem("unauthorized_client", message, { code });
}
