import { LRUCache } from "lru-cache";
import type { Awaitable } from "../internal/awaitable.js";
import type { KeyHash, KeyStore, ManagedKeyStore } from "../kit.js";
import type { Entries } from "./entries.js";
import type { Link } from "./lease.js";

type Management = Omit<ManagedKeyStore, "findByHash" | "findManyByHash">;

// Keys of which it is not known whether a change was made, as when a connection is lost during a commit.
const MAX_DOUBTS = 1_000;

/** The methods of a store beside its lookups, as far as it has them; those that change a key tell of it. */
export function managing(store: KeyStore, entries: Entries, link: Link): Partial<Management> {
  const inner = store as Required<ManagedKeyStore>;
  const doubts = new LRUCache<string, true>({ max: MAX_DOUBTS });

  /**
   * Forgets the key before the write, which may be done long before that is heard of, and keeps nothing that
   * was read before its end. Also when it fails: nobody knows then what became of it.
   */
  const change = async <T>(id: string, added: KeyHash | undefined, write: () => Awaitable<T>): Promise<T> => {
    const end = entries.changing(id, added);
    try {
      const result = await write();
      doubts.delete(id);
      return result;
    } catch (error) {
      doubts.set(id, true);
      throw error;
    } finally {
      end();
      await link.announce(id, added !== undefined);
    }
  };

  const methods: Required<Management> = {
    // A manager that finds a key revoked already writes nothing. From then on no lookup may know less than it.
    async findById(id) {
      const record = await inner.findById(id);
      entries.forget(id);
      if (doubts.has(id)) await link.announce(id, false);
      return record;
    },

    insert: (record, audit) => change(record.id, record.hash, () => inner.insert(record, audit)),

    update: (id, ifVersion, changed, audit) =>
      change(id, undefined, () => inner.update(id, ifVersion, changed, audit)),

    replace: (id, ifVersion, changed, successor, audit) =>
      change(id, successor.hash, () => inner.replace(id, ifVersion, changed, successor, audit)),

    rehash: (id, from, to, audit) => change(id, to, () => inner.rehash(id, from, to, audit)),

    remove: (id, ifVersion, audit) => change(id, undefined, () => inner.remove(id, ifVersion, audit)),

    list: (query) => inner.list(query),
    touch: (uses) => inner.touch(uses),
    auditTrail: (query) => inner.auditTrail(query),
    appendAudit: (list) => inner.appendAudit(list),
  };
  const has = (name: string) => typeof inner[name as keyof ManagedKeyStore] === "function";
  return Object.fromEntries(Object.entries(methods).filter(([name]) => has(name)));
}
