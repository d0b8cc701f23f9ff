import { quoteAscii } from "../../internal/redact.js";
import { describe } from "../../internal/validate.js";
import { StoreError } from "../errors.js";
import { type ApiKey, isPresent, isReadableRecord, type KeyRecord, toApiKey } from "../keys/record.js";
import type { AuditEntry, Page } from "../keys/store.js";
import { toStoreError } from "../store-calls.js";

// These functions check what a store returned, and throw a StoreError if it breaks the contract of ManagedKeyStore.

const NOT_A_RECORD = "The key store returned a value that is not a key record";

/** Checks the result of `findById`. */
export function readRecord(result: unknown, id: string): KeyRecord | undefined {
  if (!isPresent(result)) return undefined;
  if (!isManagedRecord(result)) throw new StoreError(NOT_A_RECORD);
  if (result.id !== id) throw new StoreError("The key store returned the record of another id");
  return result;
}

/** Checks one record of a page. The error names its id, so that it can be found and repaired. */
export function readListedRecord(item: object): KeyRecord {
  if (isManagedRecord(item)) return item;
  const { id } = item as { id?: unknown };
  throw new StoreError(typeof id === "string" ? `${NOT_A_RECORD}: ${quoteAscii(id)}` : NOT_A_RECORD);
}

/** Checks one audit entry of a page. */
export function readAuditEntry(item: object): AuditEntry {
  const { id, at, action, keyId, ownerId } = item as Record<keyof AuditEntry, unknown>;
  if (at instanceof Date && [id, action, keyId, ownerId].every((member) => typeof member === "string")) {
    return item as AuditEntry;
  }
  throw new StoreError("The key store returned a value that is not an audit entry");
}

/**
 * Checks a page and reads its items. An item of another owner, key or environment than in the query is rejected, because
 * the caller must not see it. The cursor of the query is rejected as the next one, because the list would never end.
 */
export function readPage<T>(
  result: unknown,
  cursor: string | undefined,
  filter: Readonly<Record<string, string | undefined>>,
  readItem: (item: object) => T,
): Page<T> {
  const { items, nextCursor } = (result ?? {}) as { items?: unknown; nextCursor?: unknown };
  const next = nextCursor ?? undefined;
  if (!Array.isArray(items) || (next !== undefined && typeof next !== "string")) {
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
  const read = items.map((item) => readItem(item));
  return next === undefined ? { items: read } : { items: read, nextCursor: next };
}

/** Checks the result of a compare-and-set. A driver's own result object must not count as success. */
export function readCommitted(method: "update" | "replace" | "remove", result: unknown): boolean {
  if (typeof result === "boolean") return result;
  throw new StoreError(
    `The key store must return true or false from ${method}(); received ${describe(result)}`,
  );
}

/** Whether a value is a record that can be changed by compare-and-set. */
export function isManagedRecord(value: unknown): value is KeyRecord {
  try {
    return isReadableRecord(value) && Number.isSafeInteger(value.version) && value.createdAt instanceof Date;
  } catch {
    return false; // a getter may throw
  }
}

/** Converts a stored record to its public view. */
export function toManagedKey(record: KeyRecord, at: Date): ApiKey {
  try {
    return toApiKey(record, at.getTime());
  } catch (error) {
    throw toStoreError(error); // metadata that cannot be cloned; the original message quotes it
  }
}
