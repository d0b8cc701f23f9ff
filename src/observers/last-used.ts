import type { ManagedKeyStore, Observer } from "../index.js";

/** Options of {@link lastUsed}. */
export interface LastUsedOptions {
  /** How often uses are written down, and so how far `lastUsedAt` may lag: 60,000 ms by default. */
  readonly intervalMs?: number;
  /** Told when a write failed; its uses are tried again with the next one. */
  readonly onError?: (error: unknown) => unknown;
}

/** Keeps `lastUsedAt` up to date; made by {@link lastUsed}. */
export interface LastUsed {
  /** For the `observers` of a verifier. */
  readonly observer: Observer;
  /** Writes down what is still unwritten. Rejects when the store fails, and keeps it for the next time. */
  flush(): Promise<void>;
  /** Stops the timer and flushes; for the end of the service. */
  close(): Promise<void>;
}

// Uses of more keys than this within one interval are written down early, and while a write of as many is
// under way, further keys have to wait for their next use.
const MOST_KEYS = 10_000;

/**
 * Writes down when each key was last used: behind the requests, once an interval for all keys together. It
 * goes through `touch`, which only moves `lastUsedAt` forward, so it cannot undo a change of state.
 *
 * The timer does not keep the process running. Close it before the store's client is closed.
 *
 * @throws TypeError for a store without `touch`, and for an interval that is none.
 *
 * @example
 * const usage = lastUsed(store);
 * const verifier = createVerifier({ store, scopes, format, observers: [usage.observer] });
 * process.once("SIGTERM", () => usage.close());
 */
export function lastUsed(store: Pick<ManagedKeyStore, "touch">, options: LastUsedOptions = {}): LastUsed {
  const unknown = Object.keys(options ?? {}).find((name) => name !== "intervalMs" && name !== "onError");
  if (typeof options !== "object" || options === null)
    throw new TypeError("lastUsed: expected an options object");
  if (unknown !== undefined) throw new TypeError(`lastUsed: unknown option "${unknown}"`);
  const { intervalMs = 60_000, onError = () => {} } = options;
  if (typeof store?.touch !== "function")
    throw new TypeError("lastUsed: the store must have a method touch()");
  if (!(typeof intervalMs === "number" && intervalMs > 0 && intervalMs < 2 ** 31)) {
    throw new TypeError('lastUsed: "intervalMs" must be a number of milliseconds above 0');
  }
  if (typeof onError !== "function") throw new TypeError('lastUsed: "onError" must be a function');

  const unwritten = new Map<string, Date>();
  let writing: Promise<void> | undefined;
  let failing = false; // then the next try waits for the interval, however much there is to write

  const note = (id: string, at: Date): void => {
    const known = unwritten.get(id);
    if (known === undefined ? unwritten.size < MOST_KEYS : known < at) unwritten.set(id, at);
  };

  const write = async (): Promise<void> => {
    const uses = new Map(unwritten);
    unwritten.clear();
    try {
      if (uses.size > 0) await store.touch(uses);
      failing = false;
    } catch (error) {
      failing = true;
      for (const [id, at] of uses) note(id, at);
      throw error;
    }
  };

  /** One write at a time: what comes meanwhile goes with the next. */
  const flush = async (): Promise<void> => {
    while (writing !== undefined) await writing.catch(() => {});
    writing = write().finally(() => {
      writing = undefined;
    });
    return writing;
  };

  const flushQuietly = (): void => {
    if (writing !== undefined) return;
    flush()
      .catch(async (error) => onError(error))
      .catch(() => {});
  };

  const timer = setInterval(flushQuietly, intervalMs);
  timer.unref();

  return Object.freeze({
    observer: ((event) => {
      if (event.type !== "auth.allowed") return;
      note(event.keyId, event.at);
      if (unwritten.size >= MOST_KEYS && !failing) flushQuietly();
    }) satisfies Observer,
    flush,
    close: () => {
      clearInterval(timer);
      return flush();
    },
  });
}
