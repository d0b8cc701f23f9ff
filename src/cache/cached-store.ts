import type { Awaitable } from "../internal/awaitable.js";
import { createLookup, type KeyHash, type KeyStore, type ManagedKeyStore } from "../kit.js";
import { createEntries, type Entries } from "./entries.js";
import { createLink, createLoneLink, type Link } from "./lease.js";
import { type CachedStoreOptions, readSettings } from "./options.js";
import { managing } from "./writes.js";

/** What a cached store has beyond the methods of the store behind it. */
export interface CacheControl {
  /** Resolves when the cache is in use: at once without a bus, else when the bus is up for the first time. */
  ready(): Promise<void>;
  /** Leaves the bus and forgets everything. From then on every lookup goes to the store. */
  close(): Promise<void>;
}

/** A store for verification, with a cache in front. */
export type CachedKeyStore = KeyStore & CacheControl;

/** A store for managers, with a cache in front. */
export type CachedManagedKeyStore = ManagedKeyStore & CacheControl;

/**
 * Puts a cache in front of a store. It answers the same kind of store: give it to verifiers, and to managers
 * too, because a change that is made through it is one that it knows of. What a lookup finds it answers from
 * memory for the `ttl`, and never past the expiry of the key; the verifier makes every check each time.
 *
 * - In this process, no lookup that begins after a change has returned answers what was before it. A lookup
 *   that was under way during a change is answered, and not kept. Failures are never kept.
 * - In other processes a change is known within a few milliseconds over a `bus`, and within the `ttl` without
 *   one, or when a process dies between writing a change and telling of it.
 * - A lookup is answered from memory at once; with a bus, when the last was more than 5 ms ago, after one turn
 *   of the event loop. So a process that could not run for a while reads what it has missed before it answers.
 * - While the bus is not known to work, every lookup goes to the store. That is so until `ready()`, and from
 *   three heartbeats after the last one that came back. Observers are told `cache.bypassed`, then
 *   `cache.resumed`.
 * - A change returns when it is written, and the bus has taken the news of it, or has not within 250 ms: then
 *   observers are told `background.failed`, and the others forget everything with the next message.
 * - Only `touch` tells nobody: `lastUsedAt` may lag by the `ttl`.
 *
 * The store must read what it has written: no replica that lags.
 *
 * @throws TypeError for a store without `findByHash`, and options that are unknown or out of range.
 *
 * @example
 * const store = cachedStore(postgresStore(pool), { bus: redisBus({ publisher, subscriber }), observers: [log] });
 * const verifier = createVerifier({ store, scopes, format });
 * const manager = createKeyManager({ store, scopes, format });
 * process.once("SIGTERM", () => store.close());
 */
export function cachedStore(store: ManagedKeyStore, options?: CachedStoreOptions): CachedManagedKeyStore;
/** The same for a store that only verifies. Without a bus, nothing tells it of changes before the `ttl` ends. */
export function cachedStore(store: KeyStore, options?: CachedStoreOptions): CachedKeyStore;
export function cachedStore(
  store: KeyStore,
  options: CachedStoreOptions = {},
): CachedKeyStore & Partial<ManagedKeyStore> {
  if (typeof store?.findByHash !== "function")
    throw new TypeError("cachedStore: the store must have a method findByHash()");
  const settings = readSettings(options);
  const entries = createEntries(settings);
  const { bus, heartbeatMs, observers } = settings;
  const link = bus === undefined ? createLoneLink(entries) : createLink(bus, heartbeatMs, observers, entries);
  const lookUp = createLookup(keeping(store, entries, link), settings.timeoutMs);

  const recall = (hash: KeyHash, now: number) => (link.isSound(now) ? entries.find(hash, now) : undefined);

  const recallOrLookUp = (hash: KeyHash) => {
    const known = recall(hash, performance.now());
    return known === undefined ? lookUp(hash) : known;
  };

  return Object.freeze({
    findByHash(hash: KeyHash) {
      const now = performance.now();
      const known = recall(hash, now);
      if (known === undefined) return lookUp(hash);
      const behind = link.catchUp(now);
      return behind === undefined ? known : behind.then(() => recallOrLookUp(hash));
    },
    ...managing(store, entries, link),
    ready: link.ready,
    close: link.close,
  });
}

/** The store, with what it answers kept if nothing overtakes it: once for all lookups that share a call. */
function keeping(store: KeyStore, entries: Entries, link: Link): KeyStore {
  const mark = () => (link.isSound(performance.now()) ? entries.mark() : undefined);
  const one: KeyStore = {
    findByHash(hash) {
      const began = mark();
      const answer = store.findByHash(hash);
      if (began === undefined) return answer;
      return isPromiseLike(answer)
        ? Promise.resolve(answer).then((found) => entries.keep(hash, found, began))
        : entries.keep(hash, answer, began);
    },
  };
  if (store.findManyByHash === undefined) return one;
  return {
    ...one,
    async findManyByHash(hashes) {
      const began = mark();
      const answers = (await store.findManyByHash?.(hashes)) ?? [];
      if (began === undefined || !Array.isArray(answers) || answers.length !== hashes.length) return answers;
      return hashes.map((hash, place) => entries.keep(hash, answers[place], began));
    },
  };
}

function isPromiseLike<T>(value: Awaitable<T>): value is PromiseLike<T> {
  return typeof (value as { then?: unknown } | null | undefined)?.then === "function";
}
