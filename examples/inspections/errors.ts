import type { AuthRequest } from "keybearer";
import { resolveRequestId } from "keybearer/kit";
import type { InputIssue } from "../issues.js";

/** An error of a route handler. */
export class ApiError extends Error {
  readonly status: number;
  readonly code: string;
  readonly errors: readonly InputIssue[];

  constructor(status: number, code: string, message: string, errors: readonly InputIssue[] = []) {
    super(message);
    this.status = status;
    this.code = code;
    this.errors = errors;
  }
}

export const notFound = () => new ApiError(404, "not_found", "There is no such route.");
export const notJson = () =>
  new ApiError(415, "unsupported_media_type", "Send the body as application/json.");
export const tooLarge = () => new ApiError(413, "body_too_large", "The body may have at most 64 KiB.");

/** The members that errors of guards, of the management API and of handlers have in common. */
interface ErrorInfo {
  readonly status: number;
  readonly code: string;
  readonly message: string;
  readonly details?: Readonly<Record<string, unknown>>;
}

/** The codes in `errors`. */
const CODES: Readonly<Record<number, string>> = {
  400: "VALIDATION_ERROR",
  401: "UNAUTHORIZED",
  403: "FORBIDDEN",
  404: "NOT_FOUND",
  405: "METHOD_NOT_ALLOWED",
  409: "CONFLICT",
  413: "PAYLOAD_TOO_LARGE",
  415: "UNSUPPORTED_MEDIA_TYPE",
  429: "RATE_LIMITED",
  503: "SERVICE_UNAVAILABLE",
};

/**
 * Returns the body of an error: the members of keybearer and an array `errors`. If a scope is missing, its `details` list
 * the required, available and missing scopes.
 */
export function errorBody({ status, code, message, details = {} }: ErrorInfo, requestId: string) {
  const { errors: issues, ...members } = details;
  const entryCode = CODES[status] ?? "INTERNAL_ERROR";
  const { requiredScopes: required, grantedScopes: available, missingScopes: missing } = members;
  const scopeDetails = required === undefined ? {} : { details: { required, available, missing } };
  const errors =
    Array.isArray(issues) && issues.length > 0
      ? issues.map((issue: InputIssue) => ({ code: entryCode, ...issue }))
      : [{ code: entryCode, message, ...scopeDetails }];
  return { message, code, requestId, ...members, errors };
}

/** Returns the response to an error of a handler. Logs unknown errors; they become a 500. */
export function toErrorResponse(error: unknown, request: AuthRequest) {
  const known =
    error instanceof ApiError
      ? error
      : new ApiError(500, "internal_error", "Something went wrong on our side.");
  if (known !== error) console.error(error);
  const { status, errors } = known;
  return {
    status,
    body: errorBody({ ...known, message: known.message, details: { errors } }, resolveRequestId(request)),
  };
}
