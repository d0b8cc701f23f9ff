// Concurrent changes and updates of lastUsedAt: 10,000 revocations and 1,000 of each other change on each store
// (STRESS_ROUNDS). A store with a touch() that writes back a record that it has read would undo some of them.

import { setTimeout as sleep, setImmediate as turn } from "node:timers/promises";
import { describe, expect, inject, test } from "vitest";
import type { AuditAction, KeyManager, KeyRecord } from "../../../src/index.js";
import type { OpenStore } from "../../contract/stores/backends/backend.js";
import { serviceOver } from "../../contract/stores/service.js";
import { printResult, rounds, seconds, targets, withTwoConnections } from "./backends.js";

const CONCURRENCY = 40;
const ROUNDS = rounds(10_000);
const START = Date.parse("2030-01-01T00:00:00Z");

interface Change {
  readonly action: AuditAction;
  readonly rounds: number;
  make(manager: KeyManager, id: string): Promise<unknown>;
  /** Whether the record has the change. A verifier must then deny the key. */
  isIn(record: KeyRecord): boolean;
}

const tenth = Math.ceil(ROUNDS / 10);
const CHANGES: readonly Change[] = [
  {
    action: "revoked",
    rounds: ROUNDS,
    make: (manager, id) => manager.revoke(id, { reason: "leaked" }),
    isIn: ({ revokedAt, revokedReason }) => revokedAt !== null && revokedReason === "leaked",
  },
  {
    action: "disabled",
    rounds: tenth,
    make: (manager, id) => manager.disable(id),
    isIn: ({ disabledAt }) => disabledAt !== null,
  },
  {
    action: "rotated",
    rounds: tenth,
    make: (manager, id) => manager.rotate(id),
    isIn: ({ rotatedAt, replacedBy, expiresAt }) =>
      rotatedAt !== null && replacedBy !== null && expiresAt !== null,
  },
  {
    action: "updated",
    rounds: tenth,
    make: (manager, id) => manager.update(id, { ipAllowlist: [] }),
    isIn: ({ ipAllowlist }) => ipAllowlist?.length === 0,
  },
];

const NO_FAULTS = {
  undone: 0,
  accepted: 0,
  "uses lost": 0,
  "wrong versions": 0,
  "wrong audit entries": 0,
  failed: 0,
};

for (const target of await targets(inject("servers"))) {
  const { name, missing } = target.backend;
  describe.skipIf(missing !== undefined)(name, () => {
    test.each(CHANGES.map((change) => [change.action, change] as const))(
      "keys that are %s during touch() stay so",
      (_, change) =>
        withTwoConnections(target, async (first, second) => {
          const startedAt = performance.now();
          const seen = { ...NO_FAULTS };
          const errors = new Set<string>();
          for (let done = 0, group = 0; done < change.rounds; group++) {
            const count = Math.min(CONCURRENCY, change.rounds - done);
            // Alternates, so that each connection makes changes and updates last uses.
            const connections = group % 2 === 0 ? ([first, second] as const) : ([second, first] as const);
            for (const fault of await runGroup(change, group, count, connections)) {
              if (fault.error !== undefined) errors.add(String(fault.error));
              seen[fault.kind] += 1;
            }
            done += count;
          }
          printResult(`${change.action} during touch()`, target, {
            rounds: change.rounds,
            ...seen,
            in: seconds(startedAt),
          });
          expect([...errors]).toEqual([]);
          expect(seen).toEqual(NO_FAULTS);
        }),
    );
  });
}

interface Fault {
  readonly kind: keyof typeof NO_FAULTS;
  readonly error?: unknown;
}

/** Creates keys, changes and touches them concurrently, and returns what went wrong. */
async function runGroup(
  change: Change,
  group: number,
  count: number,
  [changing, touching]: readonly [OpenStore, OpenStore],
): Promise<readonly Fault[]> {
  const faults: Fault[] = [];
  const { manager } = serviceOver(changing.store);
  const ownerId = `owner ${group}`;
  const keys = await Promise.all(
    Array.from({ length: count }, async (_, index) => {
      const issued = await manager.create({ ownerId, scopes: ["vehicles:read"], environment: "live" });
      return { id: issued.key.id, secret: issued.secret, usedAt: new Date(START + index * 1_001) };
    }),
  );

  const attempt = async (offset: Offset, work: () => unknown): Promise<void> => {
    await wait(offset);
    try {
      await work();
    } catch (error) {
      faults.push({ kind: "failed", error });
    }
  };
  const uses = keys.map(({ id, usedAt }) => [id, usedAt] as const);
  // Usually one write per key. In every fifth group, eight writes of all keys in random order, as from several processes.
  const together = group % 5 === 4;
  const batches = together ? Array.from({ length: 8 }, () => shuffled(uses)) : uses.map((use) => [use]);
  await Promise.all([
    ...keys.map(({ id }, index) =>
      attempt({ unit: UNITS[index % 4], amount: pick(12) }, () => change.make(manager, id)),
    ),
    ...batches.map((batch, index) =>
      attempt({ unit: UNITS[index % 4], amount: pick(12) }, () => touching.store.touch(new Map(batch))),
    ),
  ]);

  const { verify } = serviceOver(touching.store);
  const { items } = await touching.store.list({ ownerId, now: new Date(), limit: 2 * count + 1 });
  const { items: trail } = await changing.store.auditTrail({ ownerId, limit: 4 * count });
  const entries = trail.filter(({ action }) => action === change.action);
  if (entries.length !== count) faults.push({ kind: "wrong audit entries" });
  const accepted = await Promise.all(keys.map(async ({ secret }) => (await verify(secret)).ok));
  for (const [index, { id, usedAt }] of keys.entries()) {
    const record = items.find((item) => item.id === id);
    if (record === undefined || !change.isIn(record)) faults.push({ kind: "undone" });
    if (record?.version !== 2) faults.push({ kind: "wrong versions" });
    if (accepted[index]) faults.push({ kind: "accepted" });
    if (record?.lastUsedAt?.getTime() !== usedAt.getTime()) faults.push({ kind: "uses lost" });
    if (entries.filter(({ keyId }) => keyId === id).length !== 1)
      faults.push({ kind: "wrong audit entries" });
  }
  return faults;
}

/** A delay: a number of microtasks, turns of the event loop, or quarters of a millisecond. */
interface Offset {
  readonly unit: (typeof UNITS)[number] | undefined;
  readonly amount: number;
}

// A key is changed and touched after delays of the same unit. For every store, one of the units is about as long as one of
// its steps.
const UNITS = ["none", "microtask", "turn", "time"] as const;

async function wait({ unit, amount }: Offset): Promise<void> {
  if (unit === "microtask") for (let left = amount; left > 0; left--) await undefined;
  if (unit === "turn") for (let left = amount; left > 0; left--) await turn();
  if (unit === "time") await sleep(amount / 4);
}

function pick(below: number): number {
  return Math.floor(Math.random() * below);
}

function shuffled<T>(items: readonly T[]): T[] {
  return items
    .map((item) => [Math.random(), item] as const)
    .sort(([a], [b]) => a - b)
    .map(([, item]) => item);
}
