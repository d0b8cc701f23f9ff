import {
  type AuditEntry,
  type AuditQuery,
  decodeCursor,
  encodeCursor,
  type KeyChange,
  type KeyHash,
  type KeyQuery,
  type KeyRecord,
  keyStatus,
  type ListPosition,
  type ManagedKeyStore,
  type Page,
} from "../index.js";

let warned = false;

/**
 * Keeps keys in this process, and loses them with it: for tests, demos and services that load their keys at
 * start-up. Holds the whole contract of a {@link ManagedKeyStore}; answers at once, so a verification never
 * waits.
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
  const byId = new Map<string, KeyRecord>();
  const byHash = new Map<KeyHash, KeyRecord>();
  const trail: AuditEntry[] = [];

  const put = (record: KeyRecord): void => {
    byId.set(record.id, record);
    byHash.set(record.hash, record);
  };

  const refuseDuplicate = ({ id, hash }: KeyRecord): void => {
    if (byId.has(id)) throw new Error("A key of this id exists");
    if (byHash.has(hash)) throw new Error("A key of this hash exists");
  };

  /** The key, if it is still in the version that the caller read. */
  const current = (id: string, version: number): KeyRecord | undefined => {
    const record = byId.get(id);
    return record?.version === version ? record : undefined;
  };

  return Object.freeze({
    findByHash: (hash: KeyHash) => byHash.get(hash),

    findById: (id: string) => {
      const record = byId.get(id);
      return record && sealed(record);
    },

    list({ ownerId, environment, status, now, cursor, limit }: KeyQuery): Page<KeyRecord> {
      const found = [...byId.values()].filter(
        (record) =>
          (ownerId === undefined || record.ownerId === ownerId) &&
          (environment === undefined || record.environment === environment) &&
          (status === undefined || keyStatus(record, now.getTime()) === status),
      );
      const page = pageOf(found, ({ createdAt, id }) => ({ at: createdAt, id }), cursor, limit);
      return { ...page, items: page.items.map(sealed) };
    },

    insert(record: KeyRecord, audit: AuditEntry): void {
      refuseDuplicate(record);
      put(sealed(record));
      trail.push(structuredClone(audit));
    },

    update(id: string, ifVersion: number, change: KeyChange, audit: AuditEntry): boolean {
      const record = current(id, ifVersion);
      if (record === undefined) return false;
      put(sealed({ ...record, ...change, version: ifVersion + 1 }));
      trail.push(structuredClone(audit));
      return true;
    },

    replace(
      id: string,
      ifVersion: number,
      change: KeyChange,
      successor: KeyRecord,
      audit: AuditEntry,
    ): boolean {
      const record = current(id, ifVersion);
      if (record === undefined) return false;
      refuseDuplicate(successor);
      put(sealed({ ...record, ...change, version: ifVersion + 1 }));
      put(sealed(successor));
      trail.push(structuredClone(audit));
      return true;
    },

    touch(uses: ReadonlyMap<string, Date>): void {
      for (const [id, at] of uses) {
        const record = byId.get(id);
        if (record === undefined || (record.lastUsedAt !== null && record.lastUsedAt >= at)) continue;
        put(sealed({ ...record, lastUsedAt: at }));
      }
    },

    auditTrail({ keyId, ownerId, cursor, limit }: AuditQuery): Page<AuditEntry> {
      const found = trail.filter(
        (entry) =>
          (keyId === undefined || entry.keyId === keyId) &&
          (ownerId === undefined || entry.ownerId === ownerId),
      );
      const page = pageOf(found, (entry) => entry, cursor, limit);
      return { ...page, items: page.items.map((entry) => structuredClone(entry)) };
    },
  });
}

/**
 * A copy that nobody outside can change. What a verification reads comes first, so that it lies together in
 * memory; a frozen list is also what lets a verifier compile an allowlist once.
 */
function sealed(record: KeyRecord): KeyRecord {
  return Object.freeze({
    hash: record.hash,
    id: record.id,
    ownerId: record.ownerId,
    scopes: frozenList(record.scopes),
    environment: record.environment,
    revokedAt: copyOf(record.revokedAt),
    disabledAt: copyOf(record.disabledAt),
    expiresAt: copyOf(record.expiresAt),
    rotatedAt: copyOf(record.rotatedAt),
    ipAllowlist: record.ipAllowlist && frozenList(record.ipAllowlist),
    rateLimit: structuredClone(record.rateLimit),
    version: record.version,
    name: record.name,
    start: record.start,
    metadata: structuredClone(record.metadata),
    createdAt: new Date(record.createdAt),
    updatedAt: new Date(record.updatedAt),
    lastUsedAt: copyOf(record.lastUsedAt),
    revokedReason: record.revokedReason,
    replacedBy: record.replacedBy,
    replaces: record.replaces,
  });
}

function copyOf(date: Date | null): Date | null {
  return date && new Date(date);
}

function frozenList(list: readonly string[]): readonly string[] {
  return Object.isFrozen(list) ? list : Object.freeze([...list]);
}

/** Newest first; a cursor is the place of the last item seen, so that rows added meanwhile shift nothing. */
function pageOf<T>(
  items: readonly T[],
  place: (item: T) => ListPosition,
  cursor: string | undefined,
  limit: number,
): Page<T> {
  const start = cursor === undefined ? undefined : decodeCursor(cursor);
  const rest = items
    .filter((item) => start === undefined || newestFirst(start, place(item)) < 0)
    .sort((a, b) => newestFirst(place(a), place(b)));
  const page = rest.slice(0, limit);
  const last = page[page.length - 1];
  return rest.length > limit && last !== undefined
    ? { items: page, nextCursor: encodeCursor(place(last)) }
    : { items: page };
}

function newestFirst(a: ListPosition, b: ListPosition): number {
  return b.at.getTime() - a.at.getTime() || (a.id < b.id ? 1 : a.id > b.id ? -1 : 0);
}
