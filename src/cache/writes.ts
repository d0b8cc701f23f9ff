import type { Awaitable } from "../internal/awaitable.js";
import { hasMethod } from "../internal/validate.js";
import type { KeyStore, ManagedKeyStore } from "../kit.js";
import { ALL_KEYS, type Announcements } from "./announcements.js";
import type { Entries } from "./entries.js";

type Management = Omit<ManagedKeyStore, "changes" | "findByHash" | "findManyByHash">;

/** Creates the management methods that the store has. Those that change a key also invalidate it. */
export function createWrites(
  store: KeyStore,
  entries: Entries,
  announcements: Announcements,
): Partial<Management> {
  const inner = store as Required<ManagedKeyStore>;

  /** Invalidates the key before the write and after it, even if the write fails. */
  const write = async <T>(id: string, change: () => Awaitable<T>): Promise<T> => {
    const end = entries.beginWrite(id);
    try {
      return await change();
    } finally {
      end();
      await announcements.publish(id);
    }
  };

  /** Invalidates every key after the write, even if it fails. The ids of the changed keys are not known here. */
  const writeAll = async <T>(change: () => Awaitable<T>): Promise<T> => {
    try {
      return await change();
    } finally {
      entries.clear();
      await announcements.publish(ALL_KEYS);
    }
  };

  const methods: Required<Management> = {
    // A manager that reads a revoked key writes nothing. Later lookups must not return an older record.
    async findById(id) {
      const record = await inner.findById(id);
      entries.evict(id);
      return record;
    },

    insert: (record, ...rest) => write(record.id, () => inner.insert(record, ...rest)),
    update: (id, ...rest) => write(id, () => inner.update(id, ...rest)),
    replace: (id, ...rest) => write(id, () => inner.replace(id, ...rest)),
    rehash: (id, from, to, audit) => write(id, () => inner.rehash(id, from, to, audit)),
    remove: (id, ifVersion, audit) => write(id, () => inner.remove(id, ifVersion, audit)),
    suspendOwner: (ownerId, audit) => writeAll(() => inner.suspendOwner(ownerId, audit)),
    resumeOwner: (ownerId, audit) => writeAll(() => inner.resumeOwner(ownerId, audit)),
    list: (query) => inner.list(query),
    touch: (uses) => inner.touch(uses),
    auditTrail: (query) => inner.auditTrail(query),
    appendAudit: (entries) => inner.appendAudit(entries),
  };
  return Object.fromEntries(Object.entries(methods).filter(([name]) => hasMethod(inner, name)));
}
