import { type AuthRequest, resolveRequestId, StoreError } from "keybearer";

/** One thing that is wrong with a request. */
export interface Fault {
  /** The member, or "" for the body as a whole. */
  readonly path: string;
  readonly message: string;
}

/** What this API refuses itself, after the credential was accepted. */
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

/** Of another company's integration too: nobody learns which ids there are. */
export const noIntegration = () => new ApiError(404, "not_found", "There is no such integration.");

const USUAL: Readonly<Record<number, readonly [code: string, message: string]>> = {
  404: ["not_found", "There is no such route."],
  405: ["method_not_allowed", "The route does not have this method."],
  501: ["not_implemented", "There is no such method."],
  503: ["unavailable", "The request cannot be served right now. Try again later."],
};

/** The error that a bare status stands for. */
export function ofStatus(status: number): ApiError {
  const [code, message] = USUAL[status] ?? ["internal_error", "Something went wrong on our side."];
  return new ApiError(status, code, message);
}

/** The answer to an error, in the shape that a refused credential gets too. */
export function failure(error: unknown, request: AuthRequest) {
  const known = error instanceof ApiError ? error : ofStatus(error instanceof StoreError ? 503 : 500);
  if (known.status >= 500) console.error(error);
  const { status, code, message, errors } = known;
  return { status, body: { message, code, requestId: resolveRequestId(request), errors } };
}
