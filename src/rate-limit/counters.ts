import { LRUCache } from "lru-cache";

/** A bounded number of counters in memory, each of a window that began with its first request. */
export interface Counters {
  /** Where a counter stands; `undefined` when no window runs. */
  find(key: string, windowMs: number): { readonly used: number; readonly resetMs: number } | undefined;
  add(key: string, windowMs: number, cost: number): void;
  readonly size: number;
}

interface Entry {
  used: number;
  ends: number;
}

/**
 * When there is no room for another counter, the one that was not asked for the longest is forgotten.
 * `onForget` is told when its window was still running.
 */
export function createCounters(max: number, now: () => number, onForget?: () => void): Counters {
  const entries = new LRUCache<string, Entry>({
    max,
    dispose: ({ ends }, _key, reason) => {
      if (reason === "evict" && ends > now()) onForget?.();
    },
  });

  const running = (key: string, windowMs: number, time: number): Entry | undefined => {
    const entry = entries.get(key);
    if (entry === undefined || time >= entry.ends) return undefined;
    // The clock was set back: what was used stays used, but no longer than a window from here.
    entry.ends = Math.min(entry.ends, time + windowMs);
    return entry;
  };

  return {
    find(key, windowMs) {
      const time = now();
      const entry = running(key, windowMs, time);
      return entry && { used: entry.used, resetMs: entry.ends - time };
    },
    add(key, windowMs, cost) {
      const time = now();
      const entry = running(key, windowMs, time);
      if (entry === undefined) entries.set(key, { used: cost, ends: time + windowMs });
      else entry.used += cost;
    },
    get size() {
      return entries.size;
    },
  };
}

/** @throws TypeError for a number of counters that cannot be kept. */
export function readMax(where: string, max: unknown): number {
  if (Number.isSafeInteger(max) && (max as number) >= 100 && (max as number) <= 10_000_000)
    return max as number;
  throw new TypeError(`${where}: "max" must be a whole number from 100 to 10,000,000`);
}
