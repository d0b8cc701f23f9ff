import { describe } from "../../internal/validate.js";
import { StoreError } from "../errors.js";
import { checkedRecord, copyRecord } from "../keys/checked-record.js";
import type { KeyHash } from "../keys/hash.js";
import {
  type ApiKey,
  copyDate,
  isPresent,
  isReadableRecord,
  type KeyRecord,
  RECORD_MEMBERS,
  timeOf,
  toApiKey,
  type VerifiableRecord,
} from "../keys/record.js";
import type { AuditEntry, Page } from "../keys/store.js";
import { toStoreError } from "../store-calls.js";

// These functions check what a store returned, and throw a StoreError if it breaks the contract of ManagedKeyStore.

const NOT_A_RECORD = "The key store returned a value that is not a key record";

/** Checks the result of `findById`. */
export function readRecord(result: unknown, id: string): KeyRecord | undefined {
  if (!isPresent(result)) return undefined;
  const record = readManagedRecord(result);
  if (record === undefined) throw new StoreError(NOT_A_RECORD);
  if (record.id !== id) throw new StoreError("The key store returned the record of another id");
  return record;
}

/** Checks the result of `findManyByHash`. */
export function readBatch(
  result: unknown,
  hashes: readonly KeyHash[],
): readonly (VerifiableRecord | undefined)[] {
  if (!Array.isArray(result) || result.length !== hashes.length) {
    throw new StoreError(`The key store did not return one result for each of ${hashes.length} hashes`);
  }
  return hashes.map((hash, index) => checkedRecord(copyRecord(result[index]), hash));
}

/**
 * Copies a record that can be changed by compare-and-set; returns `undefined` for any other value. The copy has plain
 * dates and arrays, so that reading it later cannot fail.
 */
export function readManagedRecord(value: unknown): KeyRecord | undefined {
  try {
    if (!isReadableRecord(value) || copyDate(value.createdAt) === null) return undefined;
    const copy = Object.fromEntries(
      RECORD_MEMBERS.map((member) => [member, copyMember(member, value[member])]),
    );
    return isReadableRecord(copy) && Number.isSafeInteger(copy.version)
      ? (copy as unknown as KeyRecord)
      : undefined;
  } catch {
    return undefined; // a getter may throw
  }
}

/** An object that is no date becomes an invalid one, which counts against the key. */
function copyMember(member: keyof KeyRecord, value: unknown): unknown {
  if (typeof value !== "object" || value === null) return value;
  if (member.endsWith("At")) return new Date(timeOf(value));
  return Array.isArray(value) ? Array.from(value) : value;
}

/** Copies an audit entry; returns `undefined` for any other value. */
export function readAuditEntry(item: object): AuditEntry | undefined {
  try {
    const { id, at, action, keyId, ownerId, actor, details } = item as AuditEntry;
    const areStrings = [id, action, keyId, ownerId].every((member) => typeof member === "string");
    const time = copyDate(at);
    return areStrings && time !== null ? { id, at: time, action, keyId, ownerId, actor, details } : undefined;
  } catch {
    return undefined; // a getter may throw
  }
}

/**
 * Checks a page and reads its items; one that cannot be read is named in `damaged`. An item of another owner, key or
 * environment than in the query is rejected, because the caller must not see it. The cursor of the query is rejected as
 * the next one, because the list would never end.
 */
export function readPage<T>(
  result: unknown,
  cursor: string | undefined,
  filter: Readonly<Record<string, string | undefined>>,
  readItem: (item: object) => T | undefined,
): Page<T> {
  const { items, nextCursor, damaged = [] } = (result ?? {}) as Record<keyof Page<T>, unknown>;
  const next = nextCursor ?? undefined;
  if (!Array.isArray(items) || !isStringArray(damaged) || (next !== undefined && typeof next !== "string")) {
    throw new StoreError("The key store returned a value that is not a page");
  }
  if (next !== undefined && next === cursor)
    throw new StoreError("The key store returned the same page again");
  const filters = Object.entries(filter).filter(([, value]) => value !== undefined);
  const matches = (item: unknown) =>
    typeof item === "object" &&
    item !== null &&
    filters.every(([name, value]) => (item as Record<string, unknown>)[name] === value);
  if (!items.every(matches)) throw new StoreError("The key store returned items that do not match the query");
  const read: T[] = [];
  const unreadable = [...damaged];
  for (const item of items) {
    const copy = readItem(item);
    if (copy !== undefined) read.push(copy);
    else unreadable.push(readId(item));
  }
  return {
    items: read,
    ...(next !== undefined && { nextCursor: next }),
    ...(unreadable.length > 0 && { damaged: unreadable }),
  };
}

function readId({ id }: { readonly id?: unknown }): string {
  if (typeof id === "string") return id;
  throw new StoreError("The key store returned an item that cannot be read, and has no id");
}

function isStringArray(value: unknown): value is readonly string[] {
  return Array.isArray(value) && value.every((item) => typeof item === "string");
}

/** Checks the result of a compare-and-set. A driver's own result object must not count as success. */
export function readCommitted(method: string, result: unknown): boolean {
  if (typeof result === "boolean") return result;
  throw new StoreError(
    `The key store must return true or false from ${method}(); received ${describe(result)}`,
  );
}

/** Converts a stored record to its public view. */
export function toManagedKey(record: KeyRecord, at: Date): ApiKey {
  try {
    return toApiKey(record, at.getTime());
  } catch (error) {
    throw toStoreError(error); // metadata that cannot be cloned; the original message quotes it
  }
}
