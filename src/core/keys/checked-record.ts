import { StoreError } from "../errors.js";
import { toStoreError } from "../store-calls.js";
import { isCheckedRecord, isFrozenRecord } from "./frozen-record.js";
import { type KeyHash, sameHash } from "./hash.js";
import { isPresent, type KeyRecord, type VerifiableRecord } from "./record.js";

/** Every member of a record, so that the compiler reports a new member that is not copied. */
type Members = { readonly [Member in keyof KeyRecord]: VerifiableRecord[Member] };

/**
 * Copies the members of what a store returned: a promise must not be resolved with an object of a store, which may have a
 * getter for `then`. Frozen lists are not copied, because verifiers compile an allowlist once per frozen array. Returns a
 * value that is not an object, or that `freezeRecord` returned, as it is.
 *
 * @throws StoreError if a member cannot be read.
 */
export function copyRecord(value: unknown): VerifiableRecord | null | undefined {
  if (!isPresent(value) || (typeof value !== "object" && typeof value !== "function"))
    return value as undefined;
  if (isFrozenRecord(value)) return value;
  try {
    return copyMembers(value as VerifiableRecord);
  } catch (error) {
    throw toStoreError(error);
  }
}

/** Reads each member by name, because a row object may inherit them. */
function copyMembers(record: VerifiableRecord): Members {
  return {
    id: record.id,
    hash: record.hash as KeyHash,
    ownerId: record.ownerId,
    environment: record.environment,
    scopes: copyList(record.scopes),
    ipAllowlist: copyList(record.ipAllowlist),
    rateLimit: record.rateLimit,
    expiresAt: record.expiresAt,
    disabledAt: record.disabledAt,
    suspendedAt: record.suspendedAt,
    revokedAt: record.revokedAt,
    rotatedAt: record.rotatedAt,
    createdAt: record.createdAt,
    version: record.version,
    start: record.start,
    name: record.name,
    metadata: record.metadata,
    updatedAt: record.updatedAt,
    lastUsedAt: record.lastUsedAt,
    revokedReason: record.revokedReason,
    replacedBy: record.replacedBy,
    replaces: record.replaces,
    disabledBy: record.disabledBy,
    rotationRoot: record.rotationRoot,
    createdBy: record.createdBy,
    createdByKey: record.createdByKey,
  };
}

function copyList<T>(list: T): T {
  return Array.isArray(list) && !Object.isFrozen(list) ? ([...list] as T) : list;
}

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
