import assert from "node:assert/strict";
import {
  addKey,
  assertConflict,
  assertSame,
  at,
  changeKey,
  everyEntry,
  everyKey,
  ids,
  type Rule,
  readKey,
  sampleAudit,
  sampleKey,
  settle,
} from "./fixtures.js";

/** Rules for concurrent changes. */
export const CONCURRENCY_RULES: readonly Rule[] = [
  {
    name: "one of several concurrent inserts of one hash succeeds, and the others throw a KeyConflictError",
    async check(store, { concurrency }) {
      const { hash } = sampleKey();
      const attempts = times(concurrency, async () => addKey(store, sampleKey({ hash })));
      const results = await Promise.allSettled(attempts);
      const winners = results.flatMap((result) => (result.status === "fulfilled" ? [result.value] : []));
      assert.equal(winners.length, 1);
      for (const result of results) {
        if (result.status === "rejected") await assertConflict(() => Promise.reject(result.reason));
      }
      assertSame(await everyKey(store), winners);
      assertSame(await store.findByHash(hash), winners[0]);
      assert.equal((await everyEntry(store)).length, 1);
    },
  },
  {
    name: "one of several concurrent updates of one version succeeds, and the others return false",
    async check(store, { concurrency }) {
      const key = await addKey(store);
      const results = await Promise.all(
        times(concurrency, async (index) => changeKey(store, key, 1, { name: `writer ${index}` })),
      );
      assert.equal(results.filter(Boolean).length, 1);
      const { name, version } = await readKey(store, key);
      assert.equal(name, `writer ${results.indexOf(true)}`);
      assert.equal(version, 2);
      assert.equal((await everyEntry(store)).length, 2);
    },
  },
  {
    name: "one of several concurrent replacements succeeds, and only its successor exists",
    async check(store, { concurrency }) {
      const old = await addKey(store);
      const successors = times(concurrency, () => sampleKey({ replaces: old.id, createdAt: at(1) }));
      const results = await Promise.all(
        successors.map(async (successor) =>
          store.replace(
            old.id,
            1,
            { rotatedAt: at(1), replacedBy: successor.id },
            successor,
            sampleAudit(old, { action: "rotated", at: at(1), details: { replacedBy: successor.id } }),
          ),
        ),
      );
      assert.equal(results.filter(Boolean).length, 1);
      const winner = successors[results.indexOf(true)];
      assert.ok(winner);
      assertSame(ids(await everyKey(store)), [winner.id, old.id]);
      const { replacedBy, version } = await readKey(store, old);
      assert.deepEqual([replacedBy, version], [winner.id, 2]);
      const trail = await everyEntry(store);
      assert.deepEqual(
        trail.map(({ action }) => action),
        ["rotated", "created"],
      );
      assertSame(trail[0]?.details, { replacedBy: winner.id });
      for (const loser of successors) {
        if (loser !== winner) assert.equal((await store.findByHash(loser.hash)) ?? undefined, undefined);
      }
    },
  },
  {
    name: "concurrent writers that retry on conflict lose no change",
    async check(store, { concurrency }) {
      const key = await addKey(store, sampleKey({ metadata: { sum: 0 } }));
      await Promise.all(
        times(concurrency, async () => {
          for (;;) {
            const { version, metadata } = await readKey(store, key);
            const sum = Number(metadata?.sum) + 1;
            if (await changeKey(store, key, version, { metadata: { sum } })) return;
          }
        }),
      );
      const { version, metadata } = await readKey(store, key);
      assert.equal(version, concurrency + 1);
      assertSame(metadata, { sum: concurrency });
      assert.equal((await everyEntry(store)).length, concurrency + 1);
    },
  },
  {
    name: "touch during updates loses no change, and no update fails",
    async check(store, { concurrency }) {
      const key = await addKey(store);
      const touches = times(concurrency, async (index) => store.touch(new Map([[key.id, at(index + 1)]])));
      const updates = (async () => {
        for (let version = 1; version <= 10; version++) {
          assert.equal(await changeKey(store, key, version, { name: `${version}` }), true);
        }
      })();
      await Promise.all([...touches, updates]);
      assertSame(await readKey(store, key), { ...key, version: 11, name: "10", lastUsedAt: at(concurrency) });
    },
  },
  {
    name: "a revocation during touches is kept, and every later lookup returns it",
    async check(store, { concurrency }) {
      const keys = await Promise.all(times(5, async () => addKey(store)));
      await Promise.all(
        keys.map(async (key, turn) => {
          const touching = times(concurrency, async (index) => {
            if (index % 3 !== 0) await settle(index % 7);
            await store.touch(new Map(keys.map(({ id }) => [id, at(index)])));
          });
          await settle(turn);
          assert.equal(await changeKey(store, key, 1, { revokedAt: at(1), revokedReason: "leaked" }), true);
          assertSame((await store.findByHash(key.hash))?.revokedAt, at(1));
          await Promise.all(touching);
        }),
      );
      for (const key of keys) {
        assertSame(await readKey(store, key), {
          ...key,
          version: 2,
          revokedAt: at(1),
          revokedReason: "leaked",
          lastUsedAt: at(concurrency - 1),
        });
      }
    },
  },
];

function times<T>(count: number, make: (index: number) => T): T[] {
  return Array.from({ length: count }, (_, index) => make(index));
}
