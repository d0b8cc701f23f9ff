import { isPromiseLike } from "../../internal/awaitable.js";
import { settledWithin } from "../../internal/timeout.js";
import { StoreError } from "../errors.js";
import { copyRecord } from "../keys/checked-record.js";
import type { KeyHash } from "../keys/hash.js";
import type { VerifiableRecord } from "../keys/record.js";
import type { KeyStore } from "../keys/store.js";
import { toStoreError, withStoreTimeout } from "../store-calls.js";

type LookupResult = VerifiableRecord | null | undefined;

/**
 * Looks up a hash, synchronously if the store is synchronous. Throws or rejects only with a StoreError. A promise resolves
 * with a copy; the value that a synchronous store returned is not copied, and its `then` must not be read again.
 */
export type Lookup = (hash: KeyHash) => LookupResult | Promise<LookupResult>;

/**
 * Adds a time limit to a store, and batches lookups if the store has `findManyByHash`, otherwise shares them by hash.
 */
export function createLookup(store: KeyStore, timeoutMs: number): Lookup {
  return store.findManyByHash === undefined ? singleFlight(store, timeoutMs) : batched(store, timeoutMs);
}

interface InFlight {
  /** Resolves when the lookup settles; never rejects. */
  readonly settled: Promise<void>;
  /** The lookup that starts then, shared by every request that arrived while this one was in flight. */
  next?: Promise<LookupResult>;
}

/**
 * Shares lookups of one hash: concurrent requests cause one call, and one more for all that arrived during it.
 *
 * A request never shares a call that began before it arrived, because that call may have read the key before a
 * revocation. It waits for that call for at most a tenth of the time limit, so a hung call does not delay other requests.
 */
function singleFlight(store: KeyStore, timeoutMs: number): Lookup {
  const inFlight = new Map<KeyHash, InFlight>();

  const settle = (hash: KeyHash, lookup: InFlight): void => {
    if (inFlight.get(hash) === lookup) inFlight.delete(hash);
  };

  const start = (hash: KeyHash): LookupResult | Promise<LookupResult> => {
    const result = find(store, hash, timeoutMs);
    if (!(result instanceof Promise)) return result;
    const onSettled = () => settle(hash, current);
    const current: InFlight = { settled: result.then(onSettled, onSettled) };
    inFlight.set(hash, current);
    return result;
  };

  return (hash) => {
    const current = inFlight.size === 0 ? undefined : inFlight.get(hash); // always empty for synchronous stores
    if (current === undefined) return start(hash);
    current.next ??= withStoreTimeout(
      settledWithin(current.settled, timeoutMs / 10).then(() => {
        settle(hash, current); // requests from now on must not share the call that starts here
        const found = start(hash);
        return found instanceof Promise ? found : copyRecord(found);
      }),
      timeoutMs,
    );
    return current.next;
  };
}

// Small enough for a server to work on one batch while this process decodes another.
const MAX_BATCH_SIZE = 32;

interface Batch {
  /** Each hash once, with its index in the batch. */
  readonly indexes: Map<KeyHash, number>;
  readonly results: Promise<readonly unknown[]>;
}

/**
 * Starts a lookup at once if none is in flight. Otherwise it waits for the end of the turn of the event loop, and lookups
 * that wait are one call.
 */
function batched(store: KeyStore, timeoutMs: number): Lookup {
  let inFlight = 0;
  let open: Batch | undefined;

  /** Counts a call as in flight until it settles, or its time is over. */
  const counted = <T>(call: Promise<T>): Promise<T> => {
    inFlight += 1;
    call.then(onSettled, onSettled);
    return call;
  };
  const onSettled = (): void => {
    inFlight -= 1;
  };

  const findMany = async (hashes: readonly KeyHash[]): Promise<readonly unknown[]> => {
    if (hashes.length === 1) return [await store.findByHash(hashes[0] as KeyHash)];
    const found = await store.findManyByHash?.(hashes);
    if (Array.isArray(found) && found.length === hashes.length) return hashes.map((_, index) => found[index]);
    throw new StoreError(`The key store did not return one result for each of ${hashes.length} hashes`);
  };

  const openBatch = (): Batch => {
    const indexes = new Map<KeyHash, number>();
    const results = new Promise<readonly unknown[]>((resolve) => {
      setImmediate(() => {
        open = undefined; // requests from now on must not share this call
        resolve(counted(withStoreTimeout(findMany([...indexes.keys()]), timeoutMs)));
      });
    });
    return { indexes, results };
  };

  return (hash) => {
    if (inFlight === 0 && open === undefined) {
      const found = find(store, hash, timeoutMs);
      return found instanceof Promise ? counted(found) : found;
    }
    if (open === undefined || (open.indexes.size >= MAX_BATCH_SIZE && !open.indexes.has(hash))) {
      open = openBatch();
    }
    const { indexes, results } = open;
    const index = indexes.get(hash) ?? indexes.size;
    indexes.set(hash, index);
    return results.then((found) => copyRecord(found[index]));
  };
}

/** Looks up one hash, with a time limit if the store returns a promise. */
function find(store: KeyStore, hash: KeyHash, timeoutMs: number): LookupResult | Promise<LookupResult> {
  let found: ReturnType<KeyStore["findByHash"]>;
  try {
    found = store.findByHash(hash);
    if (!isPromiseLike(found)) return found;
  } catch (error) {
    throw toStoreError(error);
  }
  return withStoreTimeout(found, timeoutMs, undefined, copyRecord);
}
