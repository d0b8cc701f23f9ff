import assert from "node:assert/strict";
import { hashSecret, type KeyHash, type KeyRecord } from "../kit.js";
import {
  added,
  assertSame,
  at,
  everyEntry,
  everyKey,
  fullKey,
  NOON,
  type Rule,
  refused,
  sampleAudit,
  sampleKey,
  stored,
} from "./fixtures.js";

// Quotes of several kinds, backslashes, wildcards, code of other languages, line ends, combining characters,
// letters from right to left and characters outside of the Basic Multilingual Plane.
const AWKWARD = `'"\`\\ \\' \\\\ %_* $1 \${x} {{y}} ?:@ -- ; /* <b>&amp; null\t\r\n é e\u0301 ß İ שלום 日本 😀👩‍👩‍👧 `;

/** Finding keys, and finding them as they were stored. */
export const LOOKUP_RULES: readonly Rule[] = [
  {
    name: "an empty store finds and lists nothing",
    async check(store) {
      assert.equal((await store.findByHash(hashSecret("unknown"))) ?? undefined, undefined);
      assert.equal((await store.findById("unknown")) ?? undefined, undefined);
      assert.deepEqual(await everyKey(store), []);
      assert.deepEqual(await everyEntry(store), []);
    },
  },
  {
    name: "a key whose members are all null comes back as it was stored",
    check: (store) => comesBack(store, sampleKey()),
  },
  {
    name: "a key with every member comes back as it was stored",
    check: (store) => comesBack(store, fullKey()),
  },
  {
    name: "empty lists and objects stay empty, and do not become null",
    check: (store) =>
      comesBack(store, sampleKey({ scopes: [], ipAllowlist: [], metadata: {}, name: "", revokedReason: "" })),
  },
  {
    name: "quotes, backslashes, line ends and emoji stay as they are in every text",
    check: (store) =>
      comesBack(
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
    name: "dates keep their milliseconds, from 1970 to the latest",
    async check(store, { latest }) {
      const instants = [
        new Date(0),
        new Date(1),
        new Date("2001-09-09T01:46:39.999Z"),
        new Date("2038-01-19T03:14:08.001Z"),
      ];
      for (const date of [...instants.filter((instant) => instant < latest), latest]) {
        await comesBack(
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
    name: "hashes and ids are compared whole, and exactly",
    async check(store) {
      const key = await added(store, sampleKey({ id: "key_aBc" }));
      const pepper = await added(store, sampleKey({ id: "KEY_ABC", hash: `v1:${key.hash}` as KeyHash }));
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
    name: "findManyByHash, where there is one, answers in the order of the hashes, and misses as undefined",
    async check(store) {
      if (store.findManyByHash === undefined) return;
      const [a, b] = [await added(store), await added(store, fullKey())];
      const unknown = hashSecret("unknown");
      const hashes = [b.hash, unknown, a.hash, b.hash, a.hash.toUpperCase() as KeyHash];
      const answers = await store.findManyByHash(hashes);
      assertSame(
        answers.map((answer) => answer ?? undefined),
        [b, undefined, a, b, undefined],
      );
      assertSame([...(await store.findManyByHash([]))], []);
    },
  },
  {
    name: "an id or a hash that exists is refused, and nothing is left behind",
    async check(store) {
      const first = await added(store);
      for (const taken of [{ id: first.id }, { hash: first.hash }, { id: first.id, hash: first.hash }]) {
        const second = sampleKey({ name: "second", ownerId: "globex", ...taken });
        await refused(() => store.insert(second, sampleAudit(second)));
      }
      assertSame(await everyKey(store), [first]);
      assertSame(await store.findByHash(first.hash), first);
      assert.equal((await everyEntry(store)).length, 1);
    },
  },
  {
    name: "a change of what was stored or answered does not reach the store",
    async check(store, { sharedLookups }) {
      const given = fullKey();
      const audit = sampleAudit(given, { details: { scopes: ["vehicles:read"] } });
      const expected = structuredClone(given);
      const expectedAudit = structuredClone(audit);
      await store.insert(given, audit);
      vandalize(given);
      vandalize(audit);
      const lookup = async () => (await store.findByHash(expected.hash)) ?? undefined;
      const reads = [async () => store.findById(expected.id), async () => (await everyKey(store))[0]];
      if (!sharedLookups) reads.push(lookup as (typeof reads)[number]);
      // Twice: the answer that one read spoils must not be the answer of the next.
      for (const read of [...reads, ...reads]) {
        const answer = await read();
        assertSame(answer, expected);
        vandalize(answer);
      }
      assertSame(await lookup(), expected);
      for (const _ of [1, 2]) {
        const [entry] = await everyEntry(store);
        assertSame(entry, expectedAudit);
        vandalize(entry);
      }
    },
  },
  {
    name: "a change of what was written later does not reach the store",
    async check(store) {
      const key = await added(store);
      const change = { expiresAt: at(5), ipAllowlist: ["192.0.2.1"], metadata: { tags: ["a"] } };
      const successor = fullKey();
      const used = at(9);
      const expected = { ...structuredClone(key), ...structuredClone(change), version: 2 };
      const expectedSuccessor = { ...structuredClone(successor), lastUsedAt: at(9) };
      assert.equal(await store.replace(key.id, 1, change, successor, sampleAudit(key)), true);
      await store.touch(new Map([[successor.id, used]]));
      for (const value of [change, successor, used]) vandalize(value);
      assertSame(await store.findById(expected.id), expected);
      assertSame(await store.findById(expectedSuccessor.id), expectedSuccessor);
    },
  },
];

async function comesBack(store: Parameters<Rule["check"]>[0], key: KeyRecord): Promise<void> {
  await added(store, key);
  assertSame(await stored(store, key), key);
  assertSame(await store.findByHash(key.hash), key);
  const { items } = await store.list({ now: NOON, ownerId: key.ownerId, limit: 100 });
  assertSame(
    items.find(({ id }) => id === key.id),
    key,
  );
}

/** Changes all that can be changed in a value. What is frozen may refuse. */
function vandalize(value: unknown): void {
  if (value instanceof Date) {
    value.setTime(12_345);
    return;
  }
  if (typeof value !== "object" || value === null) return;
  if (Array.isArray(value)) Reflect.set(value, value.length, "vandal");
  for (const [name, member] of Object.entries(value)) {
    vandalize(member);
    Reflect.set(value, name, "vandal");
  }
}
