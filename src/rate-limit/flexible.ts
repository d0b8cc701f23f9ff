import { createHash } from "node:crypto";
import { checkMethods } from "../internal/validate.js";
import { StoreError } from "../kit.js";
import { type Counter, type CounterState, hasRoom, type LimitStore } from "./store.js";

/**
 * What `flexibleLimits` calls of a limiter of `rate-limiter-flexible`: every single one has it, those that are put
 * together of others have not.
 */
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

/** What it answers. */
export interface FlexibleCount {
  readonly consumedPoints: number;
  readonly msBeforeNext: number;
}

/**
 * Counts with a limiter of `rate-limiter-flexible` (tested with 11): in PostgreSQL, MySQL, SQLite, MongoDB, DynamoDB and
 * whatever else it has. It is used as the counter only. Its `points` and `duration` are not looked at, and one
 * limiter serves any number of windows; `blockDuration`, `execEvenly` and the like do nothing.
 *
 * Such a counter can be raised and lowered, not asked to rise only if there is room. So the windows are looked at
 * first, and a request without room takes nothing. One with room is counted in one window after the other, from
 * narrow to wide, and when others came before it, what it took is given back. Never more than the limit passes.
 * Until it is given back it is missing for others: where costs differ, one of them may be refused that had room. A
 * process that dies in between leaves it taken until the window ends, and so does a window with little time left:
 * a return that comes late would be a present to the next one.
 *
 * Windows begin and end by the clocks of the processes for most databases, so keep those in step.
 *
 * @throws TypeError for a limiter that is none, and for `RateLimiterMemory`, in place of which there is `memoryLimits`.
 *
 * @example
 * import { RateLimiterPostgres } from "rate-limiter-flexible";
 *
 * const limiter = new RateLimiterPostgres({ storeClient: pool, tableName: "limits", points: 1, duration: 1 }, ready);
 * const rateLimiter = createRateLimiter({ store: flexibleLimits(limiter), windows });
 */
export function flexibleLimits(limiter: FlexibleLimiter): LimitStore {
  checkMethods("flexibleLimits", "limiter", limiter, ["get", "penalty", "reward"]);
  // Its timers fire at once for windows of more than 24 days, which are then no limit; and it grows without end.
  if (limiter.constructor?.name === "RateLimiterMemory") {
    throw new TypeError('flexibleLimits: "limiter" counts in memory; use memoryLimits() for that');
  }

  return Object.freeze({
    async take(counters, cost) {
      const standings = await Promise.all(counters.map((counter) => look(limiter, counter)));
      const room = counters.every(({ limit }, index) => hasRoom(limit, standings[index]?.used ?? 0, cost));
      if (!room || cost === 0) return { allowed: room, standings };
      return takeInTurn(limiter, counters, cost, standings);
    },
  } satisfies LimitStore);
}

async function takeInTurn(
  limiter: FlexibleLimiter,
  counters: readonly Counter[],
  cost: number,
  standings: CounterState[],
) {
  const returns: (() => Promise<CounterState>)[] = [];
  try {
    for (const [index, counter] of counters.entries()) {
      const standing = read(counter, await limiter.penalty(nameOf(counter), cost, durationOf(counter)));
      standings[index] = standing;
      returns.push(returning(limiter, counter, cost, standing));
      if (standing.used <= counter.limit) continue;
      for (const [taken, giveBack] of returns.entries()) standings[taken] = await giveBack();
      return { allowed: false, standings };
    }
    return { allowed: true, standings };
  } catch (error) {
    // Refused, because a window could not be counted: it must not be missing in the others.
    for (const giveBack of returns) await giveBack().catch(() => {});
    throw error;
  }
}

async function look(limiter: FlexibleLimiter, counter: Counter): Promise<CounterState> {
  const found = await limiter.get(nameOf(counter));
  return found === null || found.msBeforeNext <= 0
    ? { used: 0, resetMs: counter.windowMs }
    : read(counter, found);
}

/** Gives back what was taken, once, unless it might come too late for this window. */
function returning(limiter: FlexibleLimiter, counter: Counter, cost: number, standing: CounterState) {
  const ends = performance.now() + standing.resetMs - Math.min(1000, counter.windowMs / 10);
  let done: Promise<CounterState> | undefined;
  const giveBack = async (): Promise<CounterState> => {
    if (performance.now() >= ends) return standing;
    const left = read(counter, await limiter.reward(nameOf(counter), cost, durationOf(counter)));
    if (left.used >= 0) return left;
    // It came too late, and has begun a window with more than nothing left.
    return read(counter, await limiter.penalty(nameOf(counter), cost, durationOf(counter)));
  };
  return () => {
    done ??= giveBack();
    return done;
  };
}

function read({ windowMs }: Counter, count: FlexibleCount): CounterState {
  const used = Number(count?.consumedPoints); // PostgreSQL has large numbers come as texts
  const resetMs = Number(count?.msBeforeNext);
  if (!Number.isFinite(used) || !Number.isFinite(resetMs)) {
    throw new StoreError("The limiter answered something that is no count");
  }
  return { used, resetMs: Math.min(Math.max(0, resetMs), windowMs) };
}

function durationOf({ windowMs }: Counter): { readonly customDuration: number } {
  return { customDuration: windowMs / 1000 };
}

/** Databases cut keys, fold their case or drop spaces at their end. */
function nameOf({ key }: Counter): string {
  return createHash("sha256").update(key).digest("hex");
}
