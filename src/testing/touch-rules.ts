import assert from "node:assert/strict";
import {
  added,
  assertSame,
  at,
  changed,
  everyEntry,
  everyKey,
  fullKey,
  type Rule,
  sampleKey,
  stored,
} from "./fixtures.js";

/** Writing down when keys were last used. */
export const TOUCH_RULES: readonly Rule[] = [
  {
    name: "touch sets lastUsedAt of each key, and nothing else",
    async check(store) {
      const keys = [await added(store, fullKey()), await added(store), await added(store)] as const;
      await store.touch(
        new Map([
          [keys[0].id, at(1_001)],
          [keys[1].id, at(1_002)],
        ]),
      );
      assertSame(await stored(store, keys[0]), { ...keys[0], lastUsedAt: at(1_001) });
      assertSame(await store.findByHash(keys[1].hash), { ...keys[1], lastUsedAt: at(1_002) });
      assertSame(await stored(store, keys[2]), keys[2]);
      assert.equal((await everyEntry(store)).length, 3);
    },
  },
  {
    name: "touch moves forward only, by milliseconds",
    async check(store) {
      const key = await added(store);
      const seen: number[] = [];
      for (const time of [10, 11, 10, 11, -5, 12, -100_000]) {
        await store.touch(new Map([[key.id, at(time)]]));
        seen.push((await stored(store, key)).lastUsedAt?.getTime() ?? Number.NaN);
      }
      assert.deepEqual(
        seen,
        [10, 11, 11, 11, 11, 12, 12].map((time) => at(time).getTime()),
      );
    },
  },
  {
    name: "touch ignores unknown ids, and an empty map",
    async check(store) {
      const key = await added(store);
      await store.touch(new Map());
      await store.touch(
        new Map([
          ["unknown", at(1)],
          [key.id, at(2)],
          ["", at(3)],
        ]),
      );
      assertSame(await everyKey(store), [{ ...key, lastUsedAt: at(2) }]);
    },
  },
  {
    name: "touch does not get in the way of a change that was read before it",
    async check(store) {
      const key = await added(store);
      await store.touch(new Map([[key.id, at(1)]]));
      assert.equal(await changed(store, key, 1, { revokedAt: at(2), revokedReason: "leaked" }), true);
      assertSame(await stored(store, key), {
        ...key,
        version: 2,
        lastUsedAt: at(1),
        revokedAt: at(2),
        revokedReason: "leaked",
      });
    },
  },
  {
    name: "touch after a revocation, disablement or rotation does not undo it",
    async check(store) {
      const key = await added(store, sampleKey({ expiresAt: at(500) }));
      const change = { revokedAt: at(2), disabledAt: at(3), rotatedAt: at(4), expiresAt: at(5) };
      assert.equal(await changed(store, key, 1, change), true);
      await store.touch(new Map([[key.id, at(9)]]));
      assertSame(await store.findByHash(key.hash), { ...key, ...change, version: 2, lastUsedAt: at(9) });
    },
  },
];
