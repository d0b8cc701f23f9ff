import { type Awaitable, isPromiseLike } from "../../internal/awaitable.js";
import { warn } from "../../internal/warn.js";
import { StoreError } from "../errors.js";
import type { VerifiableRecord } from "../keys/record.js";
import type { AuthRequest } from "../requests/request.js";
import { toStoreError, withStoreTimeout } from "../store-calls.js";
import { isRateLimitDecision, type RateLimitDecision, type RateLimiter } from "./rate-limit.js";

/** What the rate limiter is told of the holder of a credential. */
export type RateLimitSubject = Pick<VerifiableRecord, "id" | "ownerId" | "environment" | "rateLimit">;

/** Asks a rate limiter, within a time limit. Fails with a StoreError only. */
export type BoundedLimiter = (holder: RateLimitSubject, request: AuthRequest) => Awaitable<RateLimitDecision>;

/** Puts a rate limiter behind a time limit, and takes no answer but a decision. */
export function boundedLimiter(limiter: RateLimiter, timeoutMs: number, what: string): BoundedLimiter {
  const trust = (decision: RateLimitDecision) => {
    if (!isRateLimitDecision(decision))
      throw new StoreError(`${what} answered something that is not a decision`);
    return decision;
  };
  return ({ id, ownerId, environment, rateLimit }, request) => {
    try {
      const decision = limiter.consume({ id, ownerId, environment, rateLimit }, request);
      return isPromiseLike(decision)
        ? withStoreTimeout(decision, timeoutMs, what).then(trust)
        : trust(decision);
    } catch (error) {
      throw toStoreError(error, what);
    }
  };
}

/** Without a limiter, a key's limit is not in force: the operator should know. */
export function warningOfLimits(): (holder: RateLimitSubject) => undefined {
  let warned = false;
  return ({ rateLimit }) => {
    if (rateLimit && !warned) {
      warned = true;
      warn("KEYBEARER_NO_RATE_LIMITER", 'A key has a "rateLimit", but the verifier has no "rateLimiter"');
    }
    return undefined;
  };
}
