import assert from "node:assert/strict";
import type { Awaitable } from "../internal/awaitable.js";
import type { KeyRecord, ManagedKeyStore } from "../kit.js";
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
  type Rule,
  readKey,
  sampleAudit,
  sampleKey,
  settle,
} from "./fixtures.js";

const CREATOR = `creator ' " \\ % 😀`;

/** Rules for keys that were created by another key. */
export const LINEAGE_RULES: readonly Rule[] = [
  {
    name: "a key is returned with the key that created it, and keeps it when it is changed or replaced",
    async check(store) {
      const creator = await addKey(store, sampleKey({ id: CREATOR }));
      const child = await addKey(store, fullKey({ createdByKey: creator.id, revokedAt: null }));
      assertSame(await readKey(store, child), child);
      assertSame(await store.findByHash(child.hash), child);
      const successor = fullKey({ createdByKey: creator.id, rotationRoot: child.id, createdAt: at(9) });
      assert.equal(await store.replace(child.id, 7, { name: "old" }, successor, sampleAudit(child)), true);
      assertSame(await everyKey(store, { createdByKey: creator.id }), [
        successor,
        { ...child, name: "old", version: 8 },
      ]);
    },
  },
  {
    name: "list filters by the exact key that created a key, and combines it with other filters",
    async check(store) {
      const creators = ["key_a", "KEY_A", "key_a "];
      for (const id of creators) await addKey(store, sampleKey({ id }));
      for (const createdByKey of creators) {
        for (const [ownerId, environment] of [
          ["acme", "live"],
          ["acme", "test"],
          ["globex", "live"],
        ] as const) {
          const id = `${createdByKey}/${ownerId}/${environment}`;
          await addKey(store, sampleKey({ id, ownerId, environment, createdByKey }));
        }
      }
      const found = async (query: Parameters<typeof everyKey>[1]) => ids(await everyKey(store, query)).sort();
      const [live, test, other] = ["key_a/acme/live", "key_a/acme/test", "key_a/globex/live"];
      for (const limit of [1, 2, 100]) {
        assert.deepEqual(await found({ createdByKey: "key_a", limit }), [live, test, other]);
      }
      assert.deepEqual(await found({ createdByKey: "key_a", ownerId: "acme" }), [live, test]);
      assert.deepEqual(await found({ createdByKey: "key_a", environment: "live" }), [live, other]);
      assert.deepEqual(await found({ createdByKey: "key_a", status: "revoked" }), []);
      for (const unknown of ["", "key_", "key_%", "null"]) {
        assert.deepEqual(await found({ createdByKey: unknown }), []);
      }
      if (store.remove !== undefined) {
        await store.remove(live, 1, sampleAudit({ id: live, ownerId: "acme" }));
        assert.deepEqual(await found({ createdByKey: "key_a" }), [test, other]);
      }
    },
  },
  {
    name: "insert throws a KeyStateError if the key that creates the key is revoked or missing, and writes nothing",
    async check(store) {
      const creator = await addKey(store, sampleKey({ createdAt: at(-1) }));
      const alive = await addKey(store, sampleKey({ createdByKey: creator.id }));
      assert.equal(await changeKey(store, creator, 1, { revokedAt: at(1) }), true);
      for (const createdByKey of [creator.id, "unknown"]) {
        const child = sampleKey({ createdByKey });
        await assertKeyState(() => store.insert(child, sampleAudit(child)));
        assert.equal((await store.findByHash(child.hash)) ?? undefined, undefined);
        assert.equal((await store.findById(child.id)) ?? undefined, undefined);
      }
      assertSame(ids(await everyKey(store)), [alive.id, creator.id]);
      assertSame(ids(await everyKey(store, { createdByKey: creator.id })), [alive.id]);
      assert.equal((await everyEntry(store)).length, 3);
    },
  },
  {
    name: "a key that is disabled, expired or rotated can still be named as the creator, and a revoked one in replace",
    async check(store) {
      const creator = await addKey(
        store,
        sampleKey({ disabledAt: at(-1), expiresAt: at(-1), rotatedAt: at(-1) }),
      );
      const child = await addKey(store, sampleKey({ createdByKey: creator.id }));
      assert.equal(await changeKey(store, creator, 1, { revokedAt: at(1) }), true);
      const successor = sampleKey({ createdByKey: creator.id });
      const change = { rotatedAt: at(1), replacedBy: successor.id };
      assert.equal(await store.replace(child.id, 1, change, successor, sampleAudit(child)), true);
      assertSame(await readKey(store, successor), successor);
    },
  },
  {
    name: "after the revocation of a key, no insert of a key that it creates succeeds, and list returns all earlier ones",
    async check(store, { concurrency }) {
      for (const turn of [0, 1, 2]) {
        const creator = await addKey(store, sampleKey({ version: 1 }));
        const children = Array.from({ length: concurrency }, () => sampleKey({ createdByKey: creator.id }));
        const inserts = children.map((child) => inserted(store, child));
        await settle(turn * 3);
        const revoked = await changeKey(store, creator, 1, { revokedAt: at(1) });
        assert.equal(revoked, true);
        const listed = ids(await everyKey(store, { createdByKey: creator.id }));
        const results = await Promise.all(inserts);
        const created = ids(children.filter((_, index) => results[index]));
        assert.deepEqual([...listed].sort(), created.sort());
      }
    },
  },
  {
    name: "auditTrail filters by the exact actor, and combines it with key and owner",
    async check(store) {
      for (const actor of ["key_a", "KEY_A", "key_a ", CREATOR, null]) {
        for (const ownerId of ["acme", "globex"]) {
          const key = sampleKey({ id: `${actor}/${ownerId}`, ownerId });
          const details = { actor: "key_a", nested: { actor: CREATOR } };
          await store.insert(key, sampleAudit(key, { id: `entry ${key.id}`, actor, details }));
        }
      }
      const found = async (query: Parameters<typeof everyEntry>[1]) =>
        ids(await everyEntry(store, query)).sort();
      const [acme, globex] = ["entry key_a/acme", "entry key_a/globex"];
      for (const limit of [1, 100]) assert.deepEqual(await found({ actor: "key_a", limit }), [acme, globex]);
      assert.deepEqual(await found({ actor: "key_a", ownerId: "globex" }), [globex]);
      assert.deepEqual(await found({ actor: "key_a", keyId: "key_a/acme" }), [acme]);
      assert.deepEqual(await found({ actor: "key_a", keyId: "KEY_A/acme" }), []);
      assert.equal((await found({ actor: CREATOR })).length, 2);
      for (const unknown of ["", "key_", "%", "null"]) assert.deepEqual(await found({ actor: unknown }), []);
      if (store.appendAudit !== undefined) {
        const entry = sampleAudit({ id: "key_a/acme", ownerId: "acme" }, { actor: "key_a", at: at(1) });
        await store.appendAudit([entry]);
        assertSame((await everyEntry(store, { actor: "key_a" }))[0], entry);
      }
    },
  },
];

/** Inserts a key; returns whether the store did, or refused because of the key that creates it. */
async function inserted(store: ManagedKeyStore, key: KeyRecord): Promise<boolean> {
  try {
    await store.insert(key, sampleAudit(key));
    return true;
  } catch (error) {
    await assertKeyState(() => Promise.reject(error));
    return false;
  }
}

async function assertKeyState(call: () => Awaitable<unknown>): Promise<void> {
  const error = (await assertRejects(call)) as { code?: unknown } | null | undefined;
  assert.equal(error?.code, "KEYBEARER_KEY_STATE", `the store must throw a KeyStateError, not: ${error}`);
}
