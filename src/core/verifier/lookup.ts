import { type Awaitable, isPromiseLike } from "../../internal/awaitable.js";
import { settledWithin } from "../../internal/timeout.js";
import { StoreError } from "../errors.js";
import { type Hashers, type KeyHash, sameHash } from "../keys/hash.js";
import { isReadableRecord, type VerifiableRecord } from "../keys/record.js";
import type { KeyStore } from "../keys/store.js";
import { toStoreError, withStoreTimeout } from "../store-calls.js";

type Answer = VerifiableRecord | null | undefined;

/** Looks a hash up: at once when the store answers at once, else as a promise. Fails with a StoreError only. */
export type Lookup = (hash: KeyHash) => Awaitable<Answer>;

/** Finds the record of a secret; `undefined` when there is none. */
export type Finder = (secret: string) => Awaitable<VerifiableRecord | undefined>;

/**
 * Makes the lookup of a verifier, which looks under the current hash, then under older ones, and makes sure
 * that what it finds is a record, and the right one: a store that compared too little must not let anybody in.
 *
 * It fails with a StoreError, within `timeoutMs`, when the store fails, is slow or answers anything else.
 */
export function createFinder(store: KeyStore, [current, ...older]: Hashers, timeoutMs: number): Finder {
  const lookup = createLookup(store, timeoutMs);

  const findBy = (hash: KeyHash): Awaitable<VerifiableRecord | undefined> => {
    const answer = lookup(hash);
    return isPromiseLike(answer)
      ? answer.then((found) => checkedRecord(found, hash))
      : checkedRecord(answer, hash);
  };

  if (older.length === 0) return (secret) => findBy(current(secret));

  const findByOlder = async (
    secret: string,
    hash: KeyHash,
    first: Awaitable<VerifiableRecord | undefined>,
  ): Promise<VerifiableRecord | undefined> => {
    const found = await first;
    if (found !== undefined) return found;
    const answers = await Promise.all(
      older.map(async (hasher) => {
        const olderHash = await hasher(secret);
        return olderHash && findBy(olderHash);
      }),
    );
    // Once more: the key may have moved from an older hash to the current one between the two looks.
    return answers.find((answer) => answer !== undefined) ?? findBy(hash);
  };

  return (secret) => {
    const hash = current(secret);
    const found = findBy(hash);
    if (!isPromiseLike(found) && found !== undefined) return found;
    return withStoreTimeout(findByOlder(secret, hash, found), timeoutMs);
  };
}

/** @throws StoreError for what is no record, or that of another hash. */
export function checkedRecord(answer: Answer, hash: KeyHash): VerifiableRecord | undefined {
  if (answer === undefined || answer === null) return undefined;
  if (!isReadableRecord(answer)) {
    throw new StoreError("The key store answered something that is not a key record");
  }
  if (!sameHash(answer.hash, hash)) {
    throw new StoreError("The key store answered the record of another hash");
  }
  return answer;
}

/** Puts a store behind a time limit, and lets lookups share calls. */
export function createLookup(store: KeyStore, timeoutMs: number): Lookup {
  return store.findManyByHash === undefined ? singleFlight(store, timeoutMs) : batched(store, timeoutMs);
}

interface Flight {
  /** Settles with the call that is under way, whatever comes of it. */
  readonly over: Promise<void>;
  /** The call that starts then, for everybody who came after this one had started. */
  next?: Promise<Answer>;
}

/**
 * However many requests bring the same key at once, a quick store sees one call, and one after it for all who
 * came while it ran.
 *
 * A request never shares a call that had started before it arrived. That call may have read the key before a
 * revocation which the request comes after, and would let it in. Nor does it wait long for that call to end:
 * after a tenth of the time limit the next one starts beside it, so that one call that hangs holds up nobody.
 */
function singleFlight(store: KeyStore, timeoutMs: number): Lookup {
  const flights = new Map<KeyHash, Flight>();

  const land = (hash: KeyHash, flight: Flight): void => {
    if (flights.get(hash) === flight) flights.delete(hash);
  };

  const depart = (hash: KeyHash): Awaitable<Answer> => {
    let answer: Awaitable<Answer>;
    try {
      answer = store.findByHash(hash);
      if (!isPromiseLike(answer)) return answer;
    } catch (error) {
      throw toStoreError(error);
    }
    const result = withStoreTimeout(answer, timeoutMs);
    const over = result.then(
      () => land(hash, flight),
      () => land(hash, flight),
    );
    const flight: Flight = { over };
    flights.set(hash, flight);
    return result;
  };

  return (hash) => {
    const flight = flights.size === 0 ? undefined : flights.get(hash); // a store that answers at once has none
    if (flight === undefined) return depart(hash);
    flight.next ??= withStoreTimeout(
      settledWithin(flight.over, timeoutMs / 10).then(() => {
        land(hash, flight); // who comes from now on must not share the call that starts here
        return depart(hash);
      }),
      timeoutMs,
    );
    return flight.next;
  };
}

const MAX_IN_A_BATCH = 500;

interface Batch {
  /** Every hash once, and its place. */
  readonly places: Map<KeyHash, number>;
  readonly answers: Promise<readonly Answer[]>;
}

/** Gathers the lookups of one turn of the event loop, so that they travel as one call. */
function batched(store: KeyStore, timeoutMs: number): Lookup {
  let batch: Batch | undefined;

  const open = (): Batch => {
    const places = new Map<KeyHash, number>();
    const answers = new Promise<readonly Answer[]>((resolve, reject) => {
      setImmediate(() => {
        if (batch?.places === places) batch = undefined; // who comes from now on must not share this call
        const hashes = [...places.keys()];
        const ask = async () => {
          const found = await store.findManyByHash?.(hashes);
          if (Array.isArray(found) && found.length === hashes.length) return found;
          throw new StoreError("The key store answered another number of records than it was asked for");
        };
        withStoreTimeout(ask(), timeoutMs).then(resolve, reject);
      });
    });
    return { places, answers };
  };

  return async (hash) => {
    if (batch === undefined || (batch.places.size >= MAX_IN_A_BATCH && !batch.places.has(hash)))
      batch = open();
    const { places, answers } = batch;
    const place = places.get(hash) ?? places.size;
    places.set(hash, place);
    return (await answers)[place];
  };
}
