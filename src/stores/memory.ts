import type {
  AuditEntry,
  AuditQuery,
  KeyChange,
  KeyHash,
  KeyQuery,
  KeyRecord,
  ManagedKeyStore,
  Page,
} from "../kit.js";
import { draftChange, draftEntry, draftKey, moment } from "./memory/drafts.js";
import { keyTable } from "./memory/keys.js";
import { newest } from "./memory/newest.js";
import { createPool } from "./memory/pool.js";
import { createTrail } from "./memory/trail.js";

let warned = false;

/**
 * Keeps keys in this process, and loses them with it: for tests, demos and services that load their keys at
 * start-up. Holds the whole contract of a {@link ManagedKeyStore}; answers at once, so a verification never
 * waits.
 *
 * Made for many keys: they lie packed in tables, with equal scope lists, allowlists and owners kept once.
 * `findByHash` answers a frozen record. A date that is none, or anything else that could not be answered as it
 * was given, is a `TypeError`, and then nothing was changed. The audit trail grows with each change, and is
 * never cut.
 *
 * Warns once, with the code `KEYBEARER_MEMORY_STORE`, when `NODE_ENV` is `production`.
 *
 * @example
 * const store = memoryStore();
 * const manager = createKeyManager({ store, scopes, format });
 */
export function memoryStore(): ManagedKeyStore {
  if (!warned && globalThis.process?.env?.NODE_ENV === "production") {
    warned = true;
    process.emitWarning("memoryStore() forgets every key when the process ends", {
      type: "KeybearerWarning",
      code: "KEYBEARER_MEMORY_STORE",
    });
  }
  const texts = createPool((text) => text);
  const keys = keyTable(texts);
  const trail = createTrail(texts, keys.copyId);

  /** The key, if it is still in the version that the caller read. */
  const current = (id: string, version: number): { row: number; record: KeyRecord } | undefined => {
    const row = keys.find(id);
    const record = row === undefined ? undefined : keys.read(row);
    return row !== undefined && record?.version === version ? { row, record } : undefined;
  };

  return Object.freeze({
    findByHash: (hash: KeyHash) => keys.findByHash(hash),

    findById(id: string): KeyRecord | undefined {
      const row = keys.find(id);
      return row === undefined ? undefined : keys.read(row);
    },

    list: (query: KeyQuery): Page<KeyRecord> => newest(keys, keys.select(query), keys.read, query),

    insert(record: KeyRecord, audit: AuditEntry): void {
      const [key, entry] = [draftKey(record), draftEntry(audit)];
      keys.assertNew(key);
      trail.append(entry);
      keys.insert(key);
    },

    update(id: string, ifVersion: number, change: KeyChange, audit: AuditEntry): boolean {
      const found = current(id, ifVersion);
      if (found === undefined) return false;
      const [key, entry] = [draftChange(found.record, change), draftEntry(audit)];
      trail.append(entry);
      keys.rewrite(found.row, key);
      return true;
    },

    replace(
      id: string,
      ifVersion: number,
      change: KeyChange,
      successor: KeyRecord,
      audit: AuditEntry,
    ): boolean {
      const found = current(id, ifVersion);
      if (found === undefined) return false;
      const [key, next, entry] = [draftChange(found.record, change), draftKey(successor), draftEntry(audit)];
      keys.assertNew(next);
      trail.append(entry);
      keys.rewrite(found.row, key);
      keys.insert(next);
      return true;
    },

    touch(uses: ReadonlyMap<string, Date>): void {
      for (const at of uses.values()) moment("lastUsedAt", at); // refused before any is written
      for (const [id, at] of uses) {
        const row = keys.find(id);
        if (row !== undefined) keys.touch(row, at.getTime());
      }
    },

    rehash(id: string, from: KeyHash, to: KeyHash, audit: AuditEntry): boolean {
      const row = keys.find(id);
      if (row === undefined || keys.hashAt(row) !== from) return false;
      const entry = draftEntry(audit);
      if (to !== from) keys.assertNewHash(to);
      trail.append(entry);
      keys.rehash(row, to);
      return true;
    },

    remove(id: string, ifVersion: number, audit: AuditEntry): boolean {
      const found = current(id, ifVersion);
      if (found === undefined) return false;
      const entry = draftEntry(audit);
      trail.append(entry);
      keys.remove(found.row);
      return true;
    },

    auditTrail: (query: AuditQuery): Page<AuditEntry> =>
      newest(trail, trail.select(query), trail.read, query),

    appendAudit(entries: readonly AuditEntry[]): void {
      for (const entry of entries.map(draftEntry)) if (!trail.hasId(entry.id)) trail.append(entry);
    },
  });
}
