import assert from "node:assert/strict";
import { hashSecret } from "../kit.js";
import {
  addKey,
  assertRejects,
  assertSame,
  at,
  changeKey,
  everyEntry,
  everyKey,
  fullKey,
  ids,
  NOON,
  type Rule,
  readKey,
  sampleAudit,
  sampleKey,
} from "./fixtures.js";

/** Rules for `rehash`, `remove` and `appendAudit`, which a store may leave out. */
export const MAINTENANCE_RULES: readonly Rule[] = [
  {
    name: "rehash, if implemented, stores the key under the new hash and no longer under the old one",
    async check(store) {
      if (store.rehash === undefined) return;
      const [key, other] = [await addKey(store, fullKey({ createdAt: at(-1) })), await addKey(store)];
      const to = hashSecret("another pepper");
      const audit = sampleAudit(key, { action: "rehashed", at: at(1) });
      assert.equal(await store.rehash(key.id, key.hash, to, audit), true);
      assertSame(await store.findByHash(to), { ...key, hash: to });
      assertSame(await readKey(store, key), { ...key, hash: to });
      assert.equal((await store.findByHash(key.hash)) ?? undefined, undefined);
      assertSame(await readKey(store, other), other);
      assertSame((await everyEntry(store))[0], audit);
      // The version did not change, so a change based on the record before the rehash succeeds.
      assert.equal(await changeKey(store, key, key.version, { name: "after" }), true);
      assertSame(await store.findByHash(to), { ...key, hash: to, name: "after", version: key.version + 1 });
    },
  },
  {
    name: "rehash from another hash or of an unknown id returns false and writes nothing",
    async check(store) {
      if (store.rehash === undefined) return;
      const [key, other] = [await addKey(store, sampleKey({ createdAt: at(-1) })), await addKey(store)];
      const to = hashSecret("another pepper");
      for (const [id, from] of [
        [key.id, other.hash],
        [key.id, to],
        ["unknown", key.hash],
      ] as const) {
        assert.equal(await store.rehash(id, from, to, sampleAudit(key)), false);
      }
      assertSame(await everyKey(store), [other, key]);
      assertSame(await store.findByHash(key.hash), key);
      assert.equal((await everyEntry(store)).length, 2);
    },
  },
  {
    name: "rehash to the hash of another key throws and changes neither key",
    async check(store) {
      if (store.rehash === undefined) return;
      const [key, other] = [await addKey(store, sampleKey({ createdAt: at(-1) })), await addKey(store)];
      const { rehash } = store;
      await assertRejects(() => rehash.call(store, key.id, key.hash, other.hash, sampleAudit(key)));
      assertSame(await everyKey(store), [other, key]);
      assertSame(await store.findByHash(key.hash), key);
      assertSame(await store.findByHash(other.hash), other);
      assert.equal((await everyEntry(store)).length, 2);
    },
  },
  {
    name: "one of several concurrent rehashes succeeds, and a concurrent revocation is kept",
    async check(store, { concurrency }) {
      const { rehash } = store;
      if (rehash === undefined) return;
      const key = await addKey(store);
      const to = hashSecret("another pepper");
      const [revoked, ...results] = await Promise.all([
        changeKey(store, key, 1, { revokedAt: at(1) }),
        ...Array.from({ length: concurrency }, async () =>
          rehash.call(store, key.id, key.hash, to, sampleAudit(key, { action: "rehashed" })),
        ),
      ]);
      assert.equal(revoked, true);
      assert.equal(results.filter(Boolean).length, 1);
      assertSame(await store.findByHash(to), { ...key, hash: to, version: 2, revokedAt: at(1) });
      assert.equal((await everyEntry(store)).length, 3);
    },
  },
  {
    name: "remove, if implemented, deletes the key and its hash, and keeps its audit trail",
    async check(store) {
      if (store.remove === undefined) return;
      const [key, other] = [await addKey(store, fullKey()), await addKey(store)];
      const audit = sampleAudit(key, { action: "purged", at: at(1) });
      assert.equal(await store.remove(key.id, key.version, audit), true);
      assert.equal((await store.findById(key.id)) ?? undefined, undefined);
      assert.equal((await store.findByHash(key.hash)) ?? undefined, undefined);
      assertSame(await everyKey(store), [other]);
      assertSame(ids(await everyEntry(store, { keyId: key.id })).length, 2);
      assertSame((await everyEntry(store))[0], audit);
      assert.equal(await store.remove(key.id, key.version, sampleAudit(key)), false);
      assert.equal(await changeKey(store, key, key.version, { name: "gone" }), false);
      await store.touch(new Map([[key.id, at(9)]]));
      assertSame(await everyKey(store), [other]);
      assert.equal((await everyEntry(store)).length, 3);
      // The id and hash can be used again.
      await addKey(store, key);
      assertSame(await store.findByHash(key.hash), key);
    },
  },
  {
    name: "remove with another version or an unknown id returns false and deletes nothing",
    async check(store) {
      if (store.remove === undefined) return;
      const key = await addKey(store, sampleKey({ version: 3 }));
      for (const [id, version] of [
        [key.id, 2],
        [key.id, 4],
        ["unknown", 3],
      ] as const) {
        assert.equal(await store.remove(id, version, sampleAudit(key)), false);
      }
      assertSame(await everyKey(store), [key]);
      assertSame(await store.findByHash(key.hash), key);
      assert.equal((await everyEntry(store)).length, 1);
    },
  },
  {
    name: "one of several concurrent removals and updates of one version succeeds",
    async check(store, { concurrency }) {
      const { remove } = store;
      if (remove === undefined) return;
      const key = await addKey(store);
      const results = await Promise.all(
        Array.from({ length: concurrency }, async (_, index) =>
          index % 2 === 0
            ? remove.call(store, key.id, 1, sampleAudit(key, { action: "purged" }))
            : changeKey(store, key, 1, { name: `writer ${index}` }),
        ),
      );
      assert.equal(results.filter(Boolean).length, 1);
      const winner = results.indexOf(true);
      const expected = winner % 2 === 0 ? [] : [{ ...key, name: `writer ${winner}`, version: 2 }];
      assertSame(await everyKey(store), expected);
      assert.equal((await everyEntry(store)).length, 2);
    },
  },
  {
    name: "list with endedBefore, in a store that implements remove, returns the keys that were revoked or expired by then",
    async check(store) {
      if (store.remove === undefined) return;
      const keys = {
        lives: { expiresAt: null },
        expiresLater: { expiresAt: at(1) },
        revokedLater: { revokedAt: at(1) },
        disabled: { disabledAt: at(-9) },
        expired: { expiresAt: NOON },
        revoked: { revokedAt: at(-5), expiresAt: at(500) },
        both: { revokedAt: at(-5), expiresAt: at(-7) },
      };
      for (const [id, members] of Object.entries(keys)) await addKey(store, sampleKey({ id, ...members }));
      const ended = async (query: Parameters<typeof everyKey>[1]) => ids(await everyKey(store, query)).sort();
      for (const limit of [1, 2, 100]) {
        assertSame(await ended({ endedBefore: NOON, limit }), ["both", "expired", "revoked"]);
      }
      assertSame(await ended({ endedBefore: at(-5) }), ["both", "revoked"]);
      assertSame(await ended({ endedBefore: NOON, status: "expired" }), ["expired"]);
      assertSame(await ended({ endedBefore: NOON, ownerId: "globex" }), []);
    },
  },
  {
    name: "appendAudit, if implemented, adds entries and skips those that exist",
    async check(store) {
      const { appendAudit } = store;
      if (appendAudit === undefined) return;
      const key = await addKey(store, sampleKey());
      const entries = Array.from({ length: 25 }, (_, index) =>
        sampleAudit(key, { action: "used", at: at(index + 1), details: { path: `/vehicles/${index} ' 😀` } }),
      );
      await appendAudit.call(store, entries.slice(0, 20));
      await appendAudit.call(store, []);
      await appendAudit.call(store, entries); // as a retry after an unknown outcome
      const trail = await everyEntry(store, { keyId: key.id });
      assertSame(trail.slice(0, 25), [...entries].reverse());
      assert.equal(trail.length, 26);
      assertSame(await readKey(store, key), key);
    },
  },
];
