import assert from "node:assert/strict";
import { KeyInputError, type KeyRecord, type KeyStatus, keyStatus } from "../kit.js";
import {
  added,
  assertAllOnce,
  assertSame,
  at,
  everyKey,
  ids,
  NOON,
  type Rule,
  refused,
  sampleKey,
} from "./fixtures.js";

const STATUSES: readonly KeyStatus[] = ["active", "disabled", "expired", "revoked", "retiring"];

/** Listing keys. */
export const LIST_RULES: readonly Rule[] = [
  {
    name: "keys are listed newest first, and by id where they are of one millisecond",
    async check(store) {
      for (const [id, time] of [
        ["key_m", 0],
        ["key_z", -1],
        ["key_c", 1],
        ["key_a", 0],
        ["key_b", 1_000],
        ["key_x", 0],
      ] as const) {
        await added(
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
    name: "a list is of one owner, or of one environment, compared exactly",
    async check(store) {
      for (const ownerId of ["acme", "ACME", "acmé", "acme ", "globex"]) {
        for (const environment of ["live", "Live", null]) {
          await added(store, sampleKey({ id: `${ownerId}/${environment}`, ownerId, environment }));
        }
      }
      const found = async (query: Parameters<typeof everyKey>[1]) => ids(await everyKey(store, query)).sort();
      assert.deepEqual(await found({ ownerId: "acme" }), ["acme/Live", "acme/live", "acme/null"]);
      assert.deepEqual(await found({ ownerId: "acme", environment: "live" }), ["acme/live"]);
      assert.equal((await found({ environment: "live" })).length, 5);
      assert.equal((await found({})).length, 15);
      for (const nobody of ["", "acm", "acme%", "%", "null"]) {
        assert.deepEqual(await found({ ownerId: nobody }), []);
        assert.deepEqual(await found({ environment: nobody }), []);
      }
    },
  },
  {
    name: "a list of one status judges it at the time of the query, and each key has exactly one",
    async check(store) {
      const keys: KeyRecord[] = [];
      const dates = [null, at(-1)];
      for (const revokedAt of dates) {
        for (const disabledAt of dates) {
          for (const rotatedAt of dates) {
            for (const expiresAt of [null, at(-1), NOON, at(1), new Date(0)]) {
              keys.push(await added(store, sampleKey({ revokedAt, disabledAt, rotatedAt, expiresAt })));
            }
          }
        }
      }
      for (const now of [at(-2), at(-1), NOON, at(1), at(2)]) {
        for (const status of STATUSES) {
          const expected = keys.filter((key) => keyStatus(key, now.getTime()) === status);
          assert.deepEqual(ids(await everyKey(store, { status, now, limit: 3 })), ids(expected).reverse());
        }
      }
    },
  },
  {
    name: "a key is expired from the millisecond of its expiry on",
    async check(store) {
      const key = await added(store, sampleKey({ expiresAt: NOON }));
      const rotated = await added(store, sampleKey({ expiresAt: NOON, rotatedAt: at(-9) }));
      const statusesAt = async (now: Date) => {
        const found: Record<string, KeyStatus> = {};
        for (const status of STATUSES) {
          for (const { id } of await everyKey(store, { status, now })) found[id] = status;
        }
        return found;
      };
      assertSame(await statusesAt(at(-1)), { [key.id]: "active", [rotated.id]: "retiring" });
      assertSame(await statusesAt(NOON), { [key.id]: "expired", [rotated.id]: "expired" });
    },
  },
  {
    name: "filters narrow together",
    async check(store) {
      const wanted = sampleKey({ ownerId: "globex", environment: "test", disabledAt: NOON });
      await added(store, wanted);
      await added(store, { ...sampleKey(wanted), ...unique(), ownerId: "acme" });
      await added(store, { ...sampleKey(wanted), ...unique(), environment: "live" });
      await added(store, { ...sampleKey(wanted), ...unique(), disabledAt: null });
      const query = { ownerId: "globex", environment: "test", status: "disabled" } as const;
      assertSame(await everyKey(store, query), [wanted]);
    },
  },
  {
    name: "pages neither skip nor repeat a key while others are added, also within one millisecond",
    async check(store) {
      const before: KeyRecord[] = [];
      for (let index = 0; index < 23; index++) {
        before.push(await added(store, sampleKey({ createdAt: at(-Math.floor(index / 6)) })));
      }
      for (const limit of [1, 4, 5]) {
        let pages = 0;
        const seen = await everyKey(store, { limit }, async () => {
          if (++pages > 5) return;
          for (const time of [50, 0, -1, -99]) await added(store, sampleKey({ createdAt: at(time) }));
        });
        assertAllOnce(ids(seen), ids(before));
      }
    },
  },
  {
    name: "a page is as long as asked for, and the last one has no cursor, also when it is full",
    async check(store) {
      for (let index = 0; index < 8; index++) await added(store, sampleKey({ createdAt: at(index) }));
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
    name: "a page of 1000 keys is not cut short",
    async check(store) {
      for (let round = 0; round < 21; round++) {
        const keys = Array.from({ length: round === 20 ? 1 : 50 }, () => sampleKey());
        await Promise.all(keys.map(async (key) => added(store, key)));
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
    name: "a cursor that no list has answered is refused as a KeyInputError",
    async check(store) {
      await added(store);
      for (const cursor of ["", "nonsense", "bnVsbA", "' or 1=1 --"]) {
        const errors = [
          await refused(() => store.list({ now: NOON, limit: 5, cursor })),
          await refused(() => store.auditTrail({ limit: 5, cursor })),
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
