import { LRUCache } from "lru-cache";

/** A bounded number of in-memory counters. The window of each one is anchored at its first request. */
export interface Counters {
  /** Returns the state of a counter, or `undefined` if it has no current window. */
  find(key: string, windowMs: number): { readonly used: number; readonly resetMs: number } | undefined;
  add(key: string, windowMs: number, cost: number): void;
  readonly size: number;
}

interface Entry {
  used: number;
  endsAt: number;
}

/**
 * Creates counters. Past `max`, the least recently used one is evicted; `onEvict` is called if its window had not ended.
 *
 * @param now returns milliseconds.
 */
export function createCounters(max: number, now: () => number, onEvict?: () => void): Counters {
  const entries = new LRUCache<string, Entry>({
    max,
    dispose: ({ endsAt }, _key, reason) => {
      if (reason === "evict" && endsAt > now()) onEvict?.();
    },
  });

  const current = (key: string, windowMs: number, time: number): Entry | undefined => {
    const entry = entries.get(key);
    if (entry === undefined || time >= entry.endsAt) return undefined;
    // If the clock was set back, the window ends one window length from now at the latest.
    entry.endsAt = Math.min(entry.endsAt, time + windowMs);
    return entry;
  };

  return {
    find(key, windowMs) {
      const time = now();
      const entry = current(key, windowMs, time);
      return entry && { used: entry.used, resetMs: entry.endsAt - time };
    },
    add(key, windowMs, cost) {
      const time = now();
      const entry = current(key, windowMs, time);
      if (entry === undefined) entries.set(key, { used: cost, endsAt: time + windowMs });
      else entry.used += cost;
    },
    get size() {
      return entries.size;
    },
  };
}
