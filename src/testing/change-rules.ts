import assert from "node:assert/strict";
import type { Awaitable } from "../internal/awaitable.js";
import { type KeyChange, type KeyRecord, keyStatus } from "../kit.js";
import {
  added,
  assertSame,
  at,
  changed,
  everyEntry,
  everyKey,
  fullKey,
  type Rule,
  refused,
  sampleAudit,
  sampleKey,
  stored,
} from "./fixtures.js";

const EVERYTHING: Required<KeyChange> = {
  name: "Renamed ' \\ 😀",
  ipAllowlist: ["198.51.100.7/32"],
  rateLimit: { limit: 5, windowSeconds: 1 },
  metadata: { renamed: true },
  updatedAt: at(101),
  expiresAt: at(102),
  disabledAt: at(103),
  revokedAt: at(104),
  revokedReason: "leaked",
  rotatedAt: at(105),
  replacedBy: "key_next",
  replaces: "key_before",
};

const NOTHING: KeyChange = {
  name: null,
  ipAllowlist: null,
  rateLimit: null,
  metadata: null,
  expiresAt: null,
  disabledAt: null,
  revokedAt: null,
  revokedReason: null,
  rotatedAt: null,
  replacedBy: null,
  replaces: null,
};

/** Updates and replacements, one at a time. */
export const CHANGE_RULES: readonly Rule[] = [
  {
    name: "update writes every member that it is given, and its audit entry",
    async check(store) {
      const key = await added(store);
      const audit = sampleAudit(key, { at: at(1), actor: "ada" });
      assert.equal(await store.update(key.id, 1, EVERYTHING, audit), true);
      const expected = { ...key, ...EVERYTHING, version: 2 };
      assertSame(await stored(store, key), expected);
      assertSame(await store.findByHash(key.hash), expected);
      assertSame((await everyEntry(store))[0], audit);
    },
  },
  {
    name: "update takes away what it is told to with null",
    async check(store) {
      const key = await added(store, fullKey());
      assert.equal(await changed(store, key, 7, NOTHING), true);
      assertSame(await stored(store, key), { ...key, ...NOTHING, version: 8 });
    },
  },
  {
    name: "update leaves alone what it is not told of, and every other key",
    async check(store) {
      const [key, other] = [await added(store, fullKey()), await added(store, fullKey())];
      assert.equal(await changed(store, key, 7, { disabledAt: null }), true);
      assertSame(await stored(store, key), { ...key, disabledAt: null, version: 8 });
      assertSame(await stored(store, other), other);
    },
  },
  {
    name: "the version grows by one with each change",
    async check(store) {
      const key = await added(store);
      for (let version = 1; version <= 5; version++) {
        assert.equal(await changed(store, key, version, { name: `${version}` }), true);
        assert.equal((await stored(store, key)).version, version + 1);
      }
    },
  },
  {
    name: "an update of another version answers false and writes nothing, no audit entry either",
    async check(store) {
      const key = await added(store, sampleKey({ version: 3 }));
      for (const version of [0, 1, 2, 4, 30]) {
        assert.equal(await changed(store, key, version, EVERYTHING), false);
      }
      assertSame(await stored(store, key), key);
      assert.equal((await everyEntry(store)).length, 1);
    },
  },
  {
    name: "an update of an unknown id answers false and writes nothing",
    async check(store) {
      const key = await added(store);
      assert.equal(await changed(store, { ...key, id: "unknown" }, 1, EVERYTHING), false);
      assertSame(await everyKey(store), [key]);
      assert.equal((await everyEntry(store)).length, 1);
    },
  },
  {
    name: "replace changes the old key, inserts its successor and writes the audit entry",
    async check(store) {
      const old = await added(store, sampleKey({ expiresAt: at(500) }));
      const successor = fullKey({ version: 1, replaces: old.id, createdAt: at(9) });
      const change = { rotatedAt: at(9), replacedBy: successor.id, expiresAt: at(100), updatedAt: at(9) };
      const audit = sampleAudit(old, { at: at(9), action: "rotated", details: { replacedBy: successor.id } });
      assert.equal(await store.replace(old.id, 1, change, successor, audit), true);
      assertSame(await store.findByHash(old.hash), { ...old, ...change, version: 2 });
      assertSame(await store.findByHash(successor.hash), successor);
      assertSame(await stored(store, successor), successor);
      assertSame((await everyEntry(store))[0], audit);
      assert.equal((await everyEntry(store)).length, 2);
    },
  },
  {
    name: "a replacement of another version, or of an unknown id, answers false and writes nothing",
    async check(store) {
      const old = await added(store);
      for (const [id, version] of [
        [old.id, 0],
        [old.id, 2],
        ["unknown", 1],
      ] as const) {
        const successor = sampleKey({ replaces: old.id });
        assert.equal(await store.replace(id, version, EVERYTHING, successor, sampleAudit(old)), false);
      }
      await nothingButThese(store, [old]);
    },
  },
  {
    name: "a replacement by a key whose hash or id exists is refused and leaves both keys as they were",
    async check(store) {
      const old = await added(store);
      const other = await added(store, sampleKey({ createdAt: at(-1) }));
      for (const taken of [{ hash: other.hash }, { id: other.id }, { hash: old.hash }, { id: old.id }]) {
        const successor = sampleKey({ replaces: old.id, name: "successor", ...taken });
        await refused(() => store.replace(old.id, 1, EVERYTHING, successor, sampleAudit(old)));
        await nothingButThese(store, [old, other]);
      }
      // What was refused must not stand in the way of what is not.
      assert.equal(await store.replace(old.id, 1, EVERYTHING, sampleKey(), sampleAudit(old)), true);
    },
  },
  {
    name: "an expiry that is an invalid date is refused, or kept as one, but never becomes none",
    async check(store) {
      const key = await added(store, sampleKey({ expiresAt: at(1) }));
      const expiresAt = new Date(Number.NaN);
      const [inserted, successor] = [sampleKey({ expiresAt }), sampleKey({ expiresAt })];
      const writes: (() => Awaitable<unknown>)[] = [
        () => store.insert(inserted, sampleAudit(inserted)),
        () => store.replace(key.id, 1, { name: "rotated" }, successor, sampleAudit(key)),
        () => changed(store, key, 1, { expiresAt }),
        () => changed(store, key, 2, { expiresAt }),
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

async function nothingButThese(
  store: Parameters<Rule["check"]>[0],
  keys: readonly KeyRecord[],
): Promise<void> {
  assertSame(await everyKey(store), keys);
  assert.equal((await everyEntry(store)).length, keys.length);
}
