import { deepFreeze } from "../internal/freeze.js";
import { memoize } from "../internal/memoize.js";
import { warnOnce } from "../internal/warn.js";
import {
  type AuditEntry,
  CHANGEABLE_MEMBERS,
  CLOCK_TOLERANCE_MS,
  freezeRecord,
  type KeyChange,
  KeyConflictError,
  type KeyHash,
  type KeyRecord,
  keyStatus,
  type ManagedKeyStore,
  matchesSearch,
  type OwnerQuota,
  unlimitedQuota,
} from "../kit.js";
import { createRecordDecoder, encodeKey, jsonFormat } from "./json-codec.js";
import { shardedMap, sortedList } from "./memory/lists.js";
import { createOwners } from "./memory/owners.js";
import { createAuditDecoder, createCreatorError, encodeTime, parseJson } from "./record-codec.js";

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
  const claimants = new Map<KeyHash, string>(); // the id of the imported or moved key that claims a hash
  const claims = new Map<string, readonly KeyHash[]>();
  const keys = sortedList<KeyRecord>("createdAt");
  const keysByOwner = sortedList<KeyRecord>("createdAt", "ownerId");
  const keysByCreator = sortedList<KeyRecord>("createdAt", "createdByKey");
  const trail = sortedList<AuditEntry>("at");
  const trailByKey = sortedList<AuditEntry>("at", "keyId");
  const trailByOwner = sortedList<AuditEntry>("at", "ownerId");
  const trailByActor = sortedList<AuditEntry>("at", "actor");

  const listsOf = (record: KeyRecord) =>
    record.createdByKey === null ? [keys, keysByOwner] : [keys, keysByOwner, keysByCreator];
  const trailsOf = (entry: AuditEntry) =>
    entry.actor === null
      ? [trail, trailByKey, trailByOwner]
      : [trail, trailByKey, trailByOwner, trailByActor];

  const owners = createOwners((ownerId) => keysByOwner.group(ownerId));

  const findVersion = (id: string, version: number): KeyRecord | undefined => {
    const record = byId(id).get(id);
    return record?.version === version ? record : undefined;
  };

  const assertNewHash = (hash: KeyHash): void => {
    if (byHash(hash).has(hash)) throw new KeyConflictError("A key of this hash exists");
  };

  /** Returns a function that claims hashes for a key. @throws KeyConflictError if another key has one of them. */
  const claim = (id: string, hashes: readonly KeyHash[]): (() => void) => {
    for (const hash of hashes) {
      const others = [claimants.get(hash), byHash(hash).get(hash)?.id];
      if (others.some((other) => other !== undefined && other !== id)) {
        throw new KeyConflictError("Another key has a hash of this key");
      }
    }
    return () => {
      claims.set(id, [...new Set([...(claims.get(id) ?? []), ...hashes])]);
      for (const hash of hashes) claimants.set(hash, id);
    };
  };

  const put = (record: KeyRecord): void => {
    byHash(record.hash).set(record.hash, record);
    byId(record.id).set(record.id, record);
    for (const list of listsOf(record)) list.put(record);
  };

  /** Writes records and the audit entry of one change, or throws and writes nothing. */
  const commit = (
    audit: AuditEntry,
    { changed, added, quota }: { changed?: KeyRecord; added?: KeyRecord; quota?: OwnerQuota | undefined },
  ): true => {
    const entry = readEntry(audit);
    if (added !== undefined) {
      if (byId(added.id).has(added.id)) throw new KeyConflictError("A key of this id exists");
      assertNewHash(added.hash);
    }
    const needed = quota ?? (added && unlimitedQuota(added));
    if (needed !== undefined) owners.reserve(entry.ownerId, needed);
    if (changed !== undefined) put(changed);
    if (added !== undefined) put(added);
    for (const list of trailsOf(entry)) list.add(entry);
    return true;
  };

  return Object.freeze<ManagedKeyStore>({
    findByHash: (hash) => byHash(hash).get(hash),

    findById: (id) => {
      const record = byId(id).get(id);
      return record && withOwnDates(structuredClone(record));
    },

    list(query) {
      const { ownerId, environment, status, createdByKey, endedBefore, search, now } = query;
      const list = createdByKey !== undefined ? keysByCreator : ownerId !== undefined ? keysByOwner : keys;
      const page = list.page(createdByKey ?? ownerId ?? "", query, (record) => {
        if (ownerId !== undefined && record.ownerId !== ownerId) return false;
        if (environment !== undefined && record.environment !== environment) return false;
        if (status !== undefined && keyStatus(record, now.getTime()) !== status) return false;
        if (!matchesSearch(record, search)) return false;
        const ends = [record.revokedAt, record.expiresAt];
        return endedBefore === undefined || ends.some((end) => end !== null && end <= endedBefore);
      });
      return { ...page, items: page.items.map(withOwnDates) };
    },

    insert(record, audit, quota, others) {
      const added = readRecord(record);
      const { createdByKey: creator } = added;
      if (creator !== null && byId(creator).get(creator)?.revokedAt !== null) throw createCreatorError();
      const setClaims = others && claim(added.id, [added.hash, ...others]);
      commit(audit, { added, quota });
      setClaims?.();
    },

    update(id, ifVersion, change, audit, quota) {
      const record = findVersion(id, ifVersion);
      return record !== undefined && commit(audit, { changed: applyChange(record, change), quota });
    },

    replace(id, ifVersion, change, successor, audit, quota) {
      const record = findVersion(id, ifVersion);
      if (record === undefined) return false;
      return commit(audit, { changed: applyChange(record, change), added: readRecord(successor), quota });
    },

    suspendOwner(ownerId, audit) {
      if (owners.isSuspended(ownerId)) return false;
      const at = new Date(encodeTime(audit.at));
      commit(audit, {});
      owners.setSuspended(ownerId, true);
      for (const record of owners.liveKeys(ownerId, new Date(at.getTime() - CLOCK_TOLERANCE_MS))) {
        put(readRecord({ ...record, suspendedAt: at, updatedAt: at, version: record.version + 1 }));
      }
      return true;
    },

    resumeOwner(ownerId, audit) {
      if (!owners.isSuspended(ownerId)) return false;
      const at = new Date(encodeTime(audit.at));
      commit(audit, {});
      owners.setSuspended(ownerId, false);
      for (const record of [...keysByOwner.group(ownerId)]) {
        if (record.revokedAt !== null || record.suspendedAt === null) continue;
        put(readRecord({ ...record, suspendedAt: null, updatedAt: at, version: record.version + 1 }));
      }
      return true;
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
      const setClaims = claim(id, [from, to]);
      commit(audit, { changed: readRecord({ ...record, hash: to }) });
      setClaims();
      if (to !== from) byHash(from).delete(from);
      return true;
    },

    remove(id, ifVersion, audit) {
      const record = findVersion(id, ifVersion);
      if (record === undefined) return false;
      commit(audit, {});
      byHash(record.hash).delete(record.hash);
      byId(id).delete(id);
      for (const hash of claims.get(id) ?? []) claimants.delete(hash);
      claims.delete(id);
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
const readRecord = (record: KeyRecord): KeyRecord => {
  const { createdAt, updatedAt, ...members } = decodeKey(encodeKey(record));
  // A date takes more than 100 bytes. Most keys are never changed, and have one.
  const changedAt = createdAt.getTime() === updatedAt.getTime() ? createdAt : updatedAt;
  return freezeRecord(deepFreeze({ ...members, createdAt, updatedAt: changedAt }));
};

/** Ends the sharing of a date in a copy, whose dates the caller may change. */
const withOwnDates = (copy: KeyRecord): KeyRecord => ({ ...copy, updatedAt: new Date(copy.updatedAt) });

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
