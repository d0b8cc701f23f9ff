import type { Awaitable } from "../internal/awaitable.js";

/** One counter of a request: a window of a key, an environment or an owner. */
export interface Counter {
  /** Unique among all counters: printable ASCII, up to about 900 characters. The owner is in braces. */
  readonly key: string;
  /** The most that may be taken in one window. */
  readonly limit: number;
  /** The length of a window in milliseconds, from the first request counted in it. Constant for one `key`. */
  readonly windowMs: number;
}

/** The state of a counter. */
export interface CounterState {
  /** The amount taken in the current window. */
  readonly used: number;
  /** Milliseconds until the window ends; the counter's `windowMs` if no window has begun. */
  readonly resetMs: number;
}

/** The result of {@link LimitStore.take}. */
export interface TakeResult {
  readonly allowed: boolean;
  /** The state of every counter after the request, in the order of the counters. */
  readonly states: readonly CounterState[];
}

/**
 * Where a rate limiter counts: `memoryLimits`, `redisLimits`, `flexibleLimits` or a custom one.
 *
 * @example
 * const store: LimitStore = { take: (counters, cost) => myDatabase.takeAllOrNothing(counters, cost) };
 */
export interface LimitStore {
  /**
   * Takes `cost` from every counter, or from none if one of them lacks room. A cost of 0 is always allowed, takes
   * nothing and starts no window. A window is anchored at its first request; later requests do not move it.
   */
  take(counters: readonly Counter[], cost: number): Awaitable<TakeResult>;
}

/** Whether a limit has room for `cost` more after `used`. */
export function hasRoom(limit: number, used: number, cost: number): boolean {
  return cost === 0 || used + cost <= limit;
}
