import type { JSONWebKeySet } from "jose";
import { type ConnectionInfo, fetchRequestId, type RequestHandler, toAuthRequest } from "../http/handler.js";
import { warnOnce } from "../internal/warn.js";
import type { GuardErrorContext, GuardOptions, HttpDenial } from "../kit.js";
import { createAssertion, identityHeaders } from "./identity.js";
import { type ForwardAuthOptions, prepareGateway } from "./options.js";
import { normalizePath } from "./paths.js";
import { readOriginal } from "./proxies.js";

/** The handler that a proxy asks about each request. */
export interface ForwardAuth extends RequestHandler {
  /** Returns the public keys of assertions, for the JWKS that the backend reads (RFC 7517). */
  jwks(): JSONWebKeySet;
}

/**
 * Creates the fetch handler that nginx, Traefik, Caddy, HAProxy or Envoy ask whether a request may pass to the backend. An
 * allowed request is a 200 with identity headers; a denied one has the status, headers and body of every guard. Mount it
 * with `expressHandler`, `koaHandler`, `honoHandler`, `fastifyHandler` or `toNodeListener`.
 *
 * @throws TypeError if an option is unknown, missing or invalid.
 *
 * @example
 * const authz = createForwardAuth({ verifier, proxy: "nginx", peers: ["127.0.0.0/8"], routes: [
 *   { path: "/vehicles/*", method: "GET", requires: "vehicles:read" },
 * ] });
 * createServer(toNodeListener(authz)).listen(3000);
 */
export function createForwardAuth<S extends string>(given: ForwardAuthOptions<S>): ForwardAuth {
  const options = prepareGateway(given);
  const { proxy, pathPrefix, decisionFor, isProxy, assertions, now, onError } = options;
  const warn = warnOnce("KEYBEARER_UNAVAILABLE");
  // nginx passes on only 2xx, 401 and 403, and no body.
  const send = proxy === "nginx" ? toNginxResponse : toResponse;

  const decide = async (request: Request, connection?: ConnectionInfo): Promise<Response> => {
    const requestId = fetchRequestId(request, connection);
    const deny = (code: keyof typeof REFUSALS): Response => send(refusal(code, requestId));
    if (!isProxy(connection?.remoteAddress, request.headers.get("x-gateway-token")))
      return deny("unknown_proxy");
    const original = readOriginal(proxy, pathPrefix, request, connection);
    if (original === undefined) return deny("unknown_request");
    const path = normalizePath(original.target);
    if (path === undefined) return deny("ambiguous_path");
    const decision = decisionFor(original.method, path);
    if (decision === "deny") return deny("no_route");

    let headers: Readonly<Record<string, string>> = {};
    let principal: Parameters<typeof identityHeaders>[0];
    if (decision !== "public") {
      const authRequest = toAuthRequest(request, connection, requestId);
      const outcome = await decision({ ...authRequest, method: original.method, path });
      if (!outcome.pass) return send(outcome.denial);
      ({ principal, headers } = outcome);
    }
    const allowed = new Headers({ ...headers, ...identityHeaders(principal), "X-Request-Id": requestId });
    if (assertions !== undefined) {
      allowed.set("X-Auth-Assertion", await createAssertion(assertions, principal, original, path, now()));
    }
    allowed.set("Cache-Control", "no-store");
    return new Response(null, { status: 200, headers: allowed });
  };

  const handler: RequestHandler = async (request, connection) => {
    try {
      return await decide(request, connection);
    } catch (error) {
      const requestId = fetchRequestId(request, connection);
      if (onError === undefined)
        warn("The gateway denied a request with 503, because no key could sign an assertion.");
      reportTo(onError, error, { requestId, method: request.method, path: undefined });
      return send(refusal("unavailable", requestId));
    }
  };
  return Object.assign(handler, { jwks: () => assertions?.keys.published() ?? { keys: [] } });
}

function reportTo(onError: GuardOptions["onError"], error: unknown, context: GuardErrorContext): void {
  try {
    Promise.resolve(onError?.(error, context)).catch(() => {});
  } catch {
    // The request is denied in any case.
  }
}

/** Refusals for reasons other than the credential. */
const REFUSALS = {
  unknown_proxy: [403, "The request does not come from a known proxy."],
  unknown_request: [403, "The proxy did not send the method and path of the request."],
  ambiguous_path: [403, "The path of the request is ambiguous."],
  no_route: [403, "The request is not allowed by any route."],
  unavailable: [503, "The request cannot be verified right now. Try again later."],
} as const;

function refusal(code: keyof typeof REFUSALS, requestId: string): HttpDenial {
  const [status, message] = REFUSALS[code];
  const body = JSON.stringify({ message, code, requestId });
  return {
    status,
    body,
    headers: {
      "cache-control": "no-store",
      "content-type": "application/json",
      ...(status === 503 && { "retry-after": "1" }),
      "x-request-id": requestId,
    },
  };
}

function toResponse({ status, headers, body }: HttpDenial): Response {
  return new Response(body, { status, headers });
}

/** The status and the body as headers, from which the recipe for nginx restores the response. */
function toNginxResponse({ status, headers, body }: HttpDenial): Response {
  const ascii = body.replace(
    /[^\x20-\x7e]/g,
    (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`,
  );
  return new Response(null, {
    status: status === 401 ? 401 : 403,
    headers: {
      ...omitLength(headers),
      "X-Auth-Status": String(status),
      "X-Auth-Body": ascii.length < MAX_BODY_HEADER ? ascii : SHORT_BODY,
    },
  });
}

// nginx reads all headers of a response into one buffer of a memory page.
const MAX_BODY_HEADER = 3_072;
const SHORT_BODY = '{"message":"Forbidden","code":"forbidden"}';

function omitLength(headers: Readonly<Record<string, string>>): Record<string, string> {
  return Object.fromEntries(Object.entries(headers).filter(([name]) => name !== "content-length"));
}
