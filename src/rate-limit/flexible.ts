import { createHash } from "node:crypto";
import { checkMethods } from "../internal/validate.js";
import { StoreError } from "../kit.js";
import { type Counter, type CounterState, hasRoom, type LimitStore } from "./store.js";

/** The methods of a `rate-limiter-flexible` limiter that `flexibleLimits` calls. Combined limiters lack them. */
export interface FlexibleLimiter {
  get(key: string): PromiseLike<FlexibleCount | null>;
  penalty(
    key: string,
    points: number,
    options: { readonly customDuration: number },
  ): PromiseLike<FlexibleCount>;
  reward(
    key: string,
    points: number,
    options: { readonly customDuration: number },
  ): PromiseLike<FlexibleCount>;
}

/** What a {@link FlexibleLimiter} returns. */
export interface FlexibleCount {
  readonly consumedPoints: number;
  readonly msBeforeNext: number;
}

/**
 * Creates a store that counts with a limiter of `rate-limiter-flexible` (tested with 11): in PostgreSQL, MySQL, SQLite,
 * MongoDB, DynamoDB and its other databases. The limiter is only a counter: its `points`, `duration`, `blockDuration`
 * and `execEvenly` have no effect, and one limiter serves any number of windows.
 *
 * Such a counter can be raised and lowered, but not raised on condition. A request is therefore checked against all
 * windows first, and then counted in one window after the other, from narrow to wide. If concurrent requests were
 * faster, its counts are returned. The limit is never exceeded, but until the return, other requests may be denied
 * although there is room. A count stays until the window ends if the process dies before the return, or if little of the
 * window is left: a late return would add to the next window.
 *
 * With most databases, windows follow the clocks of the processes, so keep these synchronized.
 *
 * @throws TypeError if the limiter lacks a method, or is a `RateLimiterMemory`; use `memoryLimits` instead.
 *
 * @example
 * import { RateLimiterPostgres } from "rate-limiter-flexible";
 *
 * const limiter = new RateLimiterPostgres({ storeClient: pool, tableName: "limits", points: 1, duration: 1 }, ready);
 * const rateLimiter = createRateLimiter({ store: flexibleLimits(limiter), windows });
 */
export function flexibleLimits(limiter: FlexibleLimiter): LimitStore {
  checkMethods("flexibleLimits", "limiter", limiter, ["get", "penalty", "reward"]);
  // RateLimiterMemory ends windows of more than 24 days at once, and its memory is unbounded.
  if (limiter.constructor?.name === "RateLimiterMemory") {
    throw new TypeError(
      'flexibleLimits: "limiter" must not be a RateLimiterMemory; use memoryLimits() instead',
    );
  }

  return Object.freeze({
    async take(counters, cost) {
      const states = await Promise.all(counters.map((counter) => readState(limiter, counter)));
      const allowed = counters.every(({ limit }, index) => hasRoom(limit, states[index]?.used ?? 0, cost));
      if (!allowed || cost === 0) return { allowed, states };
      return takeInOrder(limiter, counters, cost, states);
    },
  } satisfies LimitStore);
}

async function takeInOrder(
  limiter: FlexibleLimiter,
  counters: readonly Counter[],
  cost: number,
  states: CounterState[],
) {
  const rollbacks: (() => Promise<CounterState>)[] = [];
  try {
    for (const [index, counter] of counters.entries()) {
      const state = toState(counter, await limiter.penalty(hashedKey(counter), cost, durationOf(counter)));
      states[index] = state;
      rollbacks.push(createRollback(limiter, counter, cost, state));
      if (state.used <= counter.limit) continue;
      for (const [taken, rollback] of rollbacks.entries()) states[taken] = await rollback();
      return { allowed: false, states };
    }
    return { allowed: true, states };
  } catch (error) {
    // The request is denied because one window failed, so it must not count in the others.
    for (const rollback of rollbacks) await rollback().catch(() => {});
    throw error;
  }
}

async function readState(limiter: FlexibleLimiter, counter: Counter): Promise<CounterState> {
  const count = await limiter.get(hashedKey(counter));
  return count === null || count.msBeforeNext <= 0
    ? { used: 0, resetMs: counter.windowMs }
    : toState(counter, count);
}

/** Returns a function that undoes a count, once, unless the window may end before the return arrives. */
function createRollback(limiter: FlexibleLimiter, counter: Counter, cost: number, state: CounterState) {
  const deadline = performance.now() + state.resetMs - Math.min(1000, counter.windowMs / 10);
  let result: Promise<CounterState> | undefined;
  const rollback = async (): Promise<CounterState> => {
    if (performance.now() >= deadline) return state;
    const left = toState(counter, await limiter.reward(hashedKey(counter), cost, durationOf(counter)));
    if (left.used >= 0) return left;
    // The window had ended, and the return started a new one below zero.
    return toState(counter, await limiter.penalty(hashedKey(counter), cost, durationOf(counter)));
  };
  return () => {
    result ??= rollback();
    return result;
  };
}

function toState({ windowMs }: Counter, count: FlexibleCount): CounterState {
  const used = Number(count?.consumedPoints); // PostgreSQL returns large numbers as strings
  const resetMs = Number(count?.msBeforeNext);
  if (!Number.isFinite(used) || !Number.isFinite(resetMs)) {
    throw new StoreError("The limiter of flexibleLimits returned an invalid count");
  }
  return { used, resetMs: Math.min(Math.max(0, resetMs), windowMs) };
}

function durationOf({ windowMs }: Counter): { readonly customDuration: number } {
  return { customDuration: windowMs / 1000 };
}

/** Hashed, because databases truncate keys, ignore case or strip trailing spaces. */
function hashedKey({ key }: Counter): string {
  return createHash("sha256").update(key).digest("hex");
}
