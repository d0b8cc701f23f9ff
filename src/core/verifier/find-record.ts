import { checkedRecord, copyRecord } from "../keys/checked-record.js";
import { type Hashers, type KeyHash, sameHash } from "../keys/hash.js";
import type { VerifiableRecord } from "../keys/record.js";
import type { KeyStore } from "../keys/store.js";
import { withStoreTimeout } from "../store-calls.js";
import { createLookup } from "./lookup.js";

/** Finds the record of a secret. Throws or rejects only with a StoreError. */
export type FindRecord = (secret: string) => Found;
type Found = VerifiableRecord | undefined | Promise<VerifiableRecord | undefined>;

/**
 * Creates the lookup of a verifier: by the current hash, then by older ones. Every result is checked: a store that
 * compares only part of a hash must not authenticate anyone.
 */
export function createFindRecord(
  store: KeyStore,
  [current, ...older]: Hashers,
  timeoutMs: number,
): FindRecord {
  const lookup = createLookup(store, timeoutMs);
  const findByCurrent = (hash: KeyHash) => {
    const found = lookup(hash);
    if (!(found instanceof Promise)) return checkedRecord(found, hash, isEqual);
    return found.then((record) => checkedRecord(record, hash, isEqual));
  };
  // A legacy hash may be the secret itself, so its digits are compared in constant time.
  const findAsync = async (hash: KeyHash) => {
    const found = lookup(hash);
    return checkedRecord(found instanceof Promise ? await found : copyRecord(found), hash, sameHash);
  };

  if (older.length === 0) return (secret) => findByCurrent(current(secret));

  const findByAny = async (
    secret: string,
    hash: KeyHash,
    first: Found,
  ): Promise<VerifiableRecord | undefined> => {
    const record = await first;
    if (record !== undefined) return record;
    const records = await Promise.all(
      older.map(async (hasher) => {
        const olderHash = await hasher(secret);
        return olderHash && findAsync(olderHash);
      }),
    );
    // Another request may have moved the key to the current hash since the first lookup.
    return records.find((found) => found !== undefined) ?? findAsync(hash);
  };

  return (secret) => {
    const hash = current(secret);
    const found = findByCurrent(hash);
    if (!(found instanceof Promise) && found !== undefined) return found;
    return withStoreTimeout(findByAny(secret, hash, found), timeoutMs);
  };
}

/** Timing reveals at most digits of a hash of 190 random bits, which do not lead to a secret. */
function isEqual(a: string, b: string): boolean {
  return a === b;
}
