import assert from "node:assert/strict";
import type { Awaitable } from "../internal/awaitable.js";
import { type KeyChange, type KeyRecord, keyStatus } from "../kit.js";
import {
  addKey,
  assertConflict,
  assertSame,
  at,
  changeKey,
  everyEntry,
  everyKey,
  fullKey,
  type Rule,
  readKey,
  sampleAudit,
  sampleKey,
} from "./fixtures.js";

const ALL_MEMBERS: Required<KeyChange> = {
  name: "Renamed ' \\ 😀",
  ipAllowlist: ["198.51.100.7/32"],
  rateLimit: { limit: 5, windowSeconds: 1 },
  metadata: { renamed: true },
  updatedAt: at(101),
  expiresAt: at(102),
  disabledAt: at(103),
  disabledBy: "operator",
  revokedAt: at(104),
  revokedReason: "leaked",
  rotatedAt: at(105),
  replacedBy: "key_next",
  replaces: "key_before",
};

const ALL_NULL: KeyChange = {
  name: null,
  ipAllowlist: null,
  rateLimit: null,
  metadata: null,
  expiresAt: null,
  disabledAt: null,
  disabledBy: null,
  revokedAt: null,
  revokedReason: null,
  rotatedAt: null,
  replacedBy: null,
  replaces: null,
};

/** Rules for `update` and `replace`. */
export const CHANGE_RULES: readonly Rule[] = [
  {
    name: "update writes every member of the change, and the audit entry",
    async check(store) {
      const key = await addKey(store);
      const audit = sampleAudit(key, { at: at(1), actor: "ada" });
      assert.equal(await store.update(key.id, 1, ALL_MEMBERS, audit), true);
      const expected = { ...key, ...ALL_MEMBERS, version: 2 };
      assertSame(await readKey(store, key), expected);
      assertSame(await store.findByHash(key.hash), expected);
      assertSame((await everyEntry(store))[0], audit);
    },
  },
  {
    name: "update sets members to null",
    async check(store) {
      const key = await addKey(store, fullKey());
      assert.equal(await changeKey(store, key, 7, ALL_NULL), true);
      assertSame(await readKey(store, key), { ...key, ...ALL_NULL, version: 8 });
    },
  },
  {
    name: "update changes no other member and no other key",
    async check(store) {
      const [key, other] = [await addKey(store, fullKey()), await addKey(store, fullKey())];
      assert.equal(await changeKey(store, key, 7, { disabledAt: null }), true);
      assertSame(await readKey(store, key), { ...key, disabledAt: null, version: 8 });
      assertSame(await readKey(store, other), other);
    },
  },
  {
    name: "the version grows by one with each change",
    async check(store) {
      const key = await addKey(store);
      for (let version = 1; version <= 5; version++) {
        assert.equal(await changeKey(store, key, version, { name: `${version}` }), true);
        assert.equal((await readKey(store, key)).version, version + 1);
      }
    },
  },
  {
    name: "update with another version returns false and writes nothing, not even the audit entry",
    async check(store) {
      const key = await addKey(store, sampleKey({ version: 3 }));
      for (const version of [0, 1, 2, 4, 30]) {
        assert.equal(await changeKey(store, key, version, ALL_MEMBERS), false);
      }
      assertSame(await readKey(store, key), key);
      assert.equal((await everyEntry(store)).length, 1);
    },
  },
  {
    name: "update of an unknown id returns false and writes nothing",
    async check(store) {
      const key = await addKey(store);
      assert.equal(await changeKey(store, { ...key, id: "unknown" }, 1, ALL_MEMBERS), false);
      assertSame(await everyKey(store), [key]);
      assert.equal((await everyEntry(store)).length, 1);
    },
  },
  {
    name: "replace changes the old key, inserts the successor and writes the audit entry",
    async check(store) {
      const old = await addKey(store, sampleKey({ expiresAt: at(500) }));
      const successor = fullKey({ version: 1, replaces: old.id, createdAt: at(9) });
      const change = { rotatedAt: at(9), replacedBy: successor.id, expiresAt: at(100), updatedAt: at(9) };
      const audit = sampleAudit(old, { at: at(9), action: "rotated", details: { replacedBy: successor.id } });
      assert.equal(await store.replace(old.id, 1, change, successor, audit), true);
      assertSame(await store.findByHash(old.hash), { ...old, ...change, version: 2 });
      assertSame(await store.findByHash(successor.hash), successor);
      assertSame(await readKey(store, successor), successor);
      assertSame((await everyEntry(store))[0], audit);
      assert.equal((await everyEntry(store)).length, 2);
    },
  },
  {
    name: "replace with another version or an unknown id returns false and writes nothing",
    async check(store) {
      const old = await addKey(store);
      for (const [id, version] of [
        [old.id, 0],
        [old.id, 2],
        ["unknown", 1],
      ] as const) {
        const successor = sampleKey({ replaces: old.id });
        assert.equal(await store.replace(id, version, ALL_MEMBERS, successor, sampleAudit(old)), false);
      }
      await assertOnlyKeys(store, [old]);
    },
  },
  {
    name: "replace throws a KeyConflictError if the id or hash of the successor exists, and changes neither key",
    async check(store) {
      const old = await addKey(store);
      const other = await addKey(store, sampleKey({ createdAt: at(-1) }));
      for (const taken of [{ hash: other.hash }, { id: other.id }, { hash: old.hash }, { id: old.id }]) {
        const successor = sampleKey({ replaces: old.id, name: "successor", ...taken });
        await assertConflict(() => store.replace(old.id, 1, ALL_MEMBERS, successor, sampleAudit(old)));
        await assertOnlyKeys(store, [old, other]);
      }
      // The failed calls must not block a valid one.
      assert.equal(await store.replace(old.id, 1, ALL_MEMBERS, sampleKey(), sampleAudit(old)), true);
    },
  },
  {
    name: "an invalid date as expiry is rejected or kept, but never becomes null",
    async check(store) {
      const key = await addKey(store, sampleKey({ expiresAt: at(1) }));
      const expiresAt = new Date(Number.NaN);
      const [inserted, successor] = [sampleKey({ expiresAt }), sampleKey({ expiresAt })];
      const writes: (() => Awaitable<unknown>)[] = [
        () => store.insert(inserted, sampleAudit(inserted)),
        () => store.replace(key.id, 1, { name: "rotated" }, successor, sampleAudit(key)),
        () => changeKey(store, key, 1, { expiresAt }),
        () => changeKey(store, key, 2, { expiresAt }),
      ];
      for (const write of writes) {
        await Promise.resolve()
          .then(write)
          .catch(() => undefined);
      }
      for (const { id } of [key, inserted, successor]) {
        const record = await store.findById(id);
        if (record) assert.equal(keyStatus(record, at(2).getTime()), "expired");
      }
    },
  },
];

async function assertOnlyKeys(
  store: Parameters<Rule["check"]>[0],
  keys: readonly KeyRecord[],
): Promise<void> {
  assertSame(await everyKey(store), keys);
  assert.equal((await everyEntry(store)).length, keys.length);
}
