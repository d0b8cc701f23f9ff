import { LRUCache } from "lru-cache";
import type { Awaitable } from "../internal/awaitable.js";
import { hasMethod } from "../internal/validate.js";
import type { KeyStore, ManagedKeyStore } from "../kit.js";
import type { Entries } from "./entries.js";
import type { Lease } from "./lease.js";

type Management = Omit<ManagedKeyStore, "changes" | "findByHash" | "findManyByHash">;

const MAX_UNCERTAIN = 1_000;

/** Creates the management methods that the store has. Those that change a key also invalidate it. */
export function createWrites(store: KeyStore, entries: Entries, lease: Lease): Partial<Management> {
  const inner = store as Required<ManagedKeyStore>;
  // Keys with a failed write. It may have been committed, for example if the connection was lost during the commit.
  const uncertain = new LRUCache<string, true>({ max: MAX_UNCERTAIN });

  /** Invalidates the key before the write and after it, even if the write fails. */
  const write = async <T>(id: string, change: () => Awaitable<T>): Promise<T> => {
    const end = entries.beginWrite(id);
    try {
      const result = await change();
      uncertain.delete(id);
      return result;
    } catch (error) {
      uncertain.set(id, true);
      throw error;
    } finally {
      end();
      await lease.publishChange(id);
    }
  };

  const methods: Required<Management> = {
    // A manager that reads a revoked key writes nothing. Later lookups must not return an older record.
    async findById(id) {
      const record = await inner.findById(id);
      entries.evict(id);
      if (uncertain.has(id)) await lease.publishChange(id);
      return record;
    },

    insert: (record, audit) => write(record.id, () => inner.insert(record, audit)),
    update: (id, ifVersion, change, audit) => write(id, () => inner.update(id, ifVersion, change, audit)),
    replace: (id, ifVersion, change, successor, audit) =>
      write(id, () => inner.replace(id, ifVersion, change, successor, audit)),
    rehash: (id, from, to, audit) => write(id, () => inner.rehash(id, from, to, audit)),
    remove: (id, ifVersion, audit) => write(id, () => inner.remove(id, ifVersion, audit)),
    list: (query) => inner.list(query),
    touch: (uses) => inner.touch(uses),
    auditTrail: (query) => inner.auditTrail(query),
    appendAudit: (entries) => inner.appendAudit(entries),
  };
  return Object.fromEntries(Object.entries(methods).filter(([name]) => hasMethod(inner, name)));
}
