import { isPromiseLike } from "../internal/awaitable.js";
import { checkFunction, checkMethods } from "../internal/validate.js";
import { createLookup, type KeyHash, type KeyStore, type ManagedKeyStore } from "../kit.js";
import { createEntries, type Entries } from "./entries.js";
import { createFeedLease, type FeedStore } from "./feed.js";
import { createBusLease, createLocalLease, type Lease } from "./lease.js";
import { type CachedStoreOptions, readSettings, type Settings } from "./options.js";
import { createWrites } from "./writes.js";

/** The methods that a cached store adds to the wrapped store. */
export interface CacheControl {
  /** Resolves when the cache is in use: when the store's changes were first read, or the bus first works. */
  ready(): Promise<void>;
  /** Unsubscribes from the bus and clears the cache. Lookups then go to the wrapped store. */
  close(): Promise<void>;
}

/** A cached store for verifiers. */
export type CachedKeyStore = KeyStore & CacheControl;

/** A cached store for verifiers and managers. */
export type CachedManagedKeyStore = ManagedKeyStore & CacheControl;

/**
 * Wraps a store with a cache of keys. Pass the result to verifiers and to managers, because a change made through it
 * invalidates the cache. Verifiers perform every check on cached keys too.
 *
 * - In this process, a lookup that starts after a change returned never returns an older record.
 * - Over a store with `changes` (those for SQL and Redis), a change by any process is in force within `heartbeat` plus
 *   `storeTimeout`, or the cache is bypassed. A `bus` makes it milliseconds.
 * - Over a store without it, a change in another process is in force within the `ttl`, or milliseconds over a `bus`.
 * - A key is not cached past its expiry. Failures, missing keys, and lookups during a change are not cached.
 * - While the cache is bypassed, every lookup goes to the wrapped store. Observers receive `cache.bypassed` and later
 *   `cache.resumed`.
 * - A change waits at most 250 ms for the bus. Then observers receive `background.failed`.
 * - `touch` does not invalidate a key, so a cached `lastUsedAt` may be as old as the `ttl`.
 *
 * The wrapped store must read its own writes; a replica that lags is not suitable.
 *
 * @throws TypeError if the store has no method `findByHash`, or an option is unknown or out of range.
 *
 * @example
 * const store = cachedStore(postgresStore(pool), { bus: redisBus({ publisher, subscriber }), observers: [log] });
 * const verifier = createVerifier({ store, scopes, format });
 * const manager = createKeyManager({ store, scopes, format });
 * process.once("SIGTERM", () => store.close());
 */
export function cachedStore(store: ManagedKeyStore, options?: CachedStoreOptions): CachedManagedKeyStore;
/** Wraps a store that only verifies. Without `changes` and without a bus, changes become visible when the `ttl` ends. */
export function cachedStore(store: KeyStore, options?: CachedStoreOptions): CachedKeyStore;
export function cachedStore(
  store: KeyStore,
  options: CachedStoreOptions = {},
): CachedKeyStore & Partial<ManagedKeyStore> {
  checkMethods("cachedStore", "store", store, ["findByHash"]);
  checkFunction("cachedStore", "store.changes", store.changes);
  const settings = readSettings(options, hasFeed(store));
  const entries = createEntries(settings);
  const lease = createLease(store, settings, entries);
  const lookUp = createLookup(fillCache(store, entries, lease), settings.timeoutMs);

  const getCached = (hash: KeyHash, now: number) => (lease.isValid(now) ? entries.get(hash, now) : undefined);

  return Object.freeze({
    findByHash(hash: KeyHash) {
      const now = performance.now();
      const cached = getCached(hash, now);
      if (cached === undefined) return lookUp(hash);
      const catchingUp = lease.catchUp(now);
      return catchingUp === undefined
        ? cached
        : catchingUp.then(() => getCached(hash, performance.now()) ?? lookUp(hash));
    },
    ...createWrites(store, entries, lease),
    ready: lease.ready,
    close: lease.close,
  });
}

function hasFeed(store: KeyStore): store is FeedStore {
  return store.changes !== undefined;
}

function createLease(store: KeyStore, settings: Settings, entries: Entries): Lease {
  const { bus, heartbeatMs, observers } = settings;
  if (hasFeed(store)) return createFeedLease(store, settings, entries);
  return bus === undefined ? createLocalLease(entries) : createBusLease(bus, heartbeatMs, observers, entries);
}

/** Wraps the lookups of a store to cache their results. */
function fillCache(store: KeyStore, entries: Entries, lease: Lease): KeyStore {
  const start = () => (lease.isValid(performance.now()) ? entries.startLookup() : undefined);
  const single: KeyStore = {
    findByHash(hash) {
      const started = start();
      const result = store.findByHash(hash);
      if (started === undefined) return result;
      return isPromiseLike(result)
        ? Promise.resolve(result).then((found) => entries.set(hash, found, started))
        : entries.set(hash, result, started);
    },
  };
  if (store.findManyByHash === undefined) return single;
  return {
    ...single,
    async findManyByHash(hashes) {
      const started = start();
      const results = (await store.findManyByHash?.(hashes)) ?? [];
      if (started === undefined || !Array.isArray(results) || results.length !== hashes.length)
        return results;
      return hashes.map((hash, index) => entries.set(hash, results[index], started));
    },
  };
}
