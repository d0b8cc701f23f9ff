import { HttpProblem, type InputIssue } from "../http/problem.js";
import {
  type AuthErrorCode,
  type AuthErrorStatus,
  KeyConflictError,
  KeyLimitError,
  KeyNotFoundError,
  KeyStateError,
  StoreError,
} from "../kit.js";

/** An error response, as `presenter.error` receives it. */
export interface Problem {
  readonly status: number;
  /** Stable, in snake_case. */
  readonly code: ProblemCode | (string & {});
  readonly message: string;
  readonly requestId: string;
  /** Further members, such as `missingScopes`, or `errors`: an array of `{ path, message }`. */
  readonly details: Readonly<Record<string, unknown>>;
}

/** Every code of this API: those of guards, and its own. */
export type ProblemCode =
  | AuthErrorCode
  | "invalid_query"
  | "invalid_body"
  | "api_key_not_allowed"
  | "token_not_allowed"
  | "not_an_api_key"
  | "exceeds_own_key"
  | "not_found"
  | "method_not_allowed"
  | "key_state"
  | "key_limit"
  | "invalid_idempotency_key"
  | "idempotency_in_progress"
  | "idempotency_key_reused"
  | "key_conflict"
  | "key_changed"
  | "body_too_large"
  | "unsupported_media_type"
  | "internal_error";

const OWN_PROBLEMS: Readonly<Record<Exclude<ProblemCode, AuthErrorCode>, readonly [number, string]>> = {
  invalid_query: [400, "The query is not valid."],
  invalid_body: [400, "The body is not valid."],
  api_key_not_allowed: [403, "API keys cannot manage keys here."],
  token_not_allowed: [
    403,
    "A token made from an API key cannot create, change, rotate or enable keys here. Use the API key.",
  ],
  not_an_api_key: [
    403,
    "This path returns the API key of the request, but the credential is not an API key.",
  ],
  exceeds_own_key: [403, "The key would be allowed more than the key that makes this request."],
  not_found: [404, "No key has this id."],
  method_not_allowed: [405, "The method is not allowed here."],
  key_state: [409, "The key is in a state that does not allow this."],
  key_limit: [409, "The owner has as many keys, or as many bytes of allowlists and metadata, as allowed."],
  key_conflict: [409, "The key was changed by another request at the same time. Read it and try again."],
  key_changed: [412, "The key was changed since you read it. Read it and try again."],
  invalid_idempotency_key: [
    400,
    "The header Idempotency-Key must have 1 to 255 visible ASCII characters, and be sent once.",
  ],
  idempotency_in_progress: [
    409,
    "A request with the same Idempotency-Key is not finished. Repeat this request in a few seconds.",
  ],
  idempotency_key_reused: [422, "The Idempotency-Key was used for another request. Use a new one."],
  body_too_large: [413, "The body is too large."],
  unsupported_media_type: [415, "Send the body as application/json in UTF-8, not compressed."],
  internal_error: [500, "An internal error occurred. Include the request id when you report it."],
};

/** For the OpenAPI document; responses have the messages of guards. */
const GUARD_PROBLEMS: Readonly<Record<AuthErrorCode, readonly [AuthErrorStatus, string]>> = {
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
  invalid_dpop_proof: [401, "The DPoP proof is missing or not valid."],
  ip_not_allowed: [403, "The API key may not be used from this network address."],
  insufficient_scope: [403, "A scope is missing that this request needs."],
  rate_limited: [429, "Too many requests. Try again later."],
  unavailable: [503, "The request cannot be served right now. Try again later."],
};

/** Status and default message of every code. */
export const PROBLEMS: Readonly<Record<ProblemCode, readonly [status: number, message: string]>> = {
  ...GUARD_PROBLEMS,
  ...OWN_PROBLEMS,
};

/** Creates an error response, to be thrown. */
export function createProblem(
  code: ProblemCode,
  details: Readonly<Record<string, unknown>> = {},
  { message, headers = {} }: { message?: string; headers?: Readonly<Record<string, string>> } = {},
): HttpProblem {
  const [status, defaultMessage] = PROBLEMS[code];
  return new HttpProblem(status, code, message ?? defaultMessage, { headers, details });
}

// Bounds the response to a hostile body.
const MAX_ISSUES = 100;

/** Creates the error response for an invalid body or query. */
export function invalidInput(source: "body" | "query", issues: readonly InputIssue[]): HttpProblem {
  return createProblem(source === "body" ? "invalid_body" : "invalid_query", {
    errors: issues.slice(0, MAX_ISSUES),
  });
}

/** Converts an exception to an error response. `unexpected` ones are reported to the operator. */
export function toProblem(error: unknown): { readonly problem: HttpProblem; readonly unexpected: boolean } {
  if (error instanceof HttpProblem) return { problem: error, unexpected: false };
  if (error instanceof KeyNotFoundError) return { problem: createProblem("not_found"), unexpected: false };
  if (error instanceof KeyStateError) {
    return { problem: createProblem("key_state", {}, { message: `${error.message}.` }), unexpected: false };
  }
  if (error instanceof KeyLimitError) {
    return { problem: createProblem("key_limit", {}, { message: `${error.message}.` }), unexpected: false };
  }
  if (error instanceof KeyConflictError) return { problem: createProblem("key_conflict"), unexpected: false };
  if (error instanceof StoreError) {
    const headers = { "Retry-After": "1" };
    return { problem: createProblem("unavailable", {}, { headers }), unexpected: true };
  }
  return { problem: createProblem("internal_error"), unexpected: true };
}
