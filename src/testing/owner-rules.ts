import assert from "node:assert/strict";
import type { Awaitable } from "../internal/awaitable.js";
import { type ManagedKeyStore, type OwnerQuota, quotaBytes } from "../kit.js";
import {
  addKey,
  assertRejects,
  assertSame,
  at,
  changeKey,
  everyEntry,
  everyKey,
  ids,
  NOON,
  type Rule,
  readKey,
  sampleAudit,
  sampleKey,
} from "./fixtures.js";

const MINUTE = 60_000;

/** Rules for `suspendOwner`, `resumeOwner` and quotas, which a store may leave out. */
export const OWNER_RULES: readonly Rule[] = [
  {
    name: "suspendOwner, if implemented, marks the keys of the owner that are neither revoked nor expired",
    async check(store) {
      const owner = ownerOf(store);
      if (owner === undefined) return;
      const marked = [
        await addKey(store),
        await addKey(store, sampleKey({ version: 41, disabledAt: at(-1), expiresAt: at(MINUTE) })),
        await addKey(store, sampleKey({ rotatedAt: at(-1), replacedBy: "key_next" })),
      ];
      const others = [
        await addKey(store, sampleKey({ revokedAt: at(-1) })),
        await addKey(store, sampleKey({ expiresAt: at(-60 * MINUTE) })),
        await addKey(store, sampleKey({ ownerId: "Acme" })),
      ];
      const before = (await everyEntry(store)).length;
      assert.equal(await owner.suspend("acme", 1), true);
      for (const key of marked) {
        const expected = { ...key, suspendedAt: at(1), updatedAt: at(1), version: key.version + 1 };
        assertSame(await readKey(store, key), expected);
        assertSame(await store.findByHash(key.hash), expected);
      }
      for (const key of others) assertSame(await readKey(store, key), key);
      const suspended = await everyKey(store, { status: "suspended" });
      assertSame(ids(suspended).sort(), ids(marked).sort());
      const [entry, ...older] = await everyEntry(store);
      assertSame([entry?.action, entry?.keyId, entry?.ownerId], ["suspended", "", "acme"]);
      assert.equal(older.length, before);

      assert.equal(await owner.suspend("acme", 2), false);
      assert.equal(await owner.resume("acme", 3), true);
      for (const key of marked) {
        const { suspendedAt, version } = await readKey(store, key);
        assertSame([suspendedAt, version], [null, key.version + 2]);
      }
      for (const key of others) assertSame(await readKey(store, key), key);
      assert.equal(await owner.resume("acme", 4), false);
      assert.equal((await everyEntry(store)).length, before + 2);
    },
  },
  {
    name: "a suspended owner, if implemented, gets no new keys, and its keys can be changed and revoked",
    async check(store) {
      const owner = ownerOf(store);
      if (owner === undefined) return;
      const key = await addKey(store);
      await owner.suspend("acme", 1);
      await owner.suspend("newcomer", 1);
      const entries = (await everyEntry(store)).length;
      const writes: (() => Awaitable<unknown>)[] = [
        () => addKey(store),
        () => addKey(store, sampleKey({ ownerId: "newcomer" })),
        () => store.replace(key.id, 2, { rotatedAt: at(2) }, sampleKey(), sampleAudit(key)),
        () => store.update(key.id, 2, { expiresAt: at(9) }, sampleAudit(key), quota({ keys: 1 })),
      ];
      for (const write of writes) await assertCode("KEYBEARER_KEY_STATE", write);
      assertSame(ids(await everyKey(store)), [key.id]);
      assert.equal((await everyEntry(store)).length, entries);

      await addKey(store, sampleKey({ ownerId: "globex" }));
      assert.equal(await changeKey(store, key, 2, { name: "renamed" }), true);
      assertSame((await readKey(store, key)).suspendedAt, at(1));
      await owner.resume("acme", 3);
      const successor = sampleKey();
      assert.equal(await store.replace(key.id, 4, { rotatedAt: at(4) }, successor, sampleAudit(key)), true);
      assert.equal(await changeKey(store, successor, 1, { revokedAt: at(5) }), true);
      await addKey(store);
    },
  },
  {
    name: "a key that is added during suspendOwner, if implemented, is suspended or rejected",
    async check(store, { concurrency }) {
      const owner = ownerOf(store);
      if (owner === undefined) return;
      const keys = await Promise.all(times(concurrency, async () => addKey(store)));
      const added = times(concurrency, async () => addKey(store));
      const replaced = keys.map(async (key) =>
        store.replace(key.id, 1, { rotatedAt: at(1) }, sampleKey({ replaces: key.id }), sampleAudit(key)),
      );
      const results = Promise.allSettled([...added, ...replaced]);
      assert.equal(await owner.suspend("acme", 2), true);
      for (const result of await results) {
        if (result.status === "fulfilled") continue;
        await assertCode("KEYBEARER_KEY_STATE", () => Promise.reject(result.reason));
      }
      for (const { suspendedAt } of await everyKey(store)) assertSame(suspendedAt, at(2));
    },
  },
  {
    name: "changes, if implemented, reports that an owner was suspended or resumed",
    async check(store) {
      const owner = ownerOf(store);
      if (owner === undefined || store.changes === undefined) return;
      const key = await addKey(store);
      let { position } = await store.changes(undefined);
      const reported = async (): Promise<boolean> => {
        const changes = await store.changes?.(position);
        position = changes?.position ?? position;
        return changes?.keyIds === "all" || (changes?.keyIds.includes(key.id) ?? false);
      };
      for (const expected of [true, false]) {
        await owner.suspend("acme", 1);
        assert.equal(await reported(), expected);
      }
      await owner.resume("acme", 2);
      assert.equal(await reported(), true);
    },
  },
  {
    name: "of concurrent inserts below a quota, if implemented, only as many succeed as there is room for",
    async check(store, { concurrency }) {
      if (ownerOf(store) === undefined) return;
      const maxKeys = 3;
      const insert = async (key = sampleKey()) => {
        await store.insert(key, sampleAudit(key, { action: "created" }), quota({ keys: 1, maxKeys }));
        return key;
      };
      const [revoked] = [await insert(), await insert()];
      const results = await Promise.allSettled(times(concurrency, () => insert()));
      assert.equal(results.filter(({ status }) => status === "fulfilled").length, 1);
      for (const result of results) {
        if (result.status === "fulfilled") continue;
        await assertLimit("keys", maxKeys, () => Promise.reject(result.reason));
      }
      assert.equal((await everyKey(store)).length, maxKeys);

      const [key] = (await everyKey(store)).filter(({ id }) => id !== revoked.id);
      assert.ok(key);
      const replace = (keys: number) => {
        const change = { rotatedAt: NOON, expiresAt: keys === 0 ? NOON : at(9) };
        return store.replace(key.id, 1, change, sampleKey(), sampleAudit(key), quota({ keys, maxKeys }));
      };
      await assertLimit("keys", maxKeys, () => replace(1));
      assert.equal(await replace(0), true);
      await assertLimit("keys", maxKeys, insert);
      assert.equal(await changeKey(store, revoked, 1, { revokedAt: at(1) }), true);
      const expired = await insert(sampleKey({ expiresAt: at(1) }));
      await assertLimit("keys", maxKeys, insert);
      const later = quota({ keys: 1, maxKeys, now: at(2) });
      const next = sampleKey();
      await store.insert(next, sampleAudit(next), later);
      const renew = () => store.update(expired.id, 1, { expiresAt: at(MINUTE) }, sampleAudit(expired), later);
      await assertLimit("keys", maxKeys, renew);
      assertSame(await readKey(store, expired), expired);
      await addKey(store, sampleKey({ ownerId: "globex" }));
    },
  },
  {
    name: "the bytes of an owner, if implemented, stay below a quota, and a lost change adds none",
    async check(store, { concurrency }) {
      if (ownerOf(store) === undefined) return;
      const members = { ipAllowlist: ["192.0.2.0/24"], metadata: { name: "é 😀" } };
      const bytes = quotaBytes(members);
      const maxBytes = 2 * bytes;
      const insert = async (key = sampleKey(members)) => {
        await store.insert(key, sampleAudit(key), quota({ keys: 1, bytes: quotaBytes(key), maxBytes }));
        return key;
      };
      const key = await insert();
      const added = quota({ bytes: 1, maxBytes });
      const change = { metadata: { name: "é 😀!" } };
      for (let count = 0; count < bytes; count++) {
        assert.equal(await store.update(key.id, 9, change, sampleAudit(key), added), false);
      }
      const results = await Promise.allSettled(times(concurrency, () => insert()));
      assert.equal(results.filter(({ status }) => status === "fulfilled").length, 1);
      await assertLimit("bytes", maxBytes, insert);
      await assertLimit("bytes", maxBytes, () => store.update(key.id, 1, change, sampleAudit(key), added));
      await insert(sampleKey());
      assert.equal(await changeKey(store, key, 1, { revokedAt: at(1) }), true);
      await insert();
    },
  },
];

/** Returns functions that suspend and resume an owner, or `undefined` if the store cannot. */
function ownerOf(store: ManagedKeyStore) {
  const { suspendOwner, resumeOwner } = store;
  if (suspendOwner === undefined || resumeOwner === undefined) return undefined;
  const entry = (ownerId: string, action: "suspended" | "resumed", time: number) =>
    sampleAudit({ id: "", ownerId }, { action, at: at(time) });
  return {
    suspend: async (ownerId: string, time: number) =>
      suspendOwner.call(store, ownerId, entry(ownerId, "suspended", time)),
    resume: async (ownerId: string, time: number) =>
      resumeOwner.call(store, ownerId, entry(ownerId, "resumed", time)),
  };
}

function quota(members: Partial<OwnerQuota>): OwnerQuota {
  const [maxKeys, maxBytes] = [Number.POSITIVE_INFINITY, Number.POSITIVE_INFINITY];
  return { keys: 0, bytes: 0, maxKeys, maxBytes, now: NOON, ...members };
}

async function assertCode(code: string, call: () => Awaitable<unknown>): Promise<unknown> {
  const error = (await assertRejects(call)) as { code?: unknown } | null | undefined;
  assert.equal(error?.code, code, `the store must throw an error with the code ${code}, not: ${error}`);
  return error;
}

async function assertLimit(
  limit: "keys" | "bytes",
  max: number,
  call: () => Awaitable<unknown>,
): Promise<void> {
  const error = (await assertCode("KEYBEARER_KEY_LIMIT", call)) as { limit?: unknown; max?: unknown };
  assert.deepEqual([error.limit, error.max], [limit, max]);
}

function times<T>(count: number, make: (index: number) => T): T[] {
  return Array.from({ length: count }, (_, index) => make(index));
}
