import type { HttpProblem } from "../http/problem.js";
import {
  type AuthError,
  type AuthRequest,
  type CredentialSource,
  credentialSource,
  extractCredential,
} from "../kit.js";
import { type OAuthForm, oauthProblem } from "./endpoint.js";
import type { AuthenticatedKey, Exchange } from "./exchange.js";
import type { PreparedTokenService } from "./options.js";

/** How the key was sent: as in requests to the service, by HTTP Basic, in the form, or as the subject token. */
type AuthMethod = "direct" | "basic" | "form" | "subject";

interface ClientCredential {
  readonly method: AuthMethod;
  readonly secret: string;
  /** The request for the verifier of API keys. */
  readonly request: AuthRequest;
  /** Every client id that was sent. */
  readonly clientIds: readonly string[];
}

/** Authenticates the client of a request. A client is an API key. A token is issued for the subject token if there is one. */
export type ClientAuth<S extends string> = (
  original: AuthRequest,
  form: OAuthForm,
  options?: { readonly allowSubjectToken?: boolean },
) => Promise<Client<S>>;

/** An authenticated client. */
export interface Client<S extends string> extends AuthenticatedKey<S> {
  /** Converts an error of its key to the problem that fits how the key was sent. */
  readonly toProblem: (error: AuthError) => HttpProblem;
}

const BASIC = credentialSource({ scheme: "Basic" });
const B64TOKEN = /^[A-Za-z0-9._~+/-]+=*$/; // RFC 6750, section 2.1

/**
 * Creates the client authentication of the endpoints. A key is sent as in requests to the service, by HTTP Basic or in the
 * form (RFC 6749, section 2.3.1); exactly one of them. Where a `subject_token` (RFC 8693) is allowed, client authentication is optional,
 * and both keys must be valid. The verifier of API keys decides.
 */
export function createClientAuth<S extends string>(
  exchange: Exchange<S>,
  { realm, options }: Pick<PreparedTokenService<S>, "realm" | "options">,
): ClientAuth<S> {
  const { credentials = [] } = options.verifier;
  const {
    type: _,
    challenge: __,
    ...place
  } = credentials.find(({ type }) => type === "api_key") ?? { type: "api_key" };
  const source = credentialSource(place); // where the verifier of API keys reads them
  const verify = async (request: AuthRequest, method: AuthMethod): Promise<Client<S>> => {
    const toClientProblem = (error: AuthError) => toProblem(error, method, realm);
    const result = await exchange.authenticate(request);
    if (!("principal" in result)) throw toClientProblem(result);
    return { ...result, toProblem: toClientProblem };
  };

  return async (original, form, { allowSubjectToken = false } = {}) => {
    const subject = allowSubjectToken ? form.get("subject_token") : undefined;
    const { method, secret, request, clientIds } = readCredential(original, form, subject, source);
    const client = await verify(request, method);
    const { id } = client.principal;
    if (clientIds.some((clientId) => clientId !== id)) {
      throw oauthProblem("invalid_client", "The client_id does not match the API key.", {
        status: 401,
        headers: challenge(method, realm),
      });
    }
    if (subject === undefined || subject === secret) return client;
    return { ...(await verify(withKey(original, subject, source), "subject")), clientId: id };
  };
}

/** @throws HttpProblem if the client sent more than one credential of its own. */
function readCredential(
  original: AuthRequest,
  form: OAuthForm,
  subject: string | undefined,
  source: CredentialSource,
): ClientCredential {
  const headers = new Set(["authorization", source.header]);
  const headerCount = [...headers].reduce((sum, name) => sum + countHeaders(original, name), 0);
  const clientId = form.get("client_id");
  const clientIds = clientId === undefined ? [] : [clientId];
  const secret = form.get("client_secret");
  const sent = [headerCount > 0, secret !== undefined, form.has("client_assertion")].filter(Boolean).length;
  // RFC 6749, section 2.3: one method per request. A truncated header section may have contained another credential.
  const mayHaveHeader = original.headersTruncated === true && headerCount === 0;
  if (headerCount > 1 || mayHaveHeader || sent > 1) {
    throw oauthProblem("invalid_request", "Send one credential only.");
  }
  if (secret !== undefined) {
    if (clientId === undefined) throw oauthProblem("invalid_request", "client_id is missing.");
    return { method: "form", secret, request: withKey(original, secret, source), clientIds };
  }
  if (subject !== undefined && sent === 0) {
    return { method: "subject", secret: subject, request: withKey(original, subject, source), clientIds };
  }
  if (/^[ \t]*basic(?: |$)/i.test((original.headers as Headers).get("authorization") ?? "")) {
    const encoded = extractCredential(original, BASIC);
    const [id, password = ""] = (typeof encoded === "string" ? decodeBasic(encoded) : undefined) ?? [];
    return {
      method: "basic",
      secret: password,
      request: withKey(original, password, source),
      clientIds: id === undefined ? clientIds : [...clientIds, id],
    };
  }
  const direct = extractCredential(original, source);
  return { method: "direct", secret: typeof direct === "string" ? direct : "", request: original, clientIds };
}

function countHeaders({ headers, rawHeaders }: AuthRequest, header: string): number {
  if (rawHeaders === undefined) return (headers as Headers).has(header) ? 1 : 0;
  return rawHeaders.filter((name, index) => index % 2 === 0 && name.toLowerCase() === header).length;
}

/**
 * Returns the same request with the key where the verifier of API keys reads it, which checks and counts it like any other.
 * A key that cannot be sent in a header becomes an empty one, which the verifier denies.
 */
function withKey(
  original: AuthRequest,
  secret: string,
  { header, usualLead }: CredentialSource,
): AuthRequest {
  const { headers, remoteAddress, method, path, requestId } = original;
  const value = B64TOKEN.test(secret) ? usualLead + secret : usualLead.trimEnd();
  const lookup = headers as Headers;
  return {
    headers: { get: (name) => (name.toLowerCase() === header ? value : lookup.get(name)) },
    remoteAddress,
    method,
    path,
    requestId,
  };
}

/**
 * Decodes the credentials of HTTP Basic (RFC 7617), both form-encoded (RFC 6749, section 2.3.1). Returns `undefined` if
 * the value is malformed or not the canonical encoding.
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

/** RFC 6749, section 5.2: a challenge for the scheme that the client used; Basic if it used none. */
function challenge(method: AuthMethod, realm: string): Readonly<Record<string, string>> {
  return {
    "WWW-Authenticate":
      method === "direct" ? `Bearer realm="${realm}"` : `Basic realm="${realm}", charset="UTF-8"`,
  };
}

function toProblem(error: AuthError, method: AuthMethod, realm: string): HttpProblem {
  const { status, code, headers } = error;
  const isMalformed = code === "malformed_credential" && method !== "direct";
  const message = isMalformed ? "The credential cannot be read." : error.message;
  // RFC 6749 has no error code of the token endpoint for these; RFC 9110 has the status.
  if (status === 429 || status === 503) {
    return oauthProblem("temporarily_unavailable", message, { status, code, headers });
  }
  // RFC 8693, section 2.2.2: an invalid or unacceptable subject token is an invalid request.
  if (method === "subject") return oauthProblem("invalid_request", message, { code });
  if (status === 401) {
    const challenged = method === "direct" ? headers : challenge(method, realm);
    return oauthProblem("invalid_client", message, { status, code, headers: challenged });
  }
  // RFC 6749, section 5.2: 400 for everything else, such as a network that is not allowed.
  return oauthProblem("unauthorized_client", message, { code });
}
