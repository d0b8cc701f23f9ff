/** Every code that a refused request can carry, with its status. The codes are stable; the messages are not. */
export const AUTH_ERROR_STATUS = {
  missing_credential: 401,
  malformed_credential: 401,
  invalid_key: 401,
  wrong_environment: 401,
  ip_not_allowed: 403,
  insufficient_scope: 403,
  rate_limited: 429,
  unavailable: 503,
} as const;

/** The `code` member of an error body; `switch` over it to tell refusals apart. */
export type AuthErrorCode = keyof typeof AUTH_ERROR_STATUS;

/** The HTTP status of an {@link AuthError}. */
export type AuthErrorStatus = (typeof AUTH_ERROR_STATUS)[AuthErrorCode];

/** The JSON body of every refusal: these three members, and the error's details beside them. */
export interface AuthErrorBody {
  readonly message: string;
  readonly code: AuthErrorCode;
  readonly requestId: string;
  readonly [detail: string]: unknown;
}

/**
 * Why a request was refused, in the words of the wire. It is a value in {@link AuthResult}, shared between
 * requests and frozen; it never holds anything that the client sent.
 *
 * @example
 * const result = await verifier.verify(request, "vehicles:read");
 * if (!result.ok) return Response.json(result.error.toBody(requestId), { status: result.error.status });
 */
export class AuthError extends Error {
  override readonly name: "AuthError" = "AuthError";
  /** The stable code. */
  readonly code: AuthErrorCode;
  /** The HTTP status: 401, 403, 429 or 503. */
  readonly status: AuthErrorStatus;
  /** Headers that belong to this refusal, such as `WWW-Authenticate` (RFC 9110, 11.6.1) or `Retry-After`. */
  readonly headers: Readonly<Record<string, string>>;
  /** Members that the body adds, such as `missingScopes`. */
  readonly details: Readonly<Record<string, unknown>>;

  constructor(
    code: AuthErrorCode,
    message: string,
    headers: Readonly<Record<string, string>> = {},
    details: Readonly<Record<string, unknown>> = {},
  ) {
    super(message);
    this.code = code;
    this.status = AUTH_ERROR_STATUS[code];
    this.headers = Object.freeze({ ...headers });
    this.details = Object.freeze({ ...details });
    Object.freeze(this);
  }

  /** The response body: `{ message, code, requestId }` and the details. */
  toBody(requestId: string): AuthErrorBody {
    const members = { message: this.message, code: this.code, requestId };
    return { ...members, ...this.details, ...members }; // details add, and replace nothing
  }
}

/**
 * A store (or a rate limiter) threw, took too long or answered something that is not a record. Guards answer
 * 503 and hand it to `onError`.
 *
 * `driverError` is what the driver threw. It is there for who asks for it, but neither printing nor a logger
 * follows it: drivers put statements and their parameters, and so hashes, into their errors.
 */
export class StoreError extends Error {
  override readonly name: "StoreError" = "StoreError";
  readonly code: "KEYBEARER_STORE_ERROR" = "KEYBEARER_STORE_ERROR";
  readonly #driverError: unknown;

  constructor(message: string, driverError?: unknown) {
    super(message);
    this.#driverError = driverError;
  }

  get driverError(): unknown {
    return this.#driverError;
  }

  static {
    // Node's inspection can be told to follow getters, of prototypes too.
    Object.defineProperty(StoreError.prototype, Symbol.for("nodejs.util.inspect.custom"), {
      value(this: StoreError) {
        return this.stack ?? `${this.name}: ${this.message}`;
      },
    });
  }
}

/**
 * What a manager was given cannot become a key: a name with control characters, a date in the past, a scope
 * that nobody defined. `path` names the member, `problem` says what is wrong with it.
 */
export class KeyInputError extends TypeError {
  override readonly name: "KeyInputError" = "KeyInputError";
  readonly code: "KEYBEARER_INVALID_INPUT" = "KEYBEARER_INVALID_INPUT";
  /** The member at fault, such as `expiresAt` or `ipAllowlist[2]`. */
  readonly path: string;
  /** What is wrong with it, as half a sentence. */
  readonly problem: string;

  constructor(path: string, problem: string) {
    super(`${path} ${problem}`);
    this.path = path;
    this.problem = problem;
  }
}

/** No key has this id. */
export class KeyNotFoundError extends Error {
  override readonly name: "KeyNotFoundError" = "KeyNotFoundError";
  readonly code: "KEYBEARER_KEY_NOT_FOUND" = "KEYBEARER_KEY_NOT_FOUND";

  constructor() {
    super("No key has this id");
  }
}

/** The key is in a state that does not allow the change: a revoked key cannot be enabled or rotated. */
export class KeyStateError extends Error {
  override readonly name: "KeyStateError" = "KeyStateError";
  readonly code: "KEYBEARER_KEY_STATE" = "KEYBEARER_KEY_STATE";
}

/** Somebody else changed the key at the same time, again and again; nothing was written. Read it and try again. */
export class KeyConflictError extends Error {
  override readonly name: "KeyConflictError" = "KeyConflictError";
  readonly code: "KEYBEARER_KEY_CONFLICT" = "KEYBEARER_KEY_CONFLICT";
}
