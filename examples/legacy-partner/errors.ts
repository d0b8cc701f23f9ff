import { type AuthRequest, StoreError } from "keybearer";
import { resolveRequestId } from "keybearer/kit";
import type { InputIssue } from "../issues.js";

/** An error of a route handler. */
export class ApiError extends Error {
  readonly status: number;
  readonly code: string;
  readonly errors: readonly InputIssue[] | undefined;

  constructor(status: number, code: string, message: string, errors?: readonly InputIssue[]) {
    super(message);
    this.status = status;
    this.code = code;
    this.errors = errors;
  }
}

/** The same error for integrations of other companies, so that ids cannot be probed. */
export const noIntegration = () => new ApiError(404, "not_found", "There is no such integration.");

const BY_STATUS: Readonly<Record<number, readonly [code: string, message: string]>> = {
  404: ["not_found", "There is no such route."],
  405: ["method_not_allowed", "The route does not have this method."],
  501: ["not_implemented", "There is no such method."],
  503: ["unavailable", "The request cannot be served right now. Try again later."],
};

/** Returns the error for a status without a body. */
export function errorOfStatus(status: number): ApiError {
  const [code, message] = BY_STATUS[status] ?? ["internal_error", "Something went wrong on our side."];
  return new ApiError(status, code, message);
}

/** Returns the response to an error of a handler. Its body has the same members as that of a denial. */
export function toErrorResponse(error: unknown, request: AuthRequest) {
  const known = error instanceof ApiError ? error : errorOfStatus(error instanceof StoreError ? 503 : 500);
  if (known.status >= 500) console.error(error);
  const { status, code, message, errors } = known;
  return { status, body: { message, code, requestId: resolveRequestId(request), errors } };
}
