import { StoreError } from "../errors.js";
import { isCheckedRecord } from "./frozen-record.js";
import { type KeyHash, sameHash } from "./hash.js";
import { isPresent, type VerifiableRecord } from "./record.js";

/**
 * Checks what a store returned for a hash. A store that compares only part of the hash must not authenticate anyone. By
 * default, hashes are compared in constant time.
 *
 * @throws StoreError if the value is not a key record, or is the record of another hash.
 */
export function checkedRecord(
  value: unknown,
  hash: KeyHash,
  isEqual: (a: string, b: string) => boolean = sameHash,
): VerifiableRecord | undefined {
  if (!isPresent(value)) return undefined;
  if (!isCheckedRecord(value)) {
    throw new StoreError("The key store returned a value that is not a key record");
  }
  if (!isEqual(value.hash, hash)) throw new StoreError("The key store returned the record of another hash");
  return value;
}
