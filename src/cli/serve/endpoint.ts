import {
  type ConnectionInfo,
  fetchRequestId,
  type RequestHandler,
  toAuthRequest,
  withHeaders,
} from "../../http/handler.js";
import { jsonResponse } from "../../http/json-response.js";
import { HttpProblem } from "../../http/problem.js";
import { createGuard, type Principal, type Requirement, type Verifier } from "../../kit.js";
import { toProblem } from "../../management/error-codes.js";
import type { Log } from "./log.js";

/** A request of an endpoint. `principal` is absent if the endpoint needs no credential. */
export interface Call {
  readonly request: Request;
  readonly connection: ConnectionInfo | undefined;
  readonly requestId: string;
  readonly principal: Principal | undefined;
}

/** Returns the body of a 200, a status with a body, or a whole response. */
export type Run = (call: Call) => Promise<Response | object>;

/** Creates handlers that share a guard and the form of errors. */
export type CreateEndpoint = (run: Run, requires?: Requirement) => RequestHandler;

/** Creates {@link CreateEndpoint}. `verifier` verifies the credentials of administrators and services. */
export function createEndpoints(verifier: Verifier, log: Log): CreateEndpoint {
  const guard = createGuard(verifier, { onError: (error, context) => log.failure(error, context.requestId) });
  return (run, requires) => {
    const check = requires === undefined ? undefined : guard(requires);
    return async (request, connection) => {
      const requestId = fetchRequestId(request, connection);
      try {
        const outcome = await check?.(toAuthRequest(request, connection, requestId));
        if (outcome?.pass === false) {
          const { status, headers, body } = outcome.denial;
          return new Response(body, { status, headers });
        }
        const result = await run({ request, connection, requestId, principal: outcome?.principal });
        const response = result instanceof Response ? result : jsonResponse(request, requestId, 200, result);
        return withHeaders(response, outcome?.headers ?? {});
      } catch (error) {
        const { problem, unexpected } = toProblem(error);
        if (unexpected) log.failure(error, requestId);
        return problemResponse(request, requestId, problem);
      }
    };
  };
}

/** Creates the response of an error. */
export function problemResponse(request: Request, requestId: string, problem: HttpProblem): Response {
  const { status, code, message, details, headers } = problem;
  return jsonResponse(request, requestId, status, { message, code, requestId, ...details }, headers);
}

/** @throws HttpProblem 400 that names the member, if `isValid` is false. */
export function requireInput(isValid: boolean, path: string, message: string): asserts isValid {
  if (isValid) return;
  throw new HttpProblem(400, "invalid_body", "The body is not valid.", {
    details: { errors: [{ path, message }] },
  });
}
