import type { Duration } from "../internal/duration.js";
import { checkMethods, checkOptions } from "../internal/validate.js";
import type { ManagedKeyStore, Observer } from "../kit.js";
import {
  readWriteBehind,
  WRITE_BEHIND_OPTIONS,
  type WriteBehindObserver,
  type WriteBehindOptions,
} from "./options.js";
import { writeBehind } from "./write-behind.js";

/** Options of {@link lastUsed}. */
export interface LastUsedOptions extends WriteBehindOptions {
  /**
   * The shortest time between two writes for one key; `"1m"` by default. `lastUsedAt` may lag by this, plus the second
   * in which uses are batched.
   */
  readonly interval?: Duration;
}

/** Keeps `lastUsedAt` up to date; created by {@link lastUsed}. */
export type LastUsed = WriteBehindObserver;

const MAX_KEYS = 10_000;
const MAX_DELAY_MS = 1_000;

/**
 * Updates `lastUsedAt` in the background, in batches of many keys. A use is written within a second if its key was
 * not written within `interval`, otherwise when `interval` has passed. It uses `touch`, which only moves `lastUsedAt`
 * forward, so it cannot undo a change of state.
 *
 * If the store fails, uses are retried with exponential back-off from one second up to a minute. At most 10,000 keys are
 * pending, plus as many in progress; then uses of further keys are dropped, and `onError` is called. With more keys than
 * that per interval, some are written more often.
 *
 * No timer keeps the process alive; on `beforeExit`, what is pending is written. `process.exit()` and a crash lose it: the
 * first use of a key in the last second, and later uses in the last `interval`. Close it after the server and before the
 * store's client.
 *
 * @throws TypeError if the store has no `touch`, or an option is unknown or invalid.
 *
 * @example
 * const usage = lastUsed(store, { onError: (error, { pending, dropped }) => log.error({ error, pending, dropped }) });
 * const verifier = createVerifier({ store, scopes, format, observers: [usage.observer] });
 * process.once("SIGTERM", () => server.close(() => usage.close()));
 */
export function lastUsed(store: Pick<ManagedKeyStore, "touch">, options: LastUsedOptions = {}): LastUsed {
  const where = "lastUsed";
  const settings = readWriteBehind(where, checkOptions(where, options, WRITE_BEHIND_OPTIONS), "1m");
  const { intervalMs } = settings;
  checkMethods(where, "store", store, ["touch"]);

  const writtenAt = new Map<string, number>(); // times of the monotonic clock; the oldest write first
  const { add, drop, flush, close } = writeBehind<number>({
    ...settings,
    name: where,
    delayMs: Math.min(MAX_DELAY_MS, intervalMs),
    max: MAX_KEYS,
    batchSize: MAX_KEYS,
    merge: Math.max,
    write: (uses) => store.touch(new Map([...uses].map(([id, time]) => [id, new Date(time)]))),
    readyAt: (id) => (writtenAt.get(id) ?? Number.NEGATIVE_INFINITY) + intervalMs,
    onWritten(ids, startedAt) {
      for (const id of ids) {
        writtenAt.delete(id);
        writtenAt.set(id, startedAt);
      }
      for (const [oldest] of writtenAt) {
        if (writtenAt.size <= MAX_KEYS) break;
        writtenAt.delete(oldest);
      }
    },
  });

  const observer: Observer = (event) => {
    if (event.type !== "auth.allowed" || event.isKey === false) return;
    const time = event.at.getTime();
    if (Number.isNaN(time)) drop("the clock of the verifier returned an invalid date; the use is dropped");
    else add(event.keyId, time);
  };

  return Object.freeze({ observer, flush, close });
}
