import { deepFreeze } from "../internal/freeze.js";
import { memoize } from "../internal/memoize.js";
import { warnOnce } from "../internal/warn.js";
import {
  type AuditEntry,
  type AuditQuery,
  CHANGEABLE_MEMBERS,
  decodeCursor,
  encodeCursor,
  freezeRecord,
  type KeyChange,
  KeyConflictError,
  type KeyHash,
  type KeyRecord,
  keyStatus,
  type ManagedKeyStore,
  type Page,
} from "../kit.js";
import { createRecordDecoder, encodeKey, jsonFormat } from "./json-codec.js";
import { createAuditDecoder, createMakerError, encodeTime, parseJson } from "./record-codec.js";

const warnInProduction = warnOnce("KEYBEARER_MEMORY_STORE");

/**
 * Creates a store that keeps keys in the memory of this process, for tests, demos, and services that load their keys
 * at start-up. All keys are lost when the process ends. The audit trail is never truncated.
 *
 * Every method is synchronous. `findByHash` returns the frozen stored record; the other methods return copies. A write
 * with an invalid date, a member of the wrong type, or a duplicate id or hash throws and changes nothing. Emits the
 * process warning `KEYBEARER_MEMORY_STORE` once if `NODE_ENV` is `production`.
 *
 * @example
 * const store = memoryStore();
 * const manager = createKeyManager({ store, scopes, format });
 */
export function memoryStore(): ManagedKeyStore {
  if (globalThis.process?.env?.NODE_ENV === "production") {
    warnInProduction("memoryStore() loses all keys when the process ends");
  }
  const byHash = shardedMap<KeyRecord>();
  const byId = shardedMap<KeyRecord>();
  const keys = sortedList<KeyRecord>("createdAt");
  const keysByOwner = sortedList<KeyRecord>("createdAt", "ownerId");
  const keysByMaker = sortedList<KeyRecord>("createdAt", "createdByKey");
  const trail = sortedList<AuditEntry>("at");
  const trailByKey = sortedList<AuditEntry>("at", "keyId");
  const trailByOwner = sortedList<AuditEntry>("at", "ownerId");
  const trailByActor = sortedList<AuditEntry>("at", "actor");

  const listsOf = (record: KeyRecord) =>
    record.createdByKey === null ? [keys, keysByOwner] : [keys, keysByOwner, keysByMaker];
  const trailsOf = (entry: AuditEntry) =>
    entry.actor === null
      ? [trail, trailByKey, trailByOwner]
      : [trail, trailByKey, trailByOwner, trailByActor];

  const findVersion = (id: string, version: number): KeyRecord | undefined => {
    const record = byId(id).get(id);
    return record?.version === version ? record : undefined;
  };

  const assertNewHash = (hash: KeyHash): void => {
    if (byHash(hash).has(hash)) throw new KeyConflictError("A key of this hash exists");
  };

  const put = (record: KeyRecord): void => {
    byHash(record.hash).set(record.hash, record);
    byId(record.id).set(record.id, record);
    for (const list of listsOf(record)) list.put(record);
  };

  /** Writes records and the audit entry of one change, or throws and writes nothing. */
  const commit = (audit: AuditEntry, changed?: KeyRecord, added?: KeyRecord): true => {
    const entry = readEntry(audit);
    if (added !== undefined) {
      if (byId(added.id).has(added.id)) throw new KeyConflictError("A key of this id exists");
      assertNewHash(added.hash);
    }
    if (changed !== undefined) put(changed);
    if (added !== undefined) put(added);
    for (const list of trailsOf(entry)) list.add(entry);
    return true;
  };

  return Object.freeze<ManagedKeyStore>({
    findByHash: (hash) => byHash(hash).get(hash),

    findById: (id) => structuredClone(byId(id).get(id)),

    list(query) {
      const { ownerId, environment, status, createdByKey, endedBefore, now } = query;
      const list = createdByKey !== undefined ? keysByMaker : ownerId !== undefined ? keysByOwner : keys;
      return list.page(createdByKey ?? ownerId ?? "", query, (record) => {
        if (ownerId !== undefined && record.ownerId !== ownerId) return false;
        if (environment !== undefined && record.environment !== environment) return false;
        if (status !== undefined && keyStatus(record, now.getTime()) !== status) return false;
        const ends = [record.revokedAt, record.expiresAt];
        return endedBefore === undefined || ends.some((end) => end !== null && end <= endedBefore);
      });
    },

    insert(record, audit) {
      const added = readRecord(record);
      const { createdByKey: maker } = added;
      if (maker !== null && byId(maker).get(maker)?.revokedAt !== null) throw createMakerError();
      commit(audit, undefined, added);
    },

    update(id, ifVersion, change, audit) {
      const record = findVersion(id, ifVersion);
      return record !== undefined && commit(audit, applyChange(record, change));
    },

    replace(id, ifVersion, change, successor, audit) {
      const record = findVersion(id, ifVersion);
      if (record === undefined) return false;
      return commit(audit, applyChange(record, change), readRecord(successor));
    },

    touch(uses) {
      for (const date of uses.values()) encodeTime(date); // rejects an invalid date before the first write
      for (const [id, date] of uses) {
        const record = byId(id).get(id);
        if (record === undefined || (record.lastUsedAt !== null && record.lastUsedAt >= date)) continue;
        put(readRecord({ ...record, lastUsedAt: date }));
      }
    },

    rehash(id, from, to, audit) {
      const record = byId(id).get(id);
      if (record?.hash !== from) return false;
      if (to !== from) assertNewHash(to);
      commit(audit, readRecord({ ...record, hash: to }));
      if (to !== from) byHash(from).delete(from);
      return true;
    },

    remove(id, ifVersion, audit) {
      const record = findVersion(id, ifVersion);
      if (record === undefined) return false;
      commit(audit);
      byHash(record.hash).delete(record.hash);
      byId(id).delete(id);
      for (const list of listsOf(record)) list.remove(record);
      return true;
    },

    auditTrail(query) {
      const { keyId, ownerId, actor } = query;
      const matches = (entry: AuditEntry): boolean =>
        (ownerId === undefined || entry.ownerId === ownerId) &&
        (actor === undefined || entry.actor === actor);
      if (keyId !== undefined) return trailByKey.page(keyId, query, matches);
      if (actor !== undefined) return trailByActor.page(actor, query, matches);
      return (ownerId === undefined ? trail : trailByOwner).page(ownerId ?? "", query, matches);
    },

    appendAudit(entries) {
      for (const entry of entries.map(readEntry)) for (const list of trailsOf(entry)) list.put(entry);
    },
  });
}

const decodeKey = createRecordDecoder();
// Encoding copies a record, also the strings, which may be slices of longer ones, such as the start of a secret.
const readRecord = (record: KeyRecord): KeyRecord => freezeRecord(deepFreeze(decodeKey(encodeKey(record))));

// Equal details of audit entries are one frozen object.
const shareDetails = memoize((json) => deepFreeze(parseJson(json)), 1_000);
const decodeEntry = createAuditDecoder({
  ...jsonFormat(["id", "at", "action", "keyId", "ownerId", "actor", "details"]),
  object: (json) => (typeof json === "string" ? shareDetails(json) : undefined),
});
const readEntry = ({ actor, at, details, ...strings }: AuditEntry): AuditEntry => {
  const row = { ...strings, actor: actor ?? null, at: encodeTime(at), details: JSON.stringify(details) };
  return decodeEntry(JSON.parse(JSON.stringify(row)));
};

function applyChange(record: KeyRecord, change: KeyChange): KeyRecord {
  const given = CHANGEABLE_MEMBERS.filter((member) => change[member] !== undefined);
  const changed = Object.fromEntries(given.map((member) => [member, change[member]]));
  return readRecord({ ...record, ...changed, version: record.version + 1 });
}

/** Spreads entries over 256 Maps, because a Map of a million entries blocks for 29 ms when it grows. */
function shardedMap<T>(): (key: string) => Map<string, T> {
  const shards = Array.from({ length: 256 }, () => new Map<string, T>());
  const digit = (code: number): number => (code & 15) + 9 * (code >> 6); // of hexadecimal
  return (key) => {
    const [high, low] = [key.charCodeAt(key.length - 2), key.charCodeAt(key.length - 1)];
    return shards[(digit(high) * 16 + digit(low)) & 255] as Map<string, T>;
  };
}

type Position = { readonly group: string; readonly time: number; readonly id: string };
const MAX_CHUNK = 1_024;

/** Keeps items in order of group, date and id. Chunks keep an insert fast when keys do not arrive in order. */
function sortedList<T extends { readonly id: string }>(dateKey: keyof T, groupKey?: keyof T) {
  const chunks: T[][] = [[]];
  const dateOf = (item: T): Date => item[dateKey] as Date;
  const timeOf = (item: T): number => dateOf(item).getTime();
  const groupOf = (item: T): string => (groupKey === undefined ? "" : (item[groupKey] as string));

  const isBefore = (item: T, { group, time, id }: Position): boolean => {
    if (groupOf(item) !== group) return groupOf(item) < group;
    return timeOf(item) === time ? item.id < id : timeOf(item) < time;
  };

  /** Finds the first of `count` items, or of chunks by their last item, that is not before a position. */
  const search = (list: readonly (T | T[])[], count: number, position: Position): number => {
    let [low, middle, high] = [0, count - 1, count]; // most new items belong at the end
    while (low < high) {
      const entry = list[middle] as T | T[];
      if (isBefore(Array.isArray(entry) ? (entry.at(-1) as T) : entry, position)) low = middle + 1;
      else high = middle;
      middle = (low + high) >>> 1;
    }
    return low;
  };

  const locate = (position: Position) => {
    const place = search(chunks, chunks.length - 1, position);
    const chunk = chunks[place] as T[];
    return { place, chunk, index: search(chunk, chunk.length, position) };
  };

  const write = (item: T, replaces: boolean, added: readonly T[]): void => {
    const { place, chunk, index } = locate({ group: groupOf(item), time: timeOf(item), id: item.id });
    chunk.splice(index, replaces && chunk[index]?.id === item.id ? 1 : 0, ...added);
    const half = index === MAX_CHUNK ? MAX_CHUNK : MAX_CHUNK / 2; // chunks stay full if items arrive in order
    if (chunk.length > MAX_CHUNK) chunks.splice(place + 1, 0, chunk.splice(half));
    if (chunk.length === 0 && chunks.length > 1) chunks.splice(place, 1);
  };

  return {
    add: (item: T) => write(item, false, [item]),
    /** Adds an item, or replaces the item with the same id. */
    put: (item: T) => write(item, true, [item]),
    remove: (item: T) => write(item, true, []),

    /** Returns copies of the items of a group, newest first. */
    page(group: string, { cursor, limit }: AuditQuery, matches: (item: T) => boolean): Page<T> {
      const start = cursor === undefined ? undefined : decodeCursor(cursor);
      const time = start?.at.getTime() ?? Number.POSITIVE_INFINITY;
      const { place, chunk, index } = locate({ group, time, id: start?.id ?? "" });
      const items: T[] = [];
      for (const older of [...chunks.slice(0, place), chunk.slice(0, index)].reverse()) {
        for (const item of older.toReversed()) {
          if (groupOf(item) !== group) return { items };
          if (!matches(item)) continue;
          const last = items.at(-1);
          if (items.length < limit) items.push(structuredClone(item));
          else if (last) return { items, nextCursor: encodeCursor({ at: dateOf(last), id: last.id }) };
        }
      }
      return { items };
    },
  };
}
