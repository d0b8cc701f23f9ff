import { LRUCache } from "lru-cache";
import { type Duration, readDuration } from "../internal/duration.js";
import { checkOptions } from "../internal/validate.js";
import type { ManagedKeyStore, Observer } from "../kit.js";
import { readWriteBehind, type WriteBehindOptions } from "./options.js";
import { writeBehind } from "./write-behind.js";

/** Options of {@link lastUsed}. */
export interface LastUsedOptions extends WriteBehindOptions {
  /**
   * For how long a key that was written down is not written again: 60,000 ms by default. `lastUsedAt` may lag by
   * this, and by the five seconds that uses wait for each other.
   */
  readonly interval?: Duration;
}

/** Keeps `lastUsedAt` up to date; made by {@link lastUsed}. */
export interface LastUsed {
  /** For the `observers` of a verifier. */
  readonly observer: Observer;
  /** Writes down what is still unwritten. Rejects when the store fails, and keeps it for the next time. */
  flush(): Promise<void>;
  /**
   * Takes no more uses in, and writes down what is unwritten; for the end of the service. Tries again while the
   * store fails, for `closeTimeout` at most. Then it rejects, and can be called again.
   */
  close(): Promise<void>;
}

const MAX_KEYS = 10_000;
const MAX_DELAY_MS = 5_000;

/**
 * Writes down when each key was last used: behind the requests, for all keys together. A use is written within
 * five seconds when its key was not written for `interval`, else when that is over. It goes through `touch`,
 * which only moves `lastUsedAt` forward, so it cannot undo a change of state.
 *
 * When the store fails, uses wait, and are tried again after one second at first, and up to a minute. At most
 * 10,000 keys wait, beside as many under way; then uses of further keys are dropped, which `onError` is told.
 * Of more keys than these within one interval, some are written more often.
 *
 * No timer keeps the process running. Close it after the server, and before the store's client.
 *
 * @throws TypeError for a store without `touch`, and for options that are unknown or cannot work.
 *
 * @example
 * const usage = lastUsed(store, { onError: (error, { pending, dropped }) => log.error({ error, pending, dropped }) });
 * const verifier = createVerifier({ store, scopes, format, observers: [usage.observer] });
 * process.once("SIGTERM", () => server.close(() => usage.close()));
 */
export function lastUsed(store: Pick<ManagedKeyStore, "touch">, options: LastUsedOptions = {}): LastUsed {
  const known = ["interval", "onError", "storeTimeout", "closeTimeout"];
  const checked = checkOptions("lastUsed", options, known);
  const settings = readWriteBehind("lastUsed", checked);
  const intervalMs = readDuration("lastUsed", "interval", checked.interval ?? "1m");
  if (typeof store?.touch !== "function")
    throw new TypeError("lastUsed: the store must have a method touch()");

  const writtenAt = new LRUCache<string, number>({ max: MAX_KEYS }); // by the monotonic clock
  const { add, drop, flush, close } = writeBehind<number>({
    ...settings,
    name: "lastUsed",
    delayMs: Math.min(MAX_DELAY_MS, intervalMs),
    max: MAX_KEYS,
    batchSize: MAX_KEYS,
    merge: Math.max,
    write: (uses) => store.touch(new Map([...uses].map(([id, time]) => [id, new Date(time)]))),
    readyAt: (id) => (writtenAt.peek(id) ?? Number.NEGATIVE_INFINITY) + intervalMs,
    onWritten(ids, began) {
      for (const id of ids) writtenAt.set(id, began);
    },
  });

  const observer: Observer = (event) => {
    if (event.type !== "auth.allowed" || event.isKey === false) return;
    const time = event.at.getTime();
    if (Number.isNaN(time)) drop("the clock gave no date; uses without one are dropped");
    else add(event.keyId, time);
  };

  return Object.freeze({ observer, flush, close });
}
