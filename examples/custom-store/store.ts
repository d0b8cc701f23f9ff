import {
  type AuditEntry,
  type KeyChange,
  KeyConflictError,
  type KeyHash,
  type KeyRecord,
  KeyStateError,
  type ManagedKeyStore,
} from "keybearer";
import { copyEntry, copyKey, readContents, writeContents } from "./file.js";
import { lock } from "./lock.js";
import { listEntries, listKeys } from "./queries.js";

/** A store that keeps keys and their audit trail in one JSON file. */
export interface FileStore extends ManagedKeyStore {
  /** Waits for pending changes and unlocks the file. Later calls of the store reject. */
  close(): Promise<void>;
}

type Keys = ReadonlyMap<string, KeyRecord>;

/** A copy that a change works on. It becomes visible when the file is written. */
interface Draft {
  readonly keys: Map<string, KeyRecord>;
  readonly trail: AuditEntry[];
}

/** The maximum number of pending changes. */
const MAX_PENDING = 1_000;

/**
 * Opens the store of a file. A file that does not exist is an empty store. Every change rewrites the file, so it is meant
 * for one process and a few hundred keys.
 *
 * @throws Error if the file cannot be read or is in use.
 */
export async function fileStore(path: string): Promise<FileStore> {
  const unlock = await lock(path);
  let keys: Keys = new Map();
  let byHash: ReadonlyMap<KeyHash, KeyRecord> = new Map();
  let trail: readonly AuditEntry[] = [];
  let queue: Promise<unknown> = Promise.resolve();
  let pending = 0;
  let closing: Promise<void> | undefined;

  const publish = (next: { readonly keys: Keys; readonly trail: readonly AuditEntry[] }): void => {
    ({ keys, trail } = next);
    byHash = new Map([...keys.values()].map((record) => [record.hash, record]));
  };

  try {
    const contents = await readContents(path);
    publish({ ...contents, keys: new Map(contents.keys.map((record) => [record.id, record])) });
    if (byHash.size < contents.keys.length) throw new Error(`${path} has a duplicate key`);
  } catch (error) {
    await unlock();
    throw error;
  }

  // Another process may change the file after it is unlocked, so the state in memory must not be used.
  const assertOpen = (): void => {
    if (closing !== undefined) throw new Error("The store is closed");
  };

  /**
   * Applies a change to a draft, writes the file, and publishes the draft. Changes run one after another, so the check of
   * a version and the write are one transaction. `apply` returns whether there is anything to write.
   */
  const change = async (apply: (draft: Draft) => boolean): Promise<boolean> => {
    assertOpen();
    if (pending >= MAX_PENDING) throw new Error(`Too many pending changes: at most ${MAX_PENDING}`);
    pending += 1;
    const turn = queue.then(async () => {
      const draft: Draft = { keys: new Map(keys), trail: [...trail] };
      if (!apply(draft)) return false;
      await writeContents(path, { ...draft, keys: [...draft.keys.values()] });
      publish(draft);
      return true;
    });
    queue = turn.catch(() => {}).then(() => (pending -= 1));
    return turn;
  };

  // Every argument is copied before the first await, because the caller may change it afterwards.
  return Object.freeze<FileStore>({
    async findByHash(hash) {
      assertOpen();
      return structuredClone(byHash.get(hash));
    },

    async findById(id) {
      assertOpen();
      return structuredClone(keys.get(id));
    },

    async list(query) {
      assertOpen();
      return listKeys(keys.values(), query);
    },

    async insert(record, audit) {
      const [added, entry] = [copyKey(record), copyEntry(audit)];
      await change((draft) => {
        assertCreator(draft, added);
        add(draft, added);
        draft.trail.push(entry);
        return true;
      });
    },

    async update(id, ifVersion, given, audit) {
      const [members, entry] = [structuredClone(given), copyEntry(audit)];
      return change((draft) => updateIfCurrent(draft, id, ifVersion, members, entry));
    },

    async replace(id, ifVersion, given, successor, audit) {
      const [members, added, entry] = [structuredClone(given), copyKey(successor), copyEntry(audit)];
      return change((draft) => {
        if (!updateIfCurrent(draft, id, ifVersion, members, entry)) return false;
        add(draft, added); // if it throws, the draft is discarded
        return true;
      });
    },

    async touch(uses) {
      const times = structuredClone(uses);
      await change((draft) => {
        let changed = false;
        for (const [id, lastUsedAt] of times) {
          const record = draft.keys.get(id);
          if (record === undefined || (record.lastUsedAt !== null && record.lastUsedAt >= lastUsedAt))
            continue;
          draft.keys.set(id, copyKey({ ...record, lastUsedAt }));
          changed = true;
        }
        return changed;
      });
    },

    async auditTrail(query) {
      assertOpen();
      return listEntries(trail, query);
    },

    // The following methods are optional.

    async rehash(id, from, to, audit) {
      const entry = copyEntry(audit);
      return change((draft) => {
        const record = draft.keys.get(id);
        if (record?.hash !== from) return false;
        assertNewHash(draft, to);
        draft.keys.set(id, copyKey({ ...record, hash: to }));
        draft.trail.push(entry);
        return true;
      });
    },

    async remove(id, ifVersion, audit) {
      const entry = copyEntry(audit);
      return change((draft) => {
        if (draft.keys.get(id)?.version !== ifVersion) return false;
        draft.keys.delete(id);
        draft.trail.push(entry);
        return true;
      });
    },

    async appendAudit(entries) {
      const given = entries.map(copyEntry);
      await change((draft) => {
        const known = new Set(draft.trail.map(({ id }) => id));
        const added = given.filter(({ id }) => !known.has(id));
        draft.trail.push(...added);
        return added.length > 0;
      });
    },

    async close() {
      closing ??= queue.then(unlock);
      return closing;
    },
  });
}

/** Changes the key if it still has version `ifVersion`; returns whether it had. */
function updateIfCurrent(
  { keys, trail }: Draft,
  id: string,
  ifVersion: number,
  members: KeyChange,
  audit: AuditEntry,
): boolean {
  const record = keys.get(id);
  if (record?.version !== ifVersion) return false;
  keys.set(id, copyKey({ ...record, ...members, version: ifVersion + 1 }));
  trail.push(audit);
  return true;
}

function add(draft: Draft, record: KeyRecord): void {
  if (draft.keys.has(record.id)) throw new KeyConflictError("A key with this id exists");
  assertNewHash(draft, record.hash);
  draft.keys.set(record.id, record);
}

/** A revoked key creates nothing. Changes run one after another, so it cannot be revoked before the write. */
function assertCreator({ keys }: Draft, { createdByKey }: KeyRecord): void {
  if (createdByKey !== null && keys.get(createdByKey)?.revokedAt !== null) {
    throw new KeyStateError("The key that would create this key is revoked or does not exist");
  }
}

function assertNewHash({ keys }: Draft, hash: KeyHash): void {
  for (const key of keys.values()) {
    if (key.hash === hash) throw new KeyConflictError("A key with this hash exists");
  }
}
