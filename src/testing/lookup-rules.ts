import assert from "node:assert/strict";
import { hashSecret, type KeyHash, type KeyRecord } from "../kit.js";
import {
  addKey,
  assertConflict,
  assertSame,
  at,
  everyEntry,
  everyKey,
  fullKey,
  NOON,
  type Rule,
  readKey,
  sampleAudit,
  sampleKey,
} from "./fixtures.js";

// Quotes, backslashes, wildcards, code of other languages, line ends, combining characters, right-to-left letters and
// characters outside the Basic Multilingual Plane.
const AWKWARD = `'"\`\\ \\' \\\\ %_* $1 \${x} {{y}} ?:@ -- ; /* <b>&amp; null\t\r\n é e\u0301 ß İ שלום 日本 😀👩‍👩‍👧 `;

/** Rules for inserting keys and looking them up. */
export const LOOKUP_RULES: readonly Rule[] = [
  {
    name: "an empty store finds and lists no keys",
    async check(store) {
      assert.equal((await store.findByHash(hashSecret("unknown"))) ?? undefined, undefined);
      assert.equal((await store.findById("unknown")) ?? undefined, undefined);
      assert.deepEqual(await everyKey(store), []);
      assert.deepEqual(await everyEntry(store), []);
    },
  },
  {
    name: "a key whose optional members are null is returned as it was stored",
    check: (store) => assertRoundTrip(store, sampleKey()),
  },
  {
    name: "a key with every member is returned as it was stored",
    check: (store) => assertRoundTrip(store, fullKey()),
  },
  {
    name: "empty arrays, objects and strings stay empty and do not become null",
    check: (store) =>
      assertRoundTrip(
        store,
        sampleKey({ scopes: [], ipAllowlist: [], metadata: {}, name: "", revokedReason: "" }),
      ),
  },
  {
    name: "strings with quotes, backslashes, line ends and emoji are returned unchanged",
    check: (store) =>
      assertRoundTrip(
        store,
        fullKey({
          id: `id ${AWKWARD}`,
          ownerId: `owner ${AWKWARD}`,
          environment: `environment ${AWKWARD}`,
          start: AWKWARD,
          name: AWKWARD,
          scopes: [AWKWARD, "vehicles:read"],
          ipAllowlist: [AWKWARD],
          metadata: { [AWKWARD]: AWKWARD, nested: { list: [AWKWARD] } },
          revokedReason: AWKWARD,
          replacedBy: `successor ${AWKWARD}`,
          replaces: `predecessor ${AWKWARD}`,
        }),
      ),
  },
  {
    name: "dates keep their milliseconds, from 1970 to the latest date",
    async check(store, { latest }) {
      const instants = [
        new Date(0),
        new Date(1),
        new Date("2001-09-09T01:46:39.999Z"),
        new Date("2038-01-19T03:14:08.001Z"),
      ];
      for (const date of [...instants.filter((instant) => instant < latest), latest]) {
        await assertRoundTrip(
          store,
          fullKey({
            createdAt: date,
            updatedAt: date,
            expiresAt: date,
            lastUsedAt: date,
            disabledAt: date,
            revokedAt: date,
            rotatedAt: date,
          }),
        );
      }
    },
  },
  {
    name: "hashes and ids are compared exactly",
    async check(store) {
      const key = await addKey(store, sampleKey({ id: "key_aBc" }));
      const pepper = await addKey(store, sampleKey({ id: "KEY_ABC", hash: `v1:${key.hash}` as KeyHash }));
      const { hash } = key;
      const others = [
        hash.toUpperCase(),
        hash.slice(0, -1),
        hash.slice(1),
        `${hash} `,
        ` ${hash}`,
        `${hash}0`,
        `${hash.slice(0, -1)}%`,
        `${hash.slice(0, -1)}_`,
        `v2:${hash}`,
        `V1:${hash}`,
        "%",
        "",
      ];
      for (const other of others) {
        assert.equal((await store.findByHash(other as KeyHash)) ?? undefined, undefined, other);
      }
      for (const other of ["key_abc", "key_aBc ", "key_aB", "key_aB%", ""]) {
        assert.equal((await store.findById(other)) ?? undefined, undefined, other);
      }
      assert.equal((await store.findByHash(hash))?.id, "key_aBc");
      assert.equal((await store.findByHash(pepper.hash))?.id, "KEY_ABC");
    },
  },
  {
    name: "findManyByHash, if implemented, returns keys in the order of the hashes, and undefined for unknown hashes",
    async check(store) {
      if (store.findManyByHash === undefined) return;
      const [a, b] = [await addKey(store), await addKey(store, fullKey())];
      const unknown = hashSecret("unknown");
      const hashes = [b.hash, unknown, a.hash, b.hash, a.hash.toUpperCase() as KeyHash];
      const records = await store.findManyByHash(hashes);
      assertSame(
        records.map((record) => record ?? undefined),
        [b, undefined, a, b, undefined],
      );
      assertSame([...(await store.findManyByHash([]))], []);
      const many = Array.from({ length: 499 }, (_, index) => hashSecret(`unknown ${index}`));
      assertSame((await store.findManyByHash([...many, a.hash]))[499], a);
    },
  },
  {
    name: "insert throws a KeyConflictError if the id or hash exists, and writes nothing",
    async check(store) {
      const first = await addKey(store);
      for (const taken of [{ id: first.id }, { hash: first.hash }, { id: first.id, hash: first.hash }]) {
        const second = sampleKey({ name: "second", ownerId: "globex", ...taken });
        await assertConflict(() => store.insert(second, sampleAudit(second)));
      }
      assertSame(await everyKey(store), [first]);
      assertSame(await store.findByHash(first.hash), first);
      assert.equal((await everyEntry(store)).length, 1);
    },
  },
  {
    name: "changing a stored or returned object does not change the store",
    async check(store, { sharedLookups }) {
      const given = fullKey();
      const audit = sampleAudit(given, { details: { scopes: ["vehicles:read"] } });
      const expected = structuredClone(given);
      const expectedAudit = structuredClone(audit);
      await store.insert(given, audit);
      mutateDeeply(given);
      mutateDeeply(audit);
      const lookup = async () => (await store.findByHash(expected.hash)) ?? undefined;
      const reads = [async () => store.findById(expected.id), async () => (await everyKey(store))[0]];
      if (!sharedLookups) reads.push(lookup as (typeof reads)[number]);
      // Twice, so that a changed result would be seen by the next read.
      for (const read of [...reads, ...reads]) {
        const result = await read();
        assertSame(result, expected);
        mutateDeeply(result);
      }
      assertSame(await lookup(), expected);
      for (const _ of [1, 2]) {
        const [entry] = await everyEntry(store);
        assertSame(entry, expectedAudit);
        mutateDeeply(entry);
      }
    },
  },
  {
    name: "changing the arguments of a later write does not change the store",
    async check(store) {
      const key = await addKey(store);
      const change = { expiresAt: at(5), ipAllowlist: ["192.0.2.1"], metadata: { tags: ["a"] } };
      const successor = fullKey();
      const used = at(9);
      const expected = { ...structuredClone(key), ...structuredClone(change), version: 2 };
      const expectedSuccessor = { ...structuredClone(successor), lastUsedAt: at(9) };
      assert.equal(await store.replace(key.id, 1, change, successor, sampleAudit(key)), true);
      await store.touch(new Map([[successor.id, used]]));
      for (const value of [change, successor, used]) mutateDeeply(value);
      assertSame(await store.findById(expected.id), expected);
      assertSame(await store.findById(expectedSuccessor.id), expectedSuccessor);
    },
  },
];

async function assertRoundTrip(store: Parameters<Rule["check"]>[0], key: KeyRecord): Promise<void> {
  await addKey(store, key);
  assertSame(await readKey(store, key), key);
  assertSame(await store.findByHash(key.hash), key);
  const { items } = await store.list({ now: NOON, ownerId: key.ownerId, limit: 100 });
  assertSame(
    items.find(({ id }) => id === key.id),
    key,
  );
}

/** Changes everything in a value that is not frozen. */
function mutateDeeply(value: unknown): void {
  if (value instanceof Date) {
    value.setTime(12_345);
    return;
  }
  if (typeof value !== "object" || value === null) return;
  if (Array.isArray(value)) Reflect.set(value, value.length, "changed");
  for (const [name, member] of Object.entries(value)) {
    mutateDeeply(member);
    Reflect.set(value, name, "changed");
  }
}
