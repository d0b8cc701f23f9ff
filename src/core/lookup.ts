import { StoreError } from "./errors.js";
import { type Hashers, type KeyHash, sameHash } from "./hash.js";
import { isPromiseLike } from "./options.js";
import { isReadableRecord, type VerifiableRecord } from "./record.js";
import type { Awaitable, KeyStore } from "./store.js";

const STORE = "The key store";

type Answer = VerifiableRecord | null | undefined;

/** Looks a hash up: at once when the store answers at once, else as a promise. Fails with a StoreError only. */
export type Lookup = (hash: KeyHash) => Awaitable<Answer>;

/**
 * Finds the record of a secret under the current pepper, then under older ones, and makes sure that it is a
 * record, and the right one: a store that compared too little must not let anybody in.
 *
 * @throws StoreError when the store fails, or answers anything else.
 */
export function findRecord(
  secret: string,
  hashers: Hashers,
  lookup: Lookup,
  index = 0,
): Awaitable<VerifiableRecord | undefined> {
  const hasher = hashers[index];
  if (hasher === undefined) return undefined;
  const hash = hasher(secret);
  const recognise = (answer: Answer) => {
    if (answer === undefined || answer === null) return findRecord(secret, hashers, lookup, index + 1);
    if (!isReadableRecord(answer))
      throw new StoreError("The key store answered something that is not a key record");
    if (!sameHash(answer.hash, hash))
      throw new StoreError("The key store answered the record of another hash");
    return answer;
  };
  const answer = lookup(hash);
  return isPromiseLike(answer) ? answer.then(recognise) : recognise(answer);
}

interface Flight {
  /** Settles with the call that is under way, whatever comes of it. */
  readonly over: Promise<void>;
  /** The call that starts then, for everybody who came after this one had started. */
  next?: Promise<Answer>;
}

/**
 * Puts the store behind a time limit, and lets look-ups of one hash share calls: however many requests bring
 * the same key at once, a quick store sees one call, and one after it for all who came while it ran.
 *
 * A request never shares a call that had started before it arrived. That call may have read the key before a
 * revocation which the request comes after, and would let it in. Nor does it wait long for that call to end:
 * after a tenth of the time limit the next one starts beside it, so that one call that hangs holds up nobody.
 */
export function createLookup(store: KeyStore, timeoutMs: number): Lookup {
  const ask =
    store.findManyByHash === undefined ? (hash: KeyHash) => store.findByHash(hash) : inBatches(store);
  const flights = new Map<KeyHash, Flight>();

  const depart = (hash: KeyHash): Awaitable<Answer> => {
    let answer: Awaitable<Answer>;
    try {
      answer = ask(hash);
      if (!isPromiseLike(answer)) return answer;
    } catch (error) {
      throw failed(error);
    }
    const result = withinTime(answer, timeoutMs);
    const land = () => {
      if (flights.get(hash) === flight) flights.delete(hash);
    };
    const flight: Flight = { over: result.then(land, land) };
    flights.set(hash, flight);
    return result;
  };

  return (hash) => {
    const flight = flights.get(hash);
    if (flight === undefined) return depart(hash);
    flight.next ??= withinTime(
      atMost(flight.over, timeoutMs / 10).then(() => depart(hash)),
      timeoutMs,
    );
    return flight.next;
  };
}

/** Waits for a promise that does not fail, but not longer than `milliseconds`. */
function atMost(promise: Promise<void>, milliseconds: number): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, milliseconds);
    promise.then(() => {
      clearTimeout(timer);
      resolve();
    });
  });
}

/**
 * Waits for an answer, but not longer than `timeoutMs`. Whatever goes wrong becomes a StoreError.
 */
export function withinTime<T>(answer: PromiseLike<T>, timeoutMs: number, what: string = STORE): Promise<T> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(
      () => reject(new StoreError(`${what} did not answer within ${timeoutMs} ms`)),
      timeoutMs,
    );
    const settle = (finish: () => void) => {
      clearTimeout(timer);
      finish();
    };
    try {
      answer.then(
        (value) => settle(() => resolve(value)),
        (error) => settle(() => reject(failed(error, what))),
      );
    } catch (error) {
      settle(() => reject(failed(error, what))); // a query builder that runs, and fails, when it is awaited
    }
  });
}

/** Names the kind of a driver's error, never its text: drivers put statements and parameters there. */
export function failed(error: unknown, what: string = STORE): StoreError {
  if (error instanceof StoreError) return error;
  const { name, code } = (error ?? {}) as { name?: unknown; code?: unknown };
  const kind = [name, code].filter((part) => typeof part === "string" && /^\w{1,64}$/.test(part)).join(" ");
  return new StoreError(`${what} failed${kind && ` (${kind})`}`, error);
}

const MOST_IN_A_BATCH = 500;

/** Gathers the look-ups of one turn of the event loop, so that they travel as one call. */
function inBatches(store: KeyStore): (hash: KeyHash) => Promise<Answer> {
  let batch: { hashes: KeyHash[]; answers: Promise<readonly Answer[]> } | undefined;

  const open = () => {
    const hashes: KeyHash[] = [];
    const answers = new Promise<readonly Answer[]>((resolve, reject) => {
      setImmediate(() => {
        if (batch?.hashes === hashes) batch = undefined;
        Promise.resolve()
          .then(() => store.findManyByHash?.(hashes))
          .then((found) => {
            if (Array.isArray(found) && found.length === hashes.length) resolve(found);
            else
              reject(
                new StoreError("The key store answered another number of records than it was asked for"),
              );
          })
          .catch(reject);
      });
    });
    return { hashes, answers };
  };

  return async (hash) => {
    if (batch === undefined || batch.hashes.length >= MOST_IN_A_BATCH) batch = open();
    const index = batch.hashes.push(hash) - 1;
    return (await batch.answers)[index];
  };
}
