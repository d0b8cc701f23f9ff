import { checkFunction, checkOptions, readInteger } from "../internal/validate.js";
import { warnOnce } from "../internal/warn.js";
import { createCounters } from "./counters.js";
import { hasRoom, type LimitStore } from "./store.js";

/** Options of {@link memoryLimits}. */
export interface MemoryLimitsOptions {
  /** The maximum number of counters: 100,000 by default, about 40 MB. */
  readonly max?: number;
  /** The clock, for tests; by default the monotonic clock, which changes of the system clock do not affect. */
  readonly clock?: () => Date;
}

/** Counters in the memory of this process, created by {@link memoryLimits}. */
export interface MemoryLimits extends LimitStore {
  /** The current number of counters. */
  readonly size: number;
}

/**
 * Creates a store that counts in the memory of this process: exact and synchronous, but lost when the process ends.
 * With several processes, each one allows the whole limit.
 *
 * Past `max` counters, the least recently used one is evicted and starts again at 0. If its window had not ended, the
 * process warning `KEYBEARER_COUNTERS_EVICTED` is emitted once. Denied requests count as uses.
 *
 * @throws TypeError if an option is unknown or invalid.
 *
 * @example
 * const rateLimiter = createRateLimiter({ store: memoryLimits({ max: 1_000_000 }), windows });
 */
export function memoryLimits(given: MemoryLimitsOptions = {}): MemoryLimits {
  const where = "memoryLimits";
  const { max: maxOption = 100_000, clock } = checkOptions(where, given, ["max", "clock"]);
  const max = readInteger(where, "max", maxOption, 100, 10_000_000);
  checkFunction(where, "clock", clock);
  const warnEvicted = warnOnce("KEYBEARER_COUNTERS_EVICTED");
  const now = clock === undefined ? () => performance.now() : () => clock().getTime();
  const counters = createCounters(max, now, () =>
    warnEvicted(`memoryLimits: more than ${max} counters are in use; the oldest are evicted. Raise "max"`),
  );

  return Object.freeze({
    take(requested, cost) {
      const before = requested.map(({ key, windowMs }) => counters.find(key, windowMs));
      const allowed = requested.every(({ limit }, index) => hasRoom(limit, before[index]?.used ?? 0, cost));
      const taken = allowed ? cost : 0;
      const states = requested.map(({ key, windowMs }, index) => {
        const { used = 0, resetMs = windowMs } = before[index] ?? {};
        if (taken > 0) counters.add(key, windowMs, taken);
        return { used: used + taken, resetMs };
      });
      return { allowed, states };
    },
    get size() {
      return counters.size;
    },
  } satisfies MemoryLimits);
}
