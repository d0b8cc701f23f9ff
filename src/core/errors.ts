/** The HTTP status of every {@link AuthErrorCode}. Codes are stable; messages are not. */
export const AUTH_ERROR_STATUS = {
  missing_credential: 401,
  malformed_credential: 401,
  invalid_key: 401,
  wrong_environment: 401,
  invalid_dpop_proof: 401,
  ip_not_allowed: 403,
  insufficient_scope: 403,
  rate_limited: 429,
  unavailable: 503,
} as const;

/** The `code` member of an error body. */
export type AuthErrorCode = keyof typeof AUTH_ERROR_STATUS;

/** The HTTP status of an {@link AuthError}. */
export type AuthErrorStatus = (typeof AUTH_ERROR_STATUS)[AuthErrorCode];

/** The JSON body of a denied request: these three members and the details of the error. */
export interface AuthErrorBody {
  readonly message: string;
  readonly code: AuthErrorCode;
  readonly requestId: string;
  readonly [detail: string]: unknown;
}

/**
 * Why a request was denied, as sent to the client. It is a value in {@link AuthResult}: frozen, shared between requests
 * and free of anything that the client sent.
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
  /** Headers of the response, such as `WWW-Authenticate` (RFC 9110, 11.6.1) or `Retry-After`. */
  readonly headers: Readonly<Record<string, string>>;
  /** Additional members of the body, such as `missingScopes`. */
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

  /** Returns the response body: `{ message, code, requestId }` and the details. */
  toBody(requestId: string): AuthErrorBody {
    const members = { message: this.message, code: this.code, requestId };
    return { ...members, ...this.details, ...members }; // in this order, and details cannot replace a member
  }
}

/**
 * A store or rate limiter threw an error, timed out or returned an invalid value. Guards respond with 503 and pass the
 * error to `onError`.
 *
 * `driverError` is the original error. It is not printed by `util.inspect` and not followed by loggers, because drivers
 * put statements and their parameters, and so hashes, into their errors.
 */
export class StoreError extends Error {
  override readonly name: "StoreError" = "StoreError";
  readonly code: "KEYBEARER_STORE_ERROR" = "KEYBEARER_STORE_ERROR";
  readonly #driverError: unknown;

  constructor(message: string, driverError?: unknown) {
    super(message);
    this.#driverError = driverError;
  }

  /** The error that the driver threw, or `undefined`. */
  get driverError(): unknown {
    return this.#driverError;
  }

  static {
    // With the option "getters", util.inspect would call the getter above.
    Object.defineProperty(StoreError.prototype, Symbol.for("nodejs.util.inspect.custom"), {
      value(this: StoreError) {
        return this.stack ?? `${this.name}: ${this.message}`;
      },
    });
  }
}

/** An argument of a manager method is invalid, such as an expiry in the past or a scope that is not defined. */
export class KeyInputError extends TypeError {
  override readonly name: "KeyInputError" = "KeyInputError";
  readonly code: "KEYBEARER_INVALID_INPUT" = "KEYBEARER_INVALID_INPUT";
  /** The invalid member, such as `expiresAt` or `ipAllowlist[2]`. */
  readonly path: string;
  /** What is wrong with it. The message is `path`, a space and `problem`. */
  readonly problem: string;

  constructor(path: string, problem: string) {
    super(`${path} ${problem}`);
    this.path = path;
    this.problem = problem;
  }
}

/** There is no key with the given id. */
export class KeyNotFoundError extends Error {
  override readonly name: "KeyNotFoundError" = "KeyNotFoundError";
  readonly code: "KEYBEARER_KEY_NOT_FOUND" = "KEYBEARER_KEY_NOT_FOUND";

  constructor() {
    super("No key has this id");
  }
}

/** The state of the key does not allow the change: a revoked key cannot be enabled or rotated. */
export class KeyStateError extends Error {
  override readonly name: "KeyStateError" = "KeyStateError";
  readonly code: "KEYBEARER_KEY_STATE" = "KEYBEARER_KEY_STATE";
}

/**
 * The key kept changing concurrently, or a key with the same id or secret exists. Nothing was written. After a change,
 * read the key and try again.
 */
export class KeyConflictError extends Error {
  override readonly name: "KeyConflictError" = "KeyConflictError";
  readonly code: "KEYBEARER_KEY_CONFLICT" = "KEYBEARER_KEY_CONFLICT";
}
