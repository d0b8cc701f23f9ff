import { STATUS_CODES } from "node:http";

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
  readonly errors: readonly Fault[] | undefined;

  constructor(status: number, code: string, message: string, errors?: readonly Fault[]) {
    super(message);
    this.status = status;
    this.code = code;
    this.errors = errors;
  }
}

/** What is known of a refusal, whoever refuses: a guard, the management API, or a handler. */
interface Refusal {
  readonly status: number;
  readonly code: string;
  readonly message: string;
  readonly details?: Readonly<Record<string, unknown>>;
}

/** The body of every refusal. */
export function errorBody({ status, code, message, details = {} }: Refusal, requestId: string) {
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

/** What an error of a handler, or of Fastify, is to the client. */
export function asRefusal(error: unknown): Refusal {
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
