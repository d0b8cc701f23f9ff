import { answerJson } from "../http/answer.js";
import { type ConnectionInfo, fromFetch, type RequestHandler, requestIdOf } from "../http/handler.js";
import { HttpProblem } from "../http/problem.js";
import type { AuthRequest } from "../kit.js";
import type { PreparedTokenService } from "./options.js";

/** The `error` of a body: RFC 6749, 5.2; RFC 8693, 2.2.2; RFC 7009, 2.2.1; and one of RFC 6749, 4.1.2.1. */
export type OAuthErrorCode =
  | "invalid_request"
  | "invalid_client"
  | "unauthorized_client"
  | "unsupported_grant_type"
  | "invalid_scope"
  | "invalid_target"
  | "unsupported_token_type"
  | "temporarily_unavailable";

/** What a client is answered that asked for what it cannot have. */
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

/** RFC 6749, 5.1: of every answer that may hold a token, or says something of one. */
const NOT_STORED: Readonly<Record<string, string>> = { "Cache-Control": "no-store", Pragma: "no-cache" };

/** Answers with JSON that must not be kept. */
export function answerPrivately(
  request: Request,
  requestId: string,
  status: number,
  body: unknown,
  headers: Readonly<Record<string, string>> = {},
): Response {
  return answerJson(request, requestId, status, body, { ...headers, ...NOT_STORED });
}

/** A request that an endpoint may serve. */
export interface OAuthContext {
  readonly requestId: string;
  /** What a verifier needs of it. */
  readonly arrived: AuthRequest;
}

/**
 * Makes the handler of one endpoint: other methods are 405, problems and refusals their bodies, and anything else
 * that is thrown is 503. It never rejects.
 */
export function oauthEndpoint(
  method: "GET" | "POST",
  report: PreparedTokenService<string>["report"],
  serve: (request: Request, context: OAuthContext) => Promise<Response> | Response,
): RequestHandler {
  const methods = method === "GET" ? ["GET", "HEAD"] : [method];
  return async (request: Request, connection?: ConnectionInfo) => {
    const requestId = requestIdOf(request, connection);
    const arrived = fromFetch(request, connection, requestId);
    try {
      if (!methods.includes(request.method)) throw methodNotAllowed(methods.join(", "));
      return await serve(request, { requestId, arrived });
    } catch (error) {
      if (error instanceof HttpProblem) return answerProblem(request, requestId, error);
      report(error, { requestId, method: request.method, path: arrived.path });
      return answerProblem(request, requestId, unavailable());
    }
  };
}

/** Writes a problem down, in the words of RFC 6749 and of this package. */
export function answerProblem(request: Request, requestId: string, problem: HttpProblem): Response {
  const { status, code, message, headers, details } = problem;
  const error = details.error ?? "invalid_request";
  const body = { error, error_description: descriptive(message), code, message, requestId };
  return answerPrivately(request, requestId, status, body, headers);
}

/** RFC 6749, 5.2: a description has neither quotes nor backslashes, and is ASCII. */
function descriptive(message: string): string {
  return message.replace(/[^\x20\x21\x23-\x5b\x5d-\x7e]/g, "'");
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
