import type { AuthRequest } from "keybearer";
import { resolveRequestId } from "keybearer/kit";
import type { InputIssue } from "../issues.js";

/** An error of a route handler. */
export class FleetError extends Error {
  readonly status: number;
  readonly code: string;
  readonly problems: readonly InputIssue[] | undefined;

  constructor(status: number, code: string, message: string, problems?: readonly InputIssue[]) {
    super(message);
    this.status = status;
    this.code = code;
    this.problems = problems;
  }
}

/** The maximum size of a body in bytes. */
export const BODY_LIMIT = 16 * 1024;

export const notFound = () => new FleetError(404, "not_found", "There is no such route.");
export const unreadable = () => new FleetError(400, "bad_request", "The request cannot be read.");
export const tooLarge = () =>
  new FleetError(413, "body_too_large", `The body may have at most ${BODY_LIMIT} bytes.`);
export const notJson = () =>
  new FleetError(415, "unsupported_media_type", "Send the body as application/json, not compressed.");

/** Returns the response to an error of a handler. Its body has the members of a denial: `{ message, code, requestId }`. */
export function toErrorResponse(error: unknown, request: AuthRequest) {
  const known = error instanceof FleetError ? error : fromFramework(error);
  if (known === undefined) console.error(error);
  const { status, code, message, problems } =
    known ?? new FleetError(500, "internal_error", "Something went wrong on our side.");
  return { status, body: { message, code, requestId: resolveRequestId(request), problems } };
}

/** Converts errors of the frameworks and their body parsers. */
function fromFramework(error: unknown): FleetError | undefined {
  const { status, statusCode } = (error ?? {}) as { status?: unknown; statusCode?: unknown };
  switch (status ?? statusCode) {
    case 400:
      return unreadable();
    case 413:
      return tooLarge();
    case 415:
      return notJson();
  }
  return undefined;
}
