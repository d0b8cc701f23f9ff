import assert from "node:assert/strict";
import {
  addKey,
  assertSame,
  at,
  changeKey,
  everyEntry,
  everyKey,
  fullKey,
  type Rule,
  readKey,
  sampleKey,
} from "./fixtures.js";

/** Rules for `touch`. */
export const TOUCH_RULES: readonly Rule[] = [
  {
    name: "touch sets lastUsedAt of each key and changes nothing else",
    async check(store) {
      const keys = [await addKey(store, fullKey()), await addKey(store), await addKey(store)] as const;
      await store.touch(
        new Map([
          [keys[0].id, at(1_001)],
          [keys[1].id, at(1_002)],
        ]),
      );
      assertSame(await readKey(store, keys[0]), { ...keys[0], lastUsedAt: at(1_001) });
      assertSame(await store.findByHash(keys[1].hash), { ...keys[1], lastUsedAt: at(1_002) });
      assertSame(await readKey(store, keys[2]), keys[2]);
      assert.equal((await everyEntry(store)).length, 3);
    },
  },
  {
    name: "touch moves lastUsedAt forward only, to the millisecond",
    async check(store) {
      const key = await addKey(store);
      const seen: number[] = [];
      for (const time of [10, 11, 10, 11, -5, 12, -100_000]) {
        await store.touch(new Map([[key.id, at(time)]]));
        seen.push((await readKey(store, key)).lastUsedAt?.getTime() ?? Number.NaN);
      }
      assert.deepEqual(
        seen,
        [10, 11, 11, 11, 11, 12, 12].map((time) => at(time).getTime()),
      );
    },
  },
  {
    name: "touch ignores unknown ids and an empty map",
    async check(store) {
      const key = await addKey(store);
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
    name: "an update based on a record before a touch succeeds",
    async check(store) {
      const key = await addKey(store);
      await store.touch(new Map([[key.id, at(1)]]));
      assert.equal(await changeKey(store, key, 1, { revokedAt: at(2), revokedReason: "leaked" }), true);
      assertSame(await readKey(store, key), {
        ...key,
        version: 2,
        lastUsedAt: at(1),
        revokedAt: at(2),
        revokedReason: "leaked",
      });
    },
  },
  {
    name: "touch does not undo a revocation, disablement or rotation",
    async check(store) {
      const key = await addKey(store, sampleKey({ expiresAt: at(500) }));
      const change = { revokedAt: at(2), disabledAt: at(3), rotatedAt: at(4), expiresAt: at(5) };
      assert.equal(await changeKey(store, key, 1, change), true);
      await store.touch(new Map([[key.id, at(9)]]));
      assertSame(await store.findByHash(key.hash), { ...key, ...change, version: 2, lastUsedAt: at(9) });
    },
  },
];
