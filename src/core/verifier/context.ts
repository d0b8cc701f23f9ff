import type { VerifiableRecord } from "../keys/record.js";
import { type AuthRequest, resolveRequestId } from "../requests/request.js";
import type { Route } from "./route.js";

/** The key or subject of a credential, as known from the store or the token. */
export type AuthSubject = Pick<VerifiableRecord, "id" | "ownerId" | "environment" | "scopes"> & {
  /** `false` for the subject of a token that was not created from a key. */
  readonly isKey?: boolean;
};

/** The state of one verification. */
export class VerificationContext<S extends string> {
  /** Replaced by a copy if the verifier has observers, because events are emitted later. */
  request: AuthRequest;
  readonly route: Route<S>;
  /** Set by a verifier as soon as the subject is known; events name it. */
  subject: AuthSubject | undefined;
  /** The start in milliseconds of `performance.now()`; 0 without observers. */
  startedAt: number;
  #requestId: string | undefined;

  constructor(request: AuthRequest, route: Route<S>) {
    this.request = request;
    this.route = route;
    this.subject = undefined;
    this.startedAt = 0;
  }

  /** The id of the request, created when it is first read. Denial, events and principal share it. */
  get requestId(): string {
    this.#requestId ??= identify(this.request);
    return this.#requestId;
  }
}

function identify(request: AuthRequest): string {
  try {
    return resolveRequestId(request);
  } catch {
    return crypto.randomUUID(); // the headers of a custom adapter may throw
  }
}
