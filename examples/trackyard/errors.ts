import { STATUS_CODES } from "node:http";
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

/** The members that errors of guards, of the management API and of handlers have in common. */
interface ErrorInfo {
  readonly status: number;
  readonly code: string;
  readonly message: string;
  readonly details?: Readonly<Record<string, unknown>>;
}

/** Returns the body of an error. */
export function errorBody({ status, code, message, details = {} }: ErrorInfo, requestId: string) {
  const { requiredScopes, grantedScopes, missingScopes, errors } = details;
  return {
    error: STATUS_CODES[status],
    message,
    code,
    request_id: requestId,
    required_scopes: requiredScopes,
    granted_scopes: grantedScopes,
    missing_scopes: missingScopes,
    errors,
  };
}

/** Converts an error of a handler or of Fastify. Logs unknown errors; they become a 500. */
export function toErrorInfo(error: unknown): ErrorInfo {
  if (error instanceof ApiError) {
    const { status, code, message, errors } = error;
    return { status, code, message, details: { errors } };
  }
  switch ((error as { readonly statusCode?: unknown } | null)?.statusCode) {
    case 400:
      return {
        status: 400,
        code: "bad_request",
        message: "The request cannot be read: is the body valid JSON?",
      };
    case 413:
      return { status: 413, code: "body_too_large", message: "The body is too large." };
    case 415:
      return { status: 415, code: "unsupported_media_type", message: "Send the body as application/json." };
  }
  console.error(error);
  return { status: 500, code: "internal_error", message: "Something went wrong on our side." };
}
