import { readForm } from "../http/body.js";
import { type ConnectionInfo, fetchRequestId, type RequestHandler, toAuthRequest } from "../http/handler.js";
import { jsonResponse } from "../http/json-response.js";
import { HttpProblem } from "../http/problem.js";
import type { AuthRequest } from "../kit.js";
import type { PreparedTokenService } from "./options.js";

/** The codes of RFC 6749, sections 5.2 and 4.1.2.1; RFC 8693, section 2.2.2; RFC 7009, section 2.2.1; RFC 9449, sections 5 and 8. */
export type OAuthErrorCode =
  | "invalid_request"
  | "invalid_client"
  | "unauthorized_client"
  | "unsupported_grant_type"
  | "invalid_scope"
  | "invalid_target"
  | "unsupported_token_type"
  | "invalid_dpop_proof"
  | "use_dpop_nonce"
  | "temporarily_unavailable";

/** Creates an OAuth error. `status` is 400 by default. */
export function oauthProblem(
  error: OAuthErrorCode,
  message: string,
  {
    status = 400,
    code = error,
    headers = {},
  }: { status?: number; code?: string; headers?: Readonly<Record<string, string>> } = {},
): HttpProblem {
  return new HttpProblem(status, code, message, { headers, details: { error } });
}

/** What an endpoint knows of a request. */
export interface OAuthContext {
  readonly requestId: string;
  /** The request as verifiers take it. */
  readonly authRequest: AuthRequest;
}

/** Serves one endpoint. Throws an `HttpProblem` for an error of the client. */
export type ServeOAuth = (request: Request, context: OAuthContext) => Promise<Response> | Response;

/**
 * Creates the handler of one endpoint. Responds to other methods with 405, to an `HttpProblem` with its status, and to
 * any other error with 503 after calling `report`. Never rejects.
 */
export function oauthEndpoint(
  method: "GET" | "POST",
  report: PreparedTokenService<string>["report"],
  serve: ServeOAuth,
): RequestHandler {
  const methods = method === "GET" ? ["GET", "HEAD"] : [method];
  return async (request: Request, connection?: ConnectionInfo) => {
    const requestId = fetchRequestId(request, connection);
    const authRequest = toAuthRequest(request, connection, requestId);
    try {
      if (!methods.includes(request.method)) throw methodNotAllowed(methods.join(", "));
      return await serve(request, { requestId, authRequest });
    } catch (error) {
      if (error instanceof HttpProblem) return problemResponse(request, requestId, error);
      report(error, { requestId, method: request.method, path: authRequest.path });
      return problemResponse(request, requestId, unavailable());
    }
  };
}

/** The header of a response that anyone may see, such as the published keys. */
export const CACHEABLE = { "Cache-Control": "public, max-age=300" };

/** RFC 6749, section 5.1: for every response that contains or describes a token. */
const NO_STORE: Readonly<Record<string, string>> = { "Cache-Control": "no-store", Pragma: "no-cache" };

/** Creates a JSON response that must not be cached. */
export function oauthResponse(
  request: Request,
  requestId: string,
  status: number,
  body: unknown,
  headers: Readonly<Record<string, string>> = {},
): Response {
  return jsonResponse(request, requestId, status, body, { ...headers, ...NO_STORE });
}

/** Creates the response to a problem, with the members of RFC 6749 and those of this package. */
export function problemResponse(request: Request, requestId: string, problem: HttpProblem): Response {
  const { status, code, message, headers, details } = problem;
  const error = details.error ?? "invalid_request";
  const body = { error, error_description: toDescription(message), code, message, requestId };
  return oauthResponse(request, requestId, status, body, headers);
}

/** RFC 6749, section 5.2: a description is ASCII without quotes and backslashes. */
function toDescription(message: string): string {
  return message.replace(/[^\x20\x21\x23-\x5b\x5d-\x7e]/g, "'");
}

/** The response to any path that is not served. */
export function notFound(): HttpProblem {
  return new HttpProblem(404, "not_found", "There is nothing here.");
}

function methodNotAllowed(allow: string): HttpProblem {
  const message = `This resource allows ${allow}.`;
  return new HttpProblem(405, "method_not_allowed", message, { headers: { Allow: allow } });
}

function unavailable(): HttpProblem {
  return oauthProblem("temporarily_unavailable", "The request cannot be served right now. Try again later.", {
    status: 503,
    code: "unavailable",
    headers: { "Retry-After": "1" },
  });
}

/** The parameters of a form (RFC 6749, section 3.2). */
export interface OAuthForm {
  get(name: string): string | undefined;
  has(name: string): boolean;
  /** Returns the values of a parameter that may be repeated. */
  all(name: string): readonly string[];
}

// RFC 8693, section 2.1
const REPEATABLE: ReadonlySet<string> = new Set(["audience", "resource"]);

/**
 * Reads a form. Parameters without a value count as missing.
 *
 * @throws HttpProblem 400 for a repeated parameter, 413 or 415.
 */
export async function readOAuthForm(request: Request): Promise<OAuthForm> {
  const values = new Map<string, string[]>();
  for (const [name, value] of await readForm(request)) {
    const known = values.get(name);
    if (known === undefined) values.set(name, [value]);
    else if (REPEATABLE.has(name)) known.push(value);
    else throw oauthProblem("invalid_request", "A parameter is repeated.");
  }
  const all = (name: string) => (values.get(name) ?? []).filter((value) => value !== "");
  return {
    all,
    get: (name) => all(name)[0],
    has: (name) => all(name).length > 0,
  };
}
