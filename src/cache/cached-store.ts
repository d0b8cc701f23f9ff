import { isPromiseLike } from "../internal/awaitable.js";
import { checkMethods, hasMethod } from "../internal/validate.js";
import { createLookup, type KeyHash, type KeyStore, type ManagedKeyStore } from "../kit.js";
import { createAnnouncements } from "./announcements.js";
import { createEntries, type Entries } from "./entries.js";
import { type CachedStoreOptions, readSettings } from "./options.js";
import { createFeedTrust, createTtlTrust, type Trust } from "./trust.js";
import { createWrites } from "./writes.js";

/** The methods that a cached store adds to the wrapped store. */
export interface CacheControl {
  /** Resolves when the cache is in use: after the first reading of `changes`, or immediately if the store has none. */
  ready(): Promise<void>;
  /** Stops reading changes, unsubscribes from the bus and clears the cache. Lookups then go to the wrapped store. */
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
 * - In other processes, a change is visible within one `heartbeat` plus the `storeTimeout` after it returned, whichever
 *   process made it, if the store has the method `changes`; otherwise within the `ttl`. A `bus` makes it visible within
 *   milliseconds as a rule.
 * - Until `ready()`, and while the changes cannot be read in time, every lookup goes to the wrapped store. Observers
 *   receive `cache.bypassed` and later `cache.resumed`.
 * - A key is not cached past its expiry. Failures, missing keys, and lookups during a change are not cached.
 * - `touch` does not invalidate a key, so a cached `lastUsedAt` may be as old as the `ttl`.
 *
 * The wrapped store must read its own writes; a replica that lags is not suitable.
 *
 * @throws TypeError if the store has no method `findByHash`, or an option is unknown or out of range.
 *
 * @example
 * const store = cachedStore(postgresStore(pool), { ttl: "10m", observers: [log] });
 * const verifier = createVerifier({ store, scopes, format });
 * const manager = createKeyManager({ store, scopes, format });
 * process.once("SIGTERM", () => store.close());
 */
export function cachedStore(store: ManagedKeyStore, options?: CachedStoreOptions): CachedManagedKeyStore;
/** Wraps a store that only verifies. Without its method `changes`, changes become visible when the `ttl` ends. */
export function cachedStore(store: KeyStore, options?: CachedStoreOptions): CachedKeyStore;
export function cachedStore(
  store: KeyStore,
  options: CachedStoreOptions = {},
): CachedKeyStore & Partial<ManagedKeyStore> {
  checkMethods("cachedStore", "store", store, ["findByHash"]);
  const reportsChanges = hasMethod(store, "changes");
  const settings = readSettings(options, reportsChanges);
  const entries = createEntries(settings);
  const trust = reportsChanges ? createFeedTrust(store, settings, entries) : createTtlTrust(entries);
  const lookUp = createLookup(fillCache(store, entries, trust), settings.timeoutMs);
  const { bus, heartbeatMs, observers } = settings;
  const announcements = createAnnouncements(bus, heartbeatMs, observers, entries);

  return Object.freeze({
    findByHash(hash: KeyHash) {
      const now = performance.now();
      return (trust.holds(now) ? entries.get(hash, now) : undefined) ?? lookUp(hash);
    },
    ...createWrites(store, entries, announcements),
    ready: trust.ready,
    close() {
      trust.close();
      return announcements.close();
    },
  });
}

/** Wraps the lookups of a store to cache their results. */
function fillCache(store: KeyStore, entries: Entries, trust: Trust): KeyStore {
  const start = () => (trust.holds(performance.now()) ? entries.startLookup() : undefined);
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
