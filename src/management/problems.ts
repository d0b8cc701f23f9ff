import { type Fault, HttpProblem } from "../http/problem.js";
import {
  type AuthErrorCode,
  type AuthErrorStatus,
  KeyConflictError,
  KeyNotFoundError,
  KeyStateError,
  StoreError,
} from "../kit.js";

/** What a request is refused with, on its way to `presenter.error`. */
export interface Problem {
  readonly status: number;
  /** Stable, in snake_case. */
  readonly code: ProblemCode | (string & {});
  readonly message: string;
  readonly requestId: string;
  /** Members beside these, such as `errors`: a list of `{ path, message }`, or `missingScopes`. */
  readonly details: Readonly<Record<string, unknown>>;
}

/** Every code that this API answers: those of guards, and its own. */
export type ProblemCode =
  | AuthErrorCode
  | "invalid_query"
  | "invalid_body"
  | "api_key_not_allowed"
  | "not_an_api_key"
  | "exceeds_own_key"
  | "not_found"
  | "method_not_allowed"
  | "key_state"
  | "key_conflict"
  | "body_too_large"
  | "unsupported_media_type"
  | "internal_error";

const OWN: Readonly<Record<Exclude<ProblemCode, AuthErrorCode>, readonly [number, string]>> = {
  invalid_query: [400, "The query is not valid."],
  invalid_body: [400, "The body is not valid."],
  api_key_not_allowed: [403, "API keys cannot manage keys here."],
  not_an_api_key: [403, "Only an API key can be shown here, and the credential is none."],
  exceeds_own_key: [403, "The key would be allowed more than the one that the request is made with."],
  not_found: [404, "No key has this id."],
  method_not_allowed: [405, "The method is not allowed here."],
  key_state: [409, "The key is in a state that does not allow this."],
  key_conflict: [409, "The key was changed by others at the same time. Read it and try again."],
  body_too_large: [413, "The body is too large."],
  unsupported_media_type: [415, "Send the body as application/json in UTF-8, not compressed."],
  internal_error: [500, "Something went wrong. Tell us the request id."],
};

const OF_GUARDS: Readonly<Record<AuthErrorCode, readonly [AuthErrorStatus, string]>> = {
  missing_credential: [
    401,
    "Authentication required. Provide a valid API key via Authorization: Bearer <token>",
  ],
  malformed_credential: [
    401,
    "The credential cannot be read. Send exactly one, as Authorization: Bearer <token>",
  ],
  invalid_key: [401, "The API key is not valid."],
  wrong_environment: [401, "The API key belongs to another environment."],
  ip_not_allowed: [403, "The API key may not be used from this network address."],
  insufficient_scope: [403, "A scope is missing that this request needs."],
  rate_limited: [429, "Too many requests. Try again later."],
  unavailable: [503, "The request cannot be served right now. Try again later."],
};

/** Status and usual message of every code. */
export const PROBLEMS: Readonly<Record<ProblemCode, readonly [status: number, message: string]>> = {
  ...OF_GUARDS,
  ...OWN,
};

/** An error of this API, to be thrown. */
export function problem(
  code: ProblemCode,
  details: Readonly<Record<string, unknown>> = {},
  { message, headers = {} }: { message?: string; headers?: Readonly<Record<string, string>> } = {},
): HttpProblem {
  const [status, usual] = PROBLEMS[code];
  return new HttpProblem(status, code, message ?? usual, { headers, details });
}

// What a client can use; the rest of a hostile body is not worth the bytes of an answer.
const MAX_FAULTS = 100;

/** Everything that is wrong with a body or a query. */
export function faulty(where: "body" | "query", faults: readonly Fault[]): HttpProblem {
  return problem(where === "body" ? "invalid_body" : "invalid_query", {
    errors: faults.slice(0, MAX_FAULTS),
  });
}

/** What an exception is to the client, and whether the operator has to know. */
export function problemOf(error: unknown): { readonly told: HttpProblem; readonly unexpected: boolean } {
  if (error instanceof HttpProblem) return { told: error, unexpected: false };
  if (error instanceof KeyNotFoundError) return { told: problem("not_found"), unexpected: false };
  if (error instanceof KeyStateError) {
    return { told: problem("key_state", {}, { message: `${error.message}.` }), unexpected: false };
  }
  if (error instanceof KeyConflictError) return { told: problem("key_conflict"), unexpected: false };
  if (error instanceof StoreError) {
    return { told: problem("unavailable", {}, { headers: { "Retry-After": "1" } }), unexpected: true };
  }
  return { told: problem("internal_error"), unexpected: true };
}
