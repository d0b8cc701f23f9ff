import { checkFunction, checkOptions } from "../internal/validate.js";
import { warn } from "../internal/warn.js";
import { createCounters, readMax } from "./counters.js";
import { hasRoom, type LimitStore } from "./store.js";

/** Options of {@link memoryLimits}. */
export interface MemoryLimitsOptions {
  /** How many counters are kept: 100,000 by default, some 40 MB. */
  readonly max?: number;
  /** The time, for tests; by default the monotonic clock, which nobody can set. */
  readonly clock?: () => Date;
}

/** Counters in the memory of this process. */
export interface MemoryLimits extends LimitStore {
  /** How many counters there are. */
  readonly size: number;
}

/**
 * Counts in the memory of this process: exact, without a wait, and gone when it ends. Several processes each allow
 * the whole limit.
 *
 * Memory is bounded. Past `max`, the counter that was asked for least recently is forgotten, and begins anew at 0;
 * if its window was still running, a process warning says so once, `KEYBEARER_LIMITS_FORGOTTEN`. Counters of
 * requests that keep coming, refused ones among them, are the last to go.
 *
 * @throws TypeError for options that are unknown or cannot work, naming the option.
 *
 * @example
 * const rateLimiter = createRateLimiter({ store: memoryLimits({ max: 1_000_000 }), windows });
 */
export function memoryLimits(given: MemoryLimitsOptions = {}): MemoryLimits {
  const where = "memoryLimits";
  const { max = 100_000, clock } = checkOptions(where, given, ["max", "clock"]);
  checkFunction(where, "clock", clock);
  let warned = false;
  const forgotten = () => {
    if (warned) return;
    warned = true;
    warn("KEYBEARER_LIMITS_FORGOTTEN", `More than ${max} counters run at once; some were forgotten`);
  };
  const now = clock === undefined ? () => performance.now() : () => clock().getTime();
  const counters = createCounters(readMax(where, max), now, forgotten);

  return Object.freeze({
    take(asked, cost) {
      const before = asked.map(({ key, windowMs }) => counters.find(key, windowMs));
      const allowed = asked.every(({ limit }, index) => hasRoom(limit, before[index]?.used ?? 0, cost));
      const taken = allowed ? cost : 0;
      const standings = asked.map(({ key, windowMs }, index) => {
        const { used = 0, resetMs = windowMs } = before[index] ?? {};
        if (taken > 0) counters.add(key, windowMs, taken);
        return { used: used + taken, resetMs };
      });
      return { allowed, standings };
    },
    get size() {
      return counters.size;
    },
  } satisfies MemoryLimits);
}
