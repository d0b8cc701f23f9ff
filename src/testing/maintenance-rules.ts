import assert from "node:assert/strict";
import { hashSecret } from "../kit.js";
import {
  added,
  assertSame,
  at,
  changed,
  everyEntry,
  everyKey,
  fullKey,
  ids,
  NOON,
  type Rule,
  refused,
  sampleAudit,
  sampleKey,
  stored,
} from "./fixtures.js";

/** Moving keys to other hashes, forgetting them, and entries of the trail that belong to no change. */
export const MAINTENANCE_RULES: readonly Rule[] = [
  {
    name: "rehash, where there is one, stores the key under its new hash and no longer under the old one",
    async check(store) {
      if (store.rehash === undefined) return;
      const [key, other] = [await added(store, fullKey({ createdAt: at(-1) })), await added(store)];
      const to = hashSecret("another pepper");
      const audit = sampleAudit(key, { action: "rehashed", at: at(1) });
      assert.equal(await store.rehash(key.id, key.hash, to, audit), true);
      assertSame(await store.findByHash(to), { ...key, hash: to });
      assertSame(await stored(store, key), { ...key, hash: to });
      assert.equal((await store.findByHash(key.hash)) ?? undefined, undefined);
      assertSame(await stored(store, other), other);
      assertSame((await everyEntry(store))[0], audit);
      // Neither the version nor the state moved, so a change that was read before goes through.
      assert.equal(await changed(store, key, key.version, { name: "after" }), true);
      assertSame(await store.findByHash(to), { ...key, hash: to, name: "after", version: key.version + 1 });
    },
  },
  {
    name: "a rehash from another hash, or of an unknown id, answers false and writes nothing",
    async check(store) {
      if (store.rehash === undefined) return;
      const [key, other] = [await added(store, sampleKey({ createdAt: at(-1) })), await added(store)];
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
    name: "a rehash to the hash of another key is refused and leaves both as they were",
    async check(store) {
      if (store.rehash === undefined) return;
      const [key, other] = [await added(store, sampleKey({ createdAt: at(-1) })), await added(store)];
      const { rehash } = store;
      await refused(() => rehash.call(store, key.id, key.hash, other.hash, sampleAudit(key)));
      assertSame(await everyKey(store), [other, key]);
      assertSame(await store.findByHash(key.hash), key);
      assertSame(await store.findByHash(other.hash), other);
      assert.equal((await everyEntry(store)).length, 2);
    },
  },
  {
    name: "of concurrent rehashes one succeeds, and a revocation among them holds",
    async check(store, { concurrency }) {
      const { rehash } = store;
      if (rehash === undefined) return;
      const key = await added(store);
      const to = hashSecret("another pepper");
      const [revoked, ...answers] = await Promise.all([
        changed(store, key, 1, { revokedAt: at(1) }),
        ...Array.from({ length: concurrency }, async () =>
          rehash.call(store, key.id, key.hash, to, sampleAudit(key, { action: "rehashed" })),
        ),
      ]);
      assert.equal(revoked, true);
      assert.equal(answers.filter(Boolean).length, 1);
      assertSame(await store.findByHash(to), { ...key, hash: to, version: 2, revokedAt: at(1) });
      assert.equal((await everyEntry(store)).length, 3);
    },
  },
  {
    name: "remove, where there is one, forgets the key and its hash, and keeps its audit trail",
    async check(store) {
      if (store.remove === undefined) return;
      const [key, other] = [await added(store, fullKey()), await added(store)];
      const audit = sampleAudit(key, { action: "purged", at: at(1) });
      assert.equal(await store.remove(key.id, key.version, audit), true);
      assert.equal((await store.findById(key.id)) ?? undefined, undefined);
      assert.equal((await store.findByHash(key.hash)) ?? undefined, undefined);
      assertSame(await everyKey(store), [other]);
      assertSame(ids(await everyEntry(store, { keyId: key.id })).length, 2);
      assertSame((await everyEntry(store))[0], audit);
      assert.equal(await store.remove(key.id, key.version, sampleAudit(key)), false);
      assert.equal(await changed(store, key, key.version, { name: "gone" }), false);
      await store.touch(new Map([[key.id, at(9)]]));
      assertSame(await everyKey(store), [other]);
      assert.equal((await everyEntry(store)).length, 3);
      // Its id and hash are free again.
      await added(store, key);
      assertSame(await store.findByHash(key.hash), key);
    },
  },
  {
    name: "a removal of another version, or of an unknown id, answers false and removes nothing",
    async check(store) {
      if (store.remove === undefined) return;
      const key = await added(store, sampleKey({ version: 3 }));
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
    name: "of concurrent removals and updates of one version, one succeeds",
    async check(store, { concurrency }) {
      const { remove } = store;
      if (remove === undefined) return;
      const key = await added(store);
      const answers = await Promise.all(
        Array.from({ length: concurrency }, async (_, index) =>
          index % 2 === 0
            ? remove.call(store, key.id, 1, sampleAudit(key, { action: "purged" }))
            : changed(store, key, 1, { name: `writer ${index}` }),
        ),
      );
      assert.equal(answers.filter(Boolean).length, 1);
      const winner = answers.indexOf(true);
      const expected = winner % 2 === 0 ? [] : [{ ...key, name: `writer ${winner}`, version: 2 }];
      assertSame(await everyKey(store), expected);
      assert.equal((await everyEntry(store)).length, 2);
    },
  },
  {
    name: "a store that can remove lists the keys that were dead at a moment",
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
      for (const [id, members] of Object.entries(keys)) await added(store, sampleKey({ id, ...members }));
      const dead = async (query: Parameters<typeof everyKey>[1]) => ids(await everyKey(store, query)).sort();
      for (const limit of [1, 2, 100]) {
        assertSame(await dead({ endedBefore: NOON, limit }), ["both", "expired", "revoked"]);
      }
      assertSame(await dead({ endedBefore: at(-5) }), ["both", "revoked"]);
      assertSame(await dead({ endedBefore: NOON, status: "expired" }), ["expired"]);
      assertSame(await dead({ endedBefore: NOON, ownerId: "globex" }), []);
    },
  },
  {
    name: "appendAudit, where there is one, adds entries, and passes over those that it has",
    async check(store) {
      const { appendAudit } = store;
      if (appendAudit === undefined) return;
      const key = await added(store, sampleKey());
      const entries = Array.from({ length: 25 }, (_, index) =>
        sampleAudit(key, { action: "used", at: at(index + 1), details: { path: `/vehicles/${index} ' 😀` } }),
      );
      await appendAudit.call(store, entries.slice(0, 20));
      await appendAudit.call(store, []);
      await appendAudit.call(store, entries); // as after a failure of which nobody knows how far it came
      const trail = await everyEntry(store, { keyId: key.id });
      assertSame(trail.slice(0, 25), [...entries].reverse());
      assert.equal(trail.length, 26);
      assertSame(await stored(store, key), key);
    },
  },
];
