import { type Awaitable, isPromiseLike } from "../../internal/awaitable.js";
import { warnOnce } from "../../internal/warn.js";
import { StoreError } from "../errors.js";
import type { VerifiableRecord } from "../keys/record.js";
import type { AuthRequest } from "../requests/request.js";
import { toStoreError, withStoreTimeout } from "../store-calls.js";

/** The state of one rate-limit window. */
export interface RateLimitState {
  /** The name of the policy in `RateLimit` and `RateLimit-Policy`. */
  readonly name: string;
  /** Requests allowed in a window. */
  readonly limit: number;
  /** Length of a window in seconds. */
  readonly windowSeconds: number;
  /** Requests left in the current window. */
  readonly remaining: number;
  /** Seconds until the current window ends. */
  readonly resetSeconds: number;
}

/** The decision of a rate limiter about one request. */
export interface RateLimitDecision {
  readonly allowed: boolean;
  readonly states: readonly RateLimitState[];
  /**
   * Seconds after which a denied request may be repeated. By default, the time until every used-up window has ended.
   * Set it if requests have different costs.
   */
  readonly retryAfterSeconds?: number;
}

/** The key or subject that a rate limiter counts for. */
export type RateLimitSubject = Pick<
  VerifiableRecord,
  "id" | "ownerId" | "environment" | "rateLimit" | "rotationRoot"
>;

/**
 * Counts requests. It is called last, so a request that another check denies is not counted; two guards on one route
 * count twice. If it throws, the request is denied with 503.
 */
export interface RateLimiter {
  /** Counts one request of a key, or denies it. */
  consume(key: RateLimitSubject, request: AuthRequest): Awaitable<RateLimitDecision>;
}

/** Calls a rate limiter within a time limit. Throws or rejects only with a StoreError. */
export type BoundedLimiter = (
  subject: RateLimitSubject,
  request: AuthRequest,
) => Awaitable<RateLimitDecision>;

/** Adds a time limit to a rate limiter and rejects results that are not decisions. */
export function boundedLimiter(limiter: RateLimiter, timeoutMs: number, name: string): BoundedLimiter {
  const checked = (decision: RateLimitDecision) => {
    if (isRateLimitDecision(decision)) return decision;
    throw new StoreError(`${name} returned a value that is not a decision`);
  };
  return ({ id, ownerId, environment, rateLimit, rotationRoot }, request) => {
    try {
      const decision = limiter.consume({ id, ownerId, environment, rateLimit, rotationRoot }, request); // no hash
      if (!isPromiseLike(decision)) return checked(decision);
      return withStoreTimeout(Promise.resolve(decision).then(checked), timeoutMs, name);
    } catch (error) {
      throw toStoreError(error, name);
    }
  };
}

/** Creates the `limit` of a verifier without a rate limiter: warns once if a key has a limit, which is not enforced. */
export function warnOfMissingLimiter(): (subject: RateLimitSubject) => undefined {
  const warn = warnOnce("KEYBEARER_NO_RATE_LIMITER");
  return ({ rateLimit }) => {
    if (rateLimit) warn('A key has a "rateLimit", but the verifier has no "rateLimiter"');
    return undefined;
  };
}

/**
 * Returns the headers `RateLimit` and `RateLimit-Policy` (draft-ietf-httpapi-ratelimit-headers), and `Retry-After`
 * (RFC 9110, 10.2.3) for a denied request.
 */
export function rateLimitHeaders({
  allowed,
  states,
  retryAfterSeconds,
}: RateLimitDecision): Record<string, string> {
  const headers: Record<string, string> = {};
  if (states.length > 0) {
    headers.RateLimit = states
      .map(
        ({ name, remaining, resetSeconds }) =>
          `"${name}";r=${toInteger(Math.floor(remaining))};t=${toInteger(resetSeconds)}`,
      )
      .join(", ");
    headers["RateLimit-Policy"] = states
      .map(
        ({ name, limit, windowSeconds }) => `"${name}";q=${toInteger(limit)};w=${toInteger(windowSeconds)}`,
      )
      .join(", ");
  }
  if (!allowed) {
    const waits = states.filter(({ remaining }) => remaining <= 0).map(({ resetSeconds }) => resetSeconds);
    headers["Retry-After"] = String(Math.max(1, toInteger(retryAfterSeconds ?? Math.max(0, ...waits))));
  }
  return headers;
}

/** Whether a value is a decision that can be sent in headers. */
export function isRateLimitDecision(value: unknown): value is RateLimitDecision {
  const { allowed, states, retryAfterSeconds } = (value ?? {}) as Partial<RateLimitDecision>;
  return (
    typeof allowed === "boolean" &&
    (retryAfterSeconds === undefined || Number.isFinite(retryAfterSeconds)) &&
    Array.isArray(states) &&
    states.every(
      (state) =>
        typeof state?.name === "string" &&
        /^[A-Za-z0-9_.:-]{1,64}$/.test(state.name) &&
        [state.limit, state.windowSeconds, state.remaining, state.resetSeconds].every(Number.isFinite),
    )
  );
}

/** Rounds up to an integer of at most 15 digits (RFC 9651, 3.3.1) that is not negative. */
function toInteger(value: number): number {
  return Math.min(999_999_999_999_999, Math.max(0, Math.ceil(value)));
}
