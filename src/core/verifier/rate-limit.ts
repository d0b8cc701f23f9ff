import type { VerifiableRecord } from "../keys/record.js";
import type { AuthRequest } from "../requests/request.js";

/** One window and where it stands. */
export interface RateLimitState {
  /** The policy's name on the wire. */
  readonly name: string;
  readonly limit: number;
  readonly windowSeconds: number;
  /** Requests left in this window. */
  readonly remaining: number;
  /** Seconds until the window ends. */
  readonly resetSeconds: number;
}

/** What a rate limiter says of one request. */
export interface RateLimitDecision {
  readonly allowed: boolean;
  readonly states: readonly RateLimitState[];
  /**
   * Of a refusal: when the same request may be let through. Absent: when every window that is used up has ended.
   * Of use where requests differ in cost, and one finds too little left.
   */
  readonly retryAfterSeconds?: number;
}

/**
 * Counts requests. It is asked last, when everything else allows the request, so that a refused one never
 * counts; two guards in front of one route ask it twice. When it throws, the request is refused with 503.
 */
export interface RateLimiter {
  /** Counts a request of this key, or says why not. */
  consume(
    key: Pick<VerifiableRecord, "id" | "ownerId" | "environment" | "rateLimit">,
    request: AuthRequest,
  ): PromiseLike<RateLimitDecision> | RateLimitDecision;
}

/**
 * `RateLimit` and `RateLimit-Policy` as in draft-ietf-httpapi-ratelimit-headers, and on a refusal
 * `Retry-After` (RFC 9110, 10.2.3): what the limiter says, or the longest wait of the windows that are used up.
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
          `"${name}";r=${whole(Math.floor(remaining))};t=${whole(resetSeconds)}`,
      )
      .join(", ");
    headers["RateLimit-Policy"] = states
      .map(({ name, limit, windowSeconds }) => `"${name}";q=${whole(limit)};w=${whole(windowSeconds)}`)
      .join(", ");
  }
  if (!allowed) {
    const waits = states.filter(({ remaining }) => remaining <= 0).map(({ resetSeconds }) => resetSeconds);
    headers["Retry-After"] = String(Math.max(1, whole(retryAfterSeconds ?? Math.max(0, ...waits))));
  }
  return headers;
}

/** Whether a limiter answered something that can be trusted to mean what it says. */
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

function whole(value: number): number {
  // RFC 9651, 3.3.1: an integer has at most 15 digits.
  return Math.min(999_999_999_999_999, Math.max(0, Math.ceil(value)));
}
