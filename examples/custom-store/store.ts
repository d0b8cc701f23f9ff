import type { AuditEntry, KeyChange, KeyHash, KeyRecord, ManagedKeyStore } from "keybearer";
import { copyEntry, copyKey, readContents, writeContents } from "./file.js";
import { lock } from "./lock.js";
import { listEntries, listKeys } from "./queries.js";

/** A store over one JSON file. */
export interface FileStore extends ManagedKeyStore {
  /** Waits for the changes that are under way, and lets go of the file. The store answers nothing from then on. */
  close(): Promise<void>;
}

type Keys = ReadonlyMap<string, KeyRecord>;

/** A copy for a change to work on: what others see stays as it is until the file is written. */
interface Draft {
  readonly keys: Map<string, KeyRecord>;
  readonly trail: AuditEntry[];
}

const MAX_WAITING = 1_000;

/**
 * Keeps keys and their audit trail in one JSON file, which each change writes anew: for one process and some
 * hundred keys. A file that does not exist is an empty store.
 *
 * @throws Error when the file cannot be read, or is in use.
 */
export async function fileStore(path: string): Promise<FileStore> {
  const unlock = await lock(path);
  let keys: Keys = new Map();
  let byHash: ReadonlyMap<KeyHash, KeyRecord> = new Map();
  let trail: readonly AuditEntry[] = [];
  let queue: Promise<unknown> = Promise.resolve();
  let waiting = 0;
  let closing: Promise<void> | undefined;

  const show = (next: { readonly keys: Keys; readonly trail: readonly AuditEntry[] }): void => {
    ({ keys, trail } = next);
    byHash = new Map([...keys.values()].map((record) => [record.hash, record]));
  };

  try {
    const contents = await readContents(path);
    show({ ...contents, keys: new Map(contents.keys.map((record) => [record.id, record])) });
    if (byHash.size < contents.keys.length) throw new Error(`${path} has a key twice`);
  } catch (error) {
    await unlock();
    throw error;
  }

  // Once the lock is gone, another process may revoke what this one still thinks valid.
  const refuseIfClosed = (): void => {
    if (closing !== undefined) throw new Error("The store is closed");
  };

  /**
   * The one way to change anything: one change after another, each on a draft that is shown once the file has it.
   * So nothing comes between the check of a version and the write, and keys and audit trail always agree.
   */
  const change = async (work: (draft: Draft) => boolean): Promise<boolean> => {
    refuseIfClosed();
    if (waiting >= MAX_WAITING) throw new Error("Too many changes wait for the disk");
    waiting += 1;
    const turn = queue.then(async () => {
      const draft: Draft = { keys: new Map(keys), trail: [...trail] };
      if (!work(draft)) return false;
      await writeContents(path, { ...draft, keys: [...draft.keys.values()] });
      show(draft);
      return true;
    });
    queue = turn.catch(() => {}).then(() => (waiting -= 1));
    return turn;
  };

  // Every argument is copied before the first await: the caller may go on to change what it passed.
  return Object.freeze<FileStore>({
    async findByHash(hash) {
      refuseIfClosed();
      return structuredClone(byHash.get(hash));
    },

    async findById(id) {
      refuseIfClosed();
      return structuredClone(keys.get(id));
    },

    async list(query) {
      refuseIfClosed();
      return listKeys(keys.values(), query);
    },

    async insert(record, audit) {
      const [added, entry] = [copyKey(record), copyEntry(audit)];
      await change((draft) => {
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
        add(draft, added); // throws if it exists, and nothing of the draft is kept
        return true;
      });
    },

    async touch(uses) {
      const times = structuredClone(uses);
      await change((draft) => {
        let moved = false;
        for (const [id, lastUsedAt] of times) {
          const record = draft.keys.get(id);
          if (record === undefined || (record.lastUsedAt !== null && record.lastUsedAt >= lastUsedAt))
            continue;
          draft.keys.set(id, copyKey({ ...record, lastUsedAt }));
          moved = true;
        }
        return moved;
      });
    },

    async auditTrail(query) {
      refuseIfClosed();
      return listEntries(trail, query);
    },

    // The rest may be left out.

    async rehash(id, from, to, audit) {
      const entry = copyEntry(audit);
      return change((draft) => {
        const record = draft.keys.get(id);
        if (record?.hash !== from) return false;
        refuseTaken(draft, to);
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

/** Changes the key if it still has the version that the caller read. */
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
  if (draft.keys.has(record.id)) throw new Error("A key of this id exists");
  refuseTaken(draft, record.hash);
  draft.keys.set(record.id, record);
}

function refuseTaken({ keys }: Draft, hash: KeyHash): void {
  for (const key of keys.values()) if (key.hash === hash) throw new Error("A key of this hash exists");
}
