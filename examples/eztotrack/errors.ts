import type { AuthError, AuthRequest } from "keybearer";
import { resolveRequestId } from "keybearer/kit";
import type { InputIssue } from "../issues.js";

/** An error of a route handler. */
export class ApiError extends Error {
  readonly status: number;
  readonly errors: readonly InputIssue[] | undefined;

  constructor(status: number, message: string, errors?: readonly InputIssue[]) {
    super(message);
    this.status = status;
    this.errors = errors;
  }
}

/** Joins all issues into one sentence. */
export function sentence(errors: readonly InputIssue[]): string {
  return `${errors.map(({ path, message }) => `${path || "The body"} ${message}`).join("; ")}.`;
}

/** Returns the body of a denial: `{ message, requestId }`. The message names missing scopes. */
export function errorBody({ message, details }: Pick<AuthError, "message" | "details">, requestId: string) {
  const { missingScopes } = details as { missingScopes?: readonly string[] };
  return { message: missingScopes ? `${message} Missing: ${missingScopes.join(", ")}.` : message, requestId };
}

/** Returns the response to an error of a handler: `{ message, requestId }`, and `errors` if the input is invalid. */
export function toErrorResponse(error: unknown, request: AuthRequest) {
  const known = error instanceof ApiError ? error : fromExpress(error);
  if (known === undefined) console.error(error);
  const { status, message, errors } = known ?? new ApiError(500, "Something went wrong on our side.");
  return { status, body: { message, requestId: resolveRequestId(request), errors } };
}

/** Converts errors of Express and its body parser. */
function fromExpress(error: unknown): ApiError | undefined {
  const { status } = (error ?? {}) as { status?: unknown };
  if (status === 413) return new ApiError(413, "The body is too large.");
  if (status === 415) return new ApiError(415, "Send the body as JSON in UTF-8.");
  if (status === 400) return new ApiError(400, "The request cannot be read: is the body valid JSON?");
  return undefined;
}
