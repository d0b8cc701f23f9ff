import assert from "node:assert/strict";
import { KEY_STATUSES, KeyInputError, type KeyRecord, type KeyStatus, keyStatus } from "../kit.js";
import {
  addKey,
  assertAllOnce,
  assertRejects,
  assertSame,
  at,
  everyKey,
  ids,
  NOON,
  type Rule,
  sampleKey,
} from "./fixtures.js";

/** Rules for `list`. */
export const LIST_RULES: readonly Rule[] = [
  {
    name: "list returns the newest keys first, and orders keys of one millisecond by id",
    async check(store) {
      for (const [id, time] of [
        ["key_m", 0],
        ["key_z", -1],
        ["key_c", 1],
        ["key_a", 0],
        ["key_b", 1_000],
        ["key_x", 0],
      ] as const) {
        await addKey(
          store,
          sampleKey({ id, createdAt: at(time), updatedAt: at(-time), lastUsedAt: at(-time) }),
        );
      }
      const newestFirst = ["key_b", "key_c", "key_x", "key_m", "key_a", "key_z"];
      for (const limit of [1, 2, 3, 4, 100])
        assert.deepEqual(ids(await everyKey(store, { limit })), newestFirst);
    },
  },
  {
    name: "list filters by exact owner or environment",
    async check(store) {
      for (const ownerId of ["acme", "ACME", "acmé", "acme ", "globex"]) {
        for (const environment of ["live", "Live", null]) {
          await addKey(store, sampleKey({ id: `${ownerId}/${environment}`, ownerId, environment }));
        }
      }
      const found = async (query: Parameters<typeof everyKey>[1]) => ids(await everyKey(store, query)).sort();
      assert.deepEqual(await found({ ownerId: "acme" }), ["acme/Live", "acme/live", "acme/null"]);
      assert.deepEqual(await found({ ownerId: "acme", environment: "live" }), ["acme/live"]);
      assert.equal((await found({ environment: "live" })).length, 5);
      assert.equal((await found({})).length, 15);
      for (const unknown of ["", "acm", "acme%", "%", "null"]) {
        assert.deepEqual(await found({ ownerId: unknown }), []);
        assert.deepEqual(await found({ environment: unknown }), []);
      }
    },
  },
  {
    name: "list filters by the status at the time of the query, and each key has exactly one status",
    async check(store) {
      const keys: KeyRecord[] = [];
      const dates = [null, at(-1)];
      for (const revokedAt of dates) {
        for (const disabledAt of dates) {
          for (const rotatedAt of dates) {
            for (const expiresAt of [null, at(-1), NOON, at(1), new Date(0)]) {
              keys.push(await addKey(store, sampleKey({ revokedAt, disabledAt, rotatedAt, expiresAt })));
            }
          }
        }
      }
      for (const now of [at(-2), at(-1), NOON, at(1), at(2)]) {
        for (const status of KEY_STATUSES) {
          const expected = keys.filter((key) => keyStatus(key, now.getTime()) === status);
          assert.deepEqual(ids(await everyKey(store, { status, now, limit: 3 })), ids(expected).reverse());
        }
      }
    },
  },
  {
    name: "a key is expired from the millisecond of its expiry on",
    async check(store) {
      const key = await addKey(store, sampleKey({ expiresAt: NOON }));
      const rotated = await addKey(store, sampleKey({ expiresAt: NOON, rotatedAt: at(-9) }));
      const statusesAt = async (now: Date) => {
        const found: Record<string, KeyStatus> = {};
        for (const status of KEY_STATUSES) {
          for (const { id } of await everyKey(store, { status, now })) found[id] = status;
        }
        return found;
      };
      assertSame(await statusesAt(at(-1)), { [key.id]: "active", [rotated.id]: "retiring" });
      assertSame(await statusesAt(NOON), { [key.id]: "expired", [rotated.id]: "expired" });
    },
  },
  {
    name: "list searches in names and at the beginning of starts, without wildcards",
    async check(store) {
      for (const [id, name, start] of [
        ["ci", "CI deploy 100%", "ezt_live_AbCd"],
        ["umlaut", "Fähre_1", "ezt_live_EfGh"],
        ["star", "Backup (night!)", "ezt_test_AbCd"],
        ["unnamed", null, "ezt_live_XyZz"],
      ] as const) {
        await addKey(store, sampleKey({ id, name, start, ownerId: "acme" }));
      }
      const found = async (search: string) =>
        ids(await everyKey(store, { ownerId: "acme", search, limit: 1 })).sort();
      assert.deepEqual(await found("DEPLOY"), ["ci"]);
      assert.deepEqual(await found("Fähre"), ["umlaut"]);
      assert.deepEqual(await found("ezt_live_"), ["ci", "umlaut", "unnamed"]);
      assert.deepEqual(await found("EZT_TEST_abcd"), ["star"]);
      assert.deepEqual(await found("%"), ["ci"]);
      assert.deepEqual(await found("_"), ["umlaut"]);
      assert.deepEqual(await found("night!"), ["star"]);
      for (const absent of ["AbCd", "e%y", "\\", "'", "xyz"]) assert.deepEqual(await found(absent), []);
      assert.deepEqual(ids(await everyKey(store, { ownerId: "globex", search: "ci" })), []);
    },
  },
  {
    name: "list combines filters",
    async check(store) {
      const wanted = sampleKey({ ownerId: "globex", environment: "test", disabledAt: NOON });
      await addKey(store, wanted);
      await addKey(store, { ...sampleKey(wanted), ...unique(), ownerId: "acme" });
      await addKey(store, { ...sampleKey(wanted), ...unique(), environment: "live" });
      await addKey(store, { ...sampleKey(wanted), ...unique(), disabledAt: null });
      const query = { ownerId: "globex", environment: "test", status: "disabled" } as const;
      assertSame(await everyKey(store, query), [wanted]);
    },
  },
  {
    name: "pages neither skip nor repeat a key while others are added, even within one millisecond",
    async check(store) {
      const before: KeyRecord[] = [];
      for (let index = 0; index < 23; index++) {
        before.push(await addKey(store, sampleKey({ createdAt: at(-Math.floor(index / 6)) })));
      }
      for (const limit of [1, 4, 5]) {
        let pages = 0;
        const seen = await everyKey(store, { limit }, async () => {
          if (++pages > 5) return;
          for (const time of [50, 0, -1, -99]) await addKey(store, sampleKey({ createdAt: at(time) }));
        });
        assertAllOnce(ids(seen), ids(before));
      }
    },
  },
  {
    name: "a page has the requested length, and the last page has no cursor, even if it is full",
    async check(store) {
      for (let index = 0; index < 8; index++) await addKey(store, sampleKey({ createdAt: at(index) }));
      const first = await store.list({ now: NOON, limit: 4 });
      assert.equal(first.items.length, 4);
      assert.ok(typeof first.nextCursor === "string" && first.nextCursor !== "");
      const second = await store.list({ now: NOON, limit: 4, cursor: first.nextCursor });
      assert.equal(second.items.length, 4);
      assert.equal(second.nextCursor ?? undefined, undefined);
      assert.equal(new Set(ids([...first.items, ...second.items])).size, 8);
      assert.equal((await store.list({ now: NOON, limit: 8 })).nextCursor ?? undefined, undefined);
    },
  },
  {
    name: "a page can have 1000 keys",
    async check(store) {
      for (let round = 0; round < 21; round++) {
        const keys = Array.from({ length: round === 20 ? 1 : 50 }, () => sampleKey());
        await Promise.all(keys.map(async (key) => addKey(store, key)));
      }
      const first = await store.list({ now: NOON, limit: 1_000 });
      assert.equal(first.items.length, 1_000);
      assert.ok(first.nextCursor);
      const second = await store.list({ now: NOON, limit: 1_000, cursor: first.nextCursor });
      assert.equal(second.items.length, 1);
      assert.equal(new Set(ids([...first.items, ...second.items])).size, 1_001);
    },
  },
  {
    name: "an invalid cursor is rejected with a KeyInputError",
    async check(store) {
      await addKey(store);
      for (const cursor of ["", "nonsense", "bnVsbA", "' or 1=1 --"]) {
        const errors = [
          await assertRejects(() => store.list({ now: NOON, limit: 5, cursor })),
          await assertRejects(() => store.auditTrail({ limit: 5, cursor })),
        ];
        for (const error of errors) assert.ok(error instanceof KeyInputError, `${error}`);
      }
    },
  },
];

function unique(): Pick<KeyRecord, "id" | "hash"> {
  const { id, hash } = sampleKey();
  return { id, hash };
}
