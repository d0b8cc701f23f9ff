import { type AuthError, type AuthRequest, resolveRequestId } from "keybearer";

/** One mistake in a request. */
export interface Mistake {
  /** The member, or "" for the body as a whole. */
  readonly path: string;
  readonly message: string;
}

/** What the API itself refuses, after the key was accepted. */
export class ApiError extends Error {
  readonly status: number;
  readonly errors: readonly Mistake[] | undefined;

  constructor(status: number, message: string, errors?: readonly Mistake[]) {
    super(message);
    this.status = status;
    this.errors = errors;
  }
}

/** All mistakes in one sentence. */
export function sentence(errors: readonly Mistake[]): string {
  return `${errors.map(({ path, message }) => `${path || "The body"} ${message}`).join("; ")}.`;
}

/** The body of a refused key: these two members and no others. Which scope is missing stands in the message. */
export function refusal({ message, details }: Pick<AuthError, "message" | "details">, requestId: string) {
  const { missingScopes } = details as { missingScopes?: readonly string[] };
  return { message: missingScopes ? `${message} Missing: ${missingScopes.join(", ")}.` : message, requestId };
}

/** The answer to an error: `{ message, requestId }`, and `errors` where a request has mistakes. */
export function failure(error: unknown, request: AuthRequest) {
  const known = error instanceof ApiError ? error : fromExpress(error);
  if (known === undefined) console.error(error);
  const { status, message, errors } = known ?? new ApiError(500, "Something went wrong on our side.");
  return { status, body: { message, requestId: resolveRequestId(request), errors } };
}

/** What Express and its body parser turn away, each in words of its own. */
function fromExpress(error: unknown): ApiError | undefined {
  const { status } = (error ?? {}) as { status?: unknown };
  if (status === 413) return new ApiError(413, "The body is too large.");
  if (status === 415) return new ApiError(415, "Send the body as JSON in UTF-8.");
  if (status === 400) return new ApiError(400, "The request cannot be read: is the body valid JSON?");
  return undefined;
}
