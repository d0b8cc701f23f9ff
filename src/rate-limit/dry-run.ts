import { isPromiseLike } from "../internal/awaitable.js";
import {
  type AuthRequest,
  type RateLimitDecision,
  type RateLimiter,
  type RateLimitSubject,
  StoreError,
  withStoreTimeout,
} from "../kit.js";

export type Consume = RateLimiter["consume"];
export type Report = (
  key: RateLimitSubject,
  decision: RateLimitDecision,
  request: AuthRequest,
) => RateLimitDecision;

/** Allows a request without a limit, so without headers. */
export const UNLIMITED: RateLimitDecision = Object.freeze({ allowed: true, states: Object.freeze([]) });

// Requests do not wait for a dry run, so nothing else bounds the calls that wait for a slow store.
const MAX_PENDING = 1_000;

/** Counts in the background and allows every request at once. Failures only go to `onError`. */
export function dryRunOf(
  consume: Consume,
  timeoutMs: number,
  report: Report,
  onError: (error: unknown) => unknown,
): Consume {
  const fail = (error: unknown) => callSafely(() => onError(error));
  let pending = 0;

  return (key, request) => {
    try {
      if (pending >= MAX_PENDING) {
        throw new StoreError(
          `The rate limiter is too slow: ${MAX_PENDING} requests of the dry run are pending`,
        );
      }
      const decision = consume(key, request);
      if (isPromiseLike(decision)) {
        pending += 1;
        withStoreTimeout(decision, timeoutMs, "The rate limiter")
          .then((value) => report(key, value, request))
          .catch(fail)
          .finally(() => {
            pending -= 1;
          });
      } else report(key, decision, request);
    } catch (error) {
      fail(error);
    }
    return UNLIMITED;
  };
}

/** Calls a callback of the host and ignores what it throws or rejects with. */
export function callSafely(callback: () => unknown): void {
  try {
    const result = callback();
    if (isPromiseLike(result)) result.then(undefined, () => {});
  } catch {
    // A callback must not change the decision.
  }
}
