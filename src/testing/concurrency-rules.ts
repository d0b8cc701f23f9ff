import assert from "node:assert/strict";
import {
  added,
  assertSame,
  at,
  changed,
  everyEntry,
  everyKey,
  ids,
  type Rule,
  sampleAudit,
  sampleKey,
  stored,
} from "./fixtures.js";

/** What holds when several changes run at once. */
export const CONCURRENCY_RULES: readonly Rule[] = [
  {
    name: "of concurrent insertions of one hash, one succeeds",
    async check(store, { concurrency }) {
      const { hash } = sampleKey();
      const attempts = times(concurrency, async () => added(store, sampleKey({ hash })));
      const results = await Promise.allSettled(attempts);
      const winners = results.flatMap((result) => (result.status === "fulfilled" ? [result.value] : []));
      assert.equal(winners.length, 1);
      assertSame(await everyKey(store), winners);
      assertSame(await store.findByHash(hash), winners[0]);
      assert.equal((await everyEntry(store)).length, 1);
    },
  },
  {
    name: "of concurrent updates of one version, one succeeds and the others answer false",
    async check(store, { concurrency }) {
      const key = await added(store);
      const answers = await Promise.all(
        times(concurrency, async (index) => changed(store, key, 1, { name: `writer ${index}` })),
      );
      assert.equal(answers.filter(Boolean).length, 1);
      const { name, version } = await stored(store, key);
      assert.equal(name, `writer ${answers.indexOf(true)}`);
      assert.equal(version, 2);
      assert.equal((await everyEntry(store)).length, 2);
    },
  },
  {
    name: "of concurrent replacements, one succeeds and only its successor exists",
    async check(store, { concurrency }) {
      const old = await added(store);
      const successors = times(concurrency, () => sampleKey({ replaces: old.id, createdAt: at(1) }));
      const answers = await Promise.all(
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
      assert.equal(answers.filter(Boolean).length, 1);
      const winner = successors[answers.indexOf(true)];
      assert.ok(winner);
      assertSame(ids(await everyKey(store)), [winner.id, old.id]);
      const { replacedBy, version } = await stored(store, old);
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
    name: "concurrent writers that read again and retry lose no change",
    async check(store, { concurrency }) {
      const key = await added(store, sampleKey({ metadata: { sum: 0 } }));
      await Promise.all(
        times(concurrency, async () => {
          for (;;) {
            const { version, metadata } = await stored(store, key);
            const sum = Number(metadata?.sum) + 1;
            if (await changed(store, key, version, { metadata: { sum } })) return;
          }
        }),
      );
      const { version, metadata } = await stored(store, key);
      assert.equal(version, concurrency + 1);
      assertSame(metadata, { sum: concurrency });
      assert.equal((await everyEntry(store)).length, concurrency + 1);
    },
  },
  {
    name: "touches among updates lose neither, and make no update fail",
    async check(store, { concurrency }) {
      const key = await added(store);
      const touches = times(concurrency, async (index) => store.touch(new Map([[key.id, at(index + 1)]])));
      const updates = (async () => {
        for (let version = 1; version <= 10; version++) {
          assert.equal(await changed(store, key, version, { name: `${version}` }), true);
        }
      })();
      await Promise.all([...touches, updates]);
      assertSame(await stored(store, key), { ...key, version: 11, name: "10", lastUsedAt: at(concurrency) });
    },
  },
  {
    name: "a revocation among touches holds, and is seen by every lookup that begins after it",
    async check(store, { concurrency }) {
      const keys = await Promise.all(times(5, async () => added(store)));
      await Promise.all(
        keys.map(async (key, turn) => {
          const touching = times(concurrency, async (index) => {
            if (index % 3 !== 0) await settle(index % 7);
            await store.touch(new Map(keys.map(({ id }) => [id, at(index)])));
          });
          await settle(turn);
          assert.equal(await changed(store, key, 1, { revokedAt: at(1), revokedReason: "leaked" }), true);
          assertSame((await store.findByHash(key.hash))?.revokedAt, at(1));
          await Promise.all(touching);
        }),
      );
      for (const key of keys) {
        assertSame(await stored(store, key), {
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

/** Lets others go first, so many times. */
async function settle(turns: number): Promise<void> {
  for (let turn = 0; turn < turns; turn++) await new Promise((resolve) => setImmediate(resolve));
}
