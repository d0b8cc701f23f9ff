import { type AuthRequest, resolveRequestId } from "keybearer";

/** One thing that is wrong with a request. */
export interface Fault {
  /** The member, or "" for the body as a whole. */
  readonly path: string;
  readonly message: string;
}

/** What this API refuses itself, after the key was accepted. */
export class ApiError extends Error {
  readonly status: number;
  readonly code: string;
  readonly errors: readonly Fault[];

  constructor(status: number, code: string, message: string, errors: readonly Fault[] = []) {
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

/** What is known of a refusal, whoever refuses: a guard, the management API, or a handler. */
interface Refusal {
  readonly status: number;
  readonly code: string;
  readonly message: string;
  readonly details?: Readonly<Record<string, unknown>>;
}

/** The codes that clients of this API know. */
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
 * The body of every refusal: a list of errors, as clients of this API know it, beside the members that the library
 * has. Who lacks a scope reads there what it has, what is required and what is missing.
 */
export function errorBody({ status, code, message, details = {} }: Refusal, requestId: string) {
  const { errors: faults, ...members } = details;
  const known = CODES[status] ?? "INTERNAL_ERROR";
  const { requiredScopes: required, grantedScopes: available, missingScopes: missing } = members;
  const about = required === undefined ? {} : { details: { required, available, missing } };
  const errors =
    Array.isArray(faults) && faults.length > 0
      ? faults.map((fault: Fault) => ({ code: known, ...fault }))
      : [{ code: known, message, ...about }];
  return { message, code, requestId, ...members, errors };
}

/** The answer to an error of a handler. */
export function failure(error: unknown, request: AuthRequest) {
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
