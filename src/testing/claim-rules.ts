import assert from "node:assert/strict";
import { hashSecret, type KeyHash, type KeyRecord, type ManagedKeyStore } from "../kit.js";
import {
  addKey,
  assertConflict,
  assertRejects,
  assertSame,
  changeKey,
  everyEntry,
  everyKey,
  type Rule,
  sampleAudit,
  sampleKey,
} from "./fixtures.js";

/** Rules for the claims of imported keys. They are skipped for a store without claims. */
export const CLAIM_RULES: readonly Rule[] = [
  {
    name: "one of several concurrent imports of one secret by its hashes succeeds, and the others throw a KeyConflictError",
    async check(store, { claims, concurrency }) {
      if (!claims) return;
      const [current, older, legacy] = newHashes();
      // As imported by the secret, by a process with an older pepper, and by the legacy hash.
      const kinds = [
        [current, [older, legacy]],
        [older, [legacy]],
        [legacy, []],
      ] as const;
      const results = await Promise.allSettled(
        Array.from({ length: concurrency }, async (_, index) => {
          const [hash, others] = kinds[index % kinds.length] ?? kinds[0];
          return addImported(store, hash, others);
        }),
      );
      const winners = results.flatMap((result) => (result.status === "fulfilled" ? [result.value] : []));
      for (const result of results) {
        if (result.status === "rejected") await assertConflict(() => Promise.reject(result.reason));
      }
      assertSame(await everyKey(store), winners);
      assert.equal(winners.length, 1);
      assert.equal((await everyEntry(store)).length, 1);
    },
  },
  {
    name: "an import by a hash that another key is stored under, claims, or was moved from is a conflict that writes nothing",
    async check(store, { claims }) {
      if (!claims) return;
      const [current, legacy, other] = newHashes();
      const [imported, created] = [
        await addImported(store, current, [legacy]),
        await addKey(store, sampleKey({ id: "created ' \\ é 😀" })),
      ];
      for (const taken of [current, legacy, created.hash]) {
        await assertConflict(() => addImported(store, taken, []));
        await assertConflict(() => addImported(store, other, [taken]));
      }
      if (store.rehash !== undefined) {
        const from = created.hash;
        assert.equal(await store.rehash(created.id, from, hashSecret("moved"), sampleAudit(created)), true);
        for (const taken of [from, hashSecret("moved")]) {
          await assertConflict(() => addImported(store, taken, []));
          await assertConflict(() => addImported(store, other, [taken]));
        }
      }
      assert.equal((await everyKey(store)).length, 2);
      assert.equal((await everyEntry(store)).length, store.rehash === undefined ? 2 : 3);
      // Nothing claimed the hash of the failed imports.
      await addImported(store, other, []);
      assert.equal(await changeKey(store, imported, 1, { name: "kept" }), true);
    },
  },
  {
    name: "rehash of a key between its own claims succeeds, and to a claim of another key throws",
    async check(store, { claims }) {
      const { rehash } = store;
      if (!claims || rehash === undefined) return;
      const [current, legacy, claimed] = newHashes();
      const key = await addImported(store, legacy, [current]);
      const other = await addImported(store, sampleKey().hash, [claimed]);
      const move = (from: KeyHash, to: KeyHash) => rehash.call(store, key.id, from, to, sampleAudit(key));
      await assertRejects(() => move(legacy, claimed));
      assertSame(await store.findByHash(legacy), key);
      for (const [from, to] of [
        [legacy, current],
        [current, legacy],
        [legacy, current],
      ] as const) {
        assert.equal(await move(from, to), true);
      }
      assertSame(await store.findByHash(current), { ...key, hash: current });
      assertSame(await store.findByHash(other.hash), other);
    },
  },
  {
    name: "remove, if implemented, ends the claims of the key",
    async check(store, { claims }) {
      if (!claims || store.remove === undefined) return;
      const [current, legacy, moved] = newHashes();
      const key = await addImported(store, legacy, [current]);
      if (store.rehash !== undefined) await store.rehash(key.id, legacy, moved, sampleAudit(key));
      assert.equal(await store.remove(key.id, 1, sampleAudit(key)), true);
      await addImported(store, current, [legacy, moved]);
    },
  },
];

function newHashes(): readonly [KeyHash, KeyHash, KeyHash] {
  return [sampleKey().hash, sampleKey().hash, sampleKey().hash];
}

async function addImported(
  store: ManagedKeyStore,
  hash: KeyHash,
  claims: readonly KeyHash[],
): Promise<KeyRecord> {
  const key = sampleKey({ hash });
  await store.insert(key, sampleAudit(key, { action: "imported" }), undefined, claims);
  return key;
}
