// Changes of a key and the writing down of its last use, at the same moment: 10,000 revocations and a tenth as
// many of the other changes on each store (STRESS_ROUNDS). A store whose touch() writes back what it has read
// would undo some of them.

import { setTimeout as sleep, setImmediate as turn } from "node:timers/promises";
import { describe, expect, inject, test } from "vitest";
import type { AuditAction, KeyManager, KeyRecord } from "../../../src/index.js";
import type { OpenStore } from "../../contract/stores/backends/backend.js";
import { serviceOver } from "../../contract/stores/service.js";
import { overTwo, rounds, say, seconds, targets } from "./backends.js";

const AT_ONCE = 40;
const ROUNDS = rounds(10_000);
const START = Date.parse("2030-01-01T00:00:00Z");

interface Change {
  readonly action: AuditAction;
  readonly rounds: number;
  make(manager: KeyManager, id: string): Promise<unknown>;
  /** Whether the record shows it. A verifier must refuse the key then. */
  holds(record: KeyRecord): boolean;
}

const tenth = Math.ceil(ROUNDS / 10);
const CHANGES: readonly Change[] = [
  {
    action: "revoked",
    rounds: ROUNDS,
    make: (manager, id) => manager.revoke(id, { reason: "leaked" }),
    holds: ({ revokedAt, revokedReason }) => revokedAt !== null && revokedReason === "leaked",
  },
  {
    action: "disabled",
    rounds: tenth,
    make: (manager, id) => manager.disable(id),
    holds: ({ disabledAt }) => disabledAt !== null,
  },
  {
    action: "rotated",
    rounds: tenth,
    make: (manager, id) => manager.rotate(id),
    holds: ({ rotatedAt, replacedBy, expiresAt }) =>
      rotatedAt !== null && replacedBy !== null && expiresAt !== null,
  },
  {
    action: "updated",
    rounds: tenth,
    make: (manager, id) => manager.update(id, { ipAllowlist: [] }),
    holds: ({ ipAllowlist }) => ipAllowlist?.length === 0,
  },
];

const NO_FAULTS = {
  undone: 0,
  accepted: 0,
  "uses lost": 0,
  "versions amiss": 0,
  "entries amiss": 0,
  failed: 0,
};

for (const target of await targets(inject("servers"))) {
  const { name, missing } = target.backend;
  describe.skipIf(missing !== undefined)(name, () => {
    test.each(CHANGES.map((change) => [change.action, change] as const))(
      "keys that are %s while they are touched stay so",
      (_, change) =>
        overTwo(target, async (first, second) => {
          const began = performance.now();
          const seen = { ...NO_FAULTS };
          const errors = new Set<string>();
          for (let done = 0, group = 0; done < change.rounds; group++) {
            const count = Math.min(AT_ONCE, change.rounds - done);
            // By turns, so that either connection changes and either one touches.
            const connections = group % 2 === 0 ? ([first, second] as const) : ([second, first] as const);
            for (const fault of await play(change, group, count, connections)) {
              if (fault.error !== undefined) errors.add(String(fault.error));
              seen[fault.kind] += 1;
            }
            done += count;
          }
          say(`${change.action} against touch`, target, {
            rounds: change.rounds,
            ...seen,
            in: seconds(began),
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

/** Issues keys, changes and touches all of them at once, and looks what has become of them. */
async function play(
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
  // As a rule each key in a write of its own; now and then all of them together, as several processes would
  // write them, each in an order of its own.
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
  if (entries.length !== count) faults.push({ kind: "entries amiss" });
  const accepted = await Promise.all(keys.map(async ({ secret }) => (await verify(secret)).ok));
  for (const [index, { id, usedAt }] of keys.entries()) {
    const record = items.find((item) => item.id === id);
    if (record === undefined || !change.holds(record)) faults.push({ kind: "undone" });
    if (record?.version !== 2) faults.push({ kind: "versions amiss" });
    if (accepted[index]) faults.push({ kind: "accepted" });
    if (record?.lastUsedAt?.getTime() !== usedAt.getTime()) faults.push({ kind: "uses lost" });
    if (entries.filter(({ keyId }) => keyId === id).length !== 1) faults.push({ kind: "entries amiss" });
  }
  return faults;
}

/** How long after the start: so many microtasks, turns of the event loop or quarters of a millisecond. */
interface Offset {
  readonly unit: (typeof UNITS)[number] | undefined;
  readonly amount: number;
}

// A key is changed and touched after so many of the same unit: however fast a store is, one of these is about as
// long as one of its steps.
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
