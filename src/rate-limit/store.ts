import type { Awaitable } from "../internal/awaitable.js";

/** One of the counters that a request has to fit into. */
export interface Counter {
  /** Its own among all counters: printable ASCII, up to about 900 characters. The owner stands in braces. */
  readonly key: string;
  /** What may be taken of it in a window. */
  readonly limit: number;
  /** How long a window lasts, from the first request that is counted in it. The same for all time under one `key`. */
  readonly windowMs: number;
}

/** Where a counter stands. */
export interface CounterState {
  /** What has been taken in this window. */
  readonly used: number;
  /** Milliseconds until the window ends; `windowMs` of the counter when none has begun. */
  readonly resetMs: number;
}

/** The answer to one request. */
export interface TakeResult {
  readonly allowed: boolean;
  /** Of every counter, in the order in which they were asked, after the request. */
  readonly standings: readonly CounterState[];
}

/**
 * Where a rate limiter counts: `memoryLimits`, `redisLimits`, `flexibleLimits`, or one of your own.
 *
 * @example
 * const counting: LimitStore = { take: (counters, cost) => myDatabase.takeAllOrNothing(counters, cost) };
 */
export interface LimitStore {
  /**
   * Takes `cost` of every counter, or of none when one lacks room. A cost of 0 is always allowed, takes nothing
   * and begins no window. A window is anchored at the first request in it, and is not moved by later ones.
   */
  take(counters: readonly Counter[], cost: number): Awaitable<TakeResult>;
}

/** Whether a request of this cost fits under a limit of which so much is used. */
export function hasRoom(limit: number, used: number, cost: number): boolean {
  return cost === 0 || used + cost <= limit;
}
