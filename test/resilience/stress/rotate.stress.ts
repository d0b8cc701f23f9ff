// 200 rounds of 50 concurrent rotations of one key: over two connections of one process on every store, and from two
// processes where they can share a store. One rotation wins, and there is one successor.

import { afterEach, describe, expect, inject, test } from "vitest";
import type { ManagedKeyStore } from "../../../src/index.js";
import { serviceOver } from "../../contract/stores/service.js";
import { printResult, rounds, seconds, type Target, targets, withTwoConnections } from "./backends.js";
import { type Child, startChild } from "./child-process.js";

const ROUNDS = Math.min(rounds(200), 200);
const CONCURRENCY = 50;

/** The outcome of one rotation. */
export type Outcome = { readonly won: string; readonly secret: string } | { readonly lost: string };

const children: Child[] = [];

afterEach(async () => {
  await Promise.all(children.splice(0).map((child) => child.kill()));
});

for (const target of await targets(inject("servers"))) {
  const { name, missing, open } = target.backend;
  describe.skipIf(missing !== undefined)(name, () => {
    test("one of 50 concurrent rotations over two connections wins", () =>
      withTwoConnections(target, async (first, second) => {
        const managers = [serviceOver(first.store).manager, serviceOver(second.store).manager] as const;
        await compete("over two connections", target, first.store, (id) =>
          Promise.all(
            Array.from({ length: CONCURRENCY }, async (_, index): Promise<Outcome> => {
              try {
                const { key, secret } = await managers[index % 2 === 0 ? 0 : 1].rotate(id);
                return { won: key.id, secret };
              } catch (error) {
                return { lost: (error as Error).name };
              }
            }),
          ),
        );
      }));

    test.skipIf(open === undefined)("one of 50 concurrent rotations by two processes wins", () =>
      withTwoConnections(target, async (first) => {
        const pair = await Promise.all(
          [1, 2].map(() => startChild("race", target, first.place, CONCURRENCY / 2)),
        );
        children.push(...pair);
        await compete("by two processes", target, first.store, async (id) => {
          for (const child of pair) child.send(id);
          const outcomes = await Promise.all(pair.map((child) => child.next()));
          return outcomes.flat() as Outcome[];
        });
      }),
    );
  });
}

/** Rotates new keys concurrently, and checks the outcome of each. */
async function compete(
  how: string,
  target: Target,
  store: ManagedKeyStore,
  rotate: (id: string) => Promise<readonly Outcome[]>,
): Promise<void> {
  const startedAt = performance.now();
  const { manager, verify } = serviceOver(store);
  const totals = { winners: 0, losers: 0 };
  for (let round = 0; round < ROUNDS; round++) {
    const ownerId = `owner ${round}`;
    const { key, secret } = await manager.create({ ownerId, scopes: ["vehicles:read"], environment: "live" });
    const outcomes = await rotate(key.id);
    const won = outcomes.flatMap((outcome) => ("won" in outcome ? [outcome] : []));
    const lost = outcomes.flatMap((outcome) => ("lost" in outcome ? [outcome.lost] : []));
    totals.winners += won.length;
    totals.losers += lost.length;
    expect(won, `winners of round ${round}`).toHaveLength(1);
    expect(lost).toHaveLength(CONCURRENCY - 1);
    expect(lost.filter((name) => name !== "KeyStateError" && name !== "KeyConflictError")).toEqual([]);

    const { items: keys } = await store.list({ ownerId, now: new Date(), limit: 1_000 });
    const { items: trail } = await store.auditTrail({ ownerId, limit: 1_000 });
    const successor = won[0]?.won;
    expect(keys.filter(({ rotatedAt }) => rotatedAt === null).map(({ id }) => id)).toEqual([successor]);
    expect(keys.map(({ id, replacedBy, replaces }) => [id, replacedBy, replaces]).sort()).toEqual(
      [
        [key.id, successor, null],
        [successor, null, key.id],
      ].sort(),
    );
    expect(trail.map(({ action }) => action).sort()).toEqual(["created", "rotated"]);
    expect(trail.find(({ action }) => action === "rotated")?.details.replacedBy).toBe(successor);
    expect((await verify(won[0]?.secret ?? "")).ok).toBe(true);
    expect((await verify(secret)).ok).toBe(false);
  }
  printResult(`50 concurrent rotations ${how}`, target, {
    rounds: ROUNDS,
    ...totals,
    in: seconds(startedAt),
  });
}
