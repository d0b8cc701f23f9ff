import assert from "node:assert/strict";
import { hashSecret, type ManagedKeyStore } from "../kit.js";
import { addKey, assertSame, at, changeKey, type Rule, sampleAudit, sampleKey } from "./fixtures.js";

/** Rules for `changes`, which a store may leave out. */
export const FEED_RULES: readonly Rule[] = [
  {
    name: "changes, if implemented, returns each change once to every reader",
    async check(store) {
      const read = reader(store);
      if (read === undefined) return;
      const empty = await read(undefined);
      assertSame(empty.keyIds, []);
      const [key, other] = [await addKey(store, sampleKey({ id: "key ' \\ é 😀" })), await addKey(store)];
      const added = await read(empty.position);
      assertSame(added.keyIds, []);
      assert.equal(await changeKey(store, key, 1, { disabledAt: at(1) }), true);
      const first = await read(added.position);
      assertSame(first.keyIds, [key.id]);
      assert.equal(await changeKey(store, key, 2, { revokedAt: at(1) }), true);
      assert.equal(await changeKey(store, key, 3, { name: "twice" }), true);
      assert.equal(await changeKey(store, other, 1, { name: "other" }), true);
      const second = await read(first.position);
      assertSame([...second.keyIds].sort(), [key.id, other.id].sort());
      assertSame((await read(second.position)).keyIds, []);
      for (const position of [empty.position, added.position]) {
        assertSame([...(await read(position)).keyIds].sort(), [key.id, other.id].sort());
      }
      assertSame((await read(undefined)).keyIds, []);
    },
  },
  {
    name: "changes, if implemented, returns keys that were replaced, moved to another hash or removed",
    async check(store) {
      const read = reader(store);
      if (read === undefined) return;
      const key = await addKey(store);
      let { position } = await read(undefined);
      const changed = async (): Promise<unknown> => {
        const changes = await read(position);
        position = changes.position;
        return changes.keyIds;
      };
      const successor = sampleKey();
      await store.replace(key.id, 1, { rotatedAt: at(1) }, successor, sampleAudit(key));
      assertSame(await changed(), [key.id]);
      if (store.rehash !== undefined) {
        await store.rehash(key.id, key.hash, hashSecret("another pepper"), sampleAudit(key));
        assertSame(await changed(), [key.id]);
      }
      if (store.remove !== undefined) {
        await store.remove(successor.id, 1, sampleAudit(successor));
        assertSame(await changed(), [successor.id]);
      }
    },
  },
  {
    name: "changes, if implemented, returns no new keys, uses, audit entries or failed changes",
    async check(store) {
      const read = reader(store);
      if (read === undefined) return;
      const key = await addKey(store);
      await changeKey(store, key, 1, { name: "first" });
      const { position } = await read(undefined);
      await addKey(store);
      await store.touch(new Map([[key.id, at(9)]]));
      await store.appendAudit?.([sampleAudit(key, { action: "used" })]);
      assert.equal(await changeKey(store, key, 1, { name: "late" }), false);
      assertSame(await read(position), { position: (await read(position)).position, keyIds: [] });
    },
  },
  {
    name: "changes, if implemented, misses none of many concurrent changes",
    async check(store, { concurrency }) {
      const read = reader(store);
      if (read === undefined) return;
      const keys = await Promise.all(Array.from({ length: concurrency }, () => addKey(store)));
      let { position } = await read(undefined);
      const late: string[] = [];
      const pending = new Set<string>();
      let isDone = false;
      const writes = Promise.all(
        keys.map(async (key) => {
          await changeKey(store, key, 1, { revokedAt: at(1) });
          pending.add(key.id);
        }),
      ).finally(() => {
        isDone = true;
      });
      const seen = new Set<string>();
      for (let isLast = false; !isLast; ) {
        isLast = isDone;
        const returned = [...pending];
        const changes = await read(position);
        position = changes.position;
        assert.notEqual(changes.keyIds, "all");
        for (const id of changes.keyIds) seen.add(id);
        late.push(...returned.filter((id) => !seen.has(id)));
        await new Promise((resolve) => setImmediate(resolve));
      }
      await writes;
      assert.deepEqual(late, [], "a reading misses changes that returned before it");
      assert.equal(seen.size, keys.length);
    },
  },
  {
    name: "changes, if implemented, returns all for a position that it does not know",
    async check(store) {
      const read = reader(store);
      if (read === undefined) return;
      for (const position of ["", "unknown", "1", "99999999999999-0"]) {
        assert.equal((await read(position)).keyIds, "all");
      }
    },
  },
];

/** Returns `changes` of the store, if it has one. */
function reader(store: ManagedKeyStore) {
  const { changes } = store;
  return changes && (async (since: string | undefined) => changes.call(store, since));
}
