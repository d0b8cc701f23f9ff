// Sends SIGKILL to a process that rotates a key in a loop, 200 times for each store that processes can share (one driver of
// each, or all with STRESS_ALL=1). The last rotation must be complete or must not have happened: either the old or the new
// key works, and the keys and the audit trail agree.

import { setTimeout as sleep } from "node:timers/promises";
import { describe, expect, inject, test } from "vitest";
import type { AuditEntry, Awaitable, KeyRecord, ManagedKeyStore, Page } from "../../../src/index.js";
import { serviceOver } from "../../contract/stores/service.js";
import {
  printResult,
  rounds,
  seconds,
  sharedTargets,
  type Target,
  targets,
  withTwoConnections,
} from "./backends.js";
import { type Child, startChild } from "./child-process.js";

const KILLS = Math.min(rounds(200), 200);
const MAX_DELAY_MS = 30;
const UPDATE_TIMEOUT_MS = 10_000;
const POOL_SIZE = 3;

const shared = sharedTargets(await targets(inject("servers")));

test("at least one store can be shared by processes", () => {
  expect(shared).not.toEqual([]);
});

for (const target of shared) {
  describe(target.backend.name, () => {
    test("a rotation that SIGKILL interrupts is complete or has not happened", () =>
      withTwoConnections(target, async ({ store, place }) => {
        const startedAt = performance.now();
        const totals = { kills: 0, rotations: 0, "not written": 0, unacknowledged: 0, "longest wait": 0 };
        const children = createPool(target, place);
        try {
          for (; totals.kills < KILLS; totals.kills++) {
            const ownerId = `owner ${totals.kills}`;
            const last = await interruptRotation(store, ownerId, await children.take());
            const { waited, happened, rotations } = await inspect(store, ownerId, last);
            totals["not written"] += last.pending !== undefined && !happened ? 1 : 0;
            totals.unacknowledged += happened ? 1 : 0;
            totals.rotations += rotations;
            totals["longest wait"] = Math.max(totals["longest wait"], waited);
          }
        } finally {
          await children.end();
        }
        await expectConsistent(store, {});
        printResult("SIGKILL during rotations", target, {
          ...totals,
          "longest wait": `${totals["longest wait"].toFixed(0)} ms`,
          in: seconds(startedAt),
        });
      }));
  });
}

/** The last key that a process reported, and the secret that it was storing when it was killed. */
interface Last {
  readonly id: string;
  readonly secret: string;
  readonly pending: string | undefined;
}

/** Lets a process rotate a new key for a moment, then kills it. */
async function interruptRotation(store: ManagedKeyStore, ownerId: string, child: Child): Promise<Last> {
  const { manager } = serviceOver(store);
  const first = await manager.create({ ownerId, scopes: ["vehicles:read"], environment: "live" });
  let last: Last = { id: first.key.id, secret: first.secret, pending: undefined };
  const read = (line: unknown): void => {
    last = { ...last, pending: undefined, ...(line as Partial<Last>) };
  };
  try {
    child.send(first.key.id);
    while (last.id === first.key.id) read(await child.next());
    // A busy wait for the last millisecond, so that the kill can hit any point between two statements.
    const killAt = performance.now() + Math.random() * MAX_DELAY_MS;
    await sleep(Math.max(0, killAt - performance.now() - 1));
    while (performance.now() < killAt);
  } finally {
    await child.kill();
  }
  for (let line = await child.next(); line !== undefined; line = await child.next()) read(line);
  return last;
}

/** Checks the keys and the audit trail after a kill. */
async function inspect(store: ManagedKeyStore, ownerId: string, { id, secret, pending }: Last) {
  const { manager, verify } = serviceOver(store);
  const startedAt = performance.now();
  // Succeeds once the server has released the locks of the dead session. Statements of that session that the server has
  // not read yet then fail on the version, so nothing changes during the checks.
  await within(UPDATE_TIMEOUT_MS, manager.update(id, { name: "inspected" }));
  const waited = performance.now() - startedAt;

  const record = (await store.findById(id)) as KeyRecord;
  const happened = record.rotatedAt !== null;
  const heads = await expectConsistent(store, { ownerId });
  expect(heads).toEqual([happened ? record.replacedBy : id]);
  expect((await verify(secret)).ok).toBe(!happened);
  if (pending !== undefined) expect((await verify(pending)).ok).toBe(happened);
  else expect(happened).toBe(false);
  const { items } = await store.auditTrail({ ownerId, limit: 10_000 });
  return { waited, happened, rotations: items.filter(({ action }) => action === "rotated").length };
}

/** Expects that the keys and the audit trail agree. Returns the ids of the keys that were not rotated. */
async function expectConsistent(
  store: ManagedKeyStore,
  owner: { readonly ownerId?: string },
): Promise<readonly string[]> {
  const keys = await readAll<KeyRecord>((page) => store.list({ ...owner, ...page, now: new Date() }));
  const trail = await readAll<AuditEntry>((page) => store.auditTrail({ ...owner, ...page }));
  const byId = new Map(keys.map((key) => [key.id, key]));
  const changes = new Map<string, AuditEntry[]>();
  for (const entry of trail) changes.set(entry.keyId, [...(changes.get(entry.keyId) ?? []), entry]);

  for (const { id, version, rotatedAt, replacedBy, replaces } of keys) {
    const entries = changes.get(id) ?? [];
    const rotations = entries.filter(({ action }) => action === "rotated");
    expect(rotations.map(({ details }) => details.replacedBy)).toEqual(
      rotatedAt === null ? [] : [replacedBy],
    );
    if (rotatedAt !== null) expect(byId.get(replacedBy ?? "")?.replaces).toBe(id);
    // Every successor is known to its predecessor.
    if (replaces !== null) expect(byId.get(replaces)?.replacedBy).toBe(id);
    const created = entries.filter(({ action }) => action === "created").length;
    expect(created).toBe(replaces === null ? 1 : 0);
    expect(version).toBe(1 + entries.length - created);
  }
  expect([...changes.keys()].filter((id) => !byId.has(id))).toEqual([]);
  return keys.filter(({ rotatedAt }) => rotatedAt === null).map(({ id }) => id);
}

async function readAll<T>(
  load: (page: { readonly limit: number; readonly cursor?: string | undefined }) => Awaitable<Page<T>>,
): Promise<T[]> {
  const items: T[] = [];
  let cursor: string | undefined;
  do {
    const page = await load({ limit: 1_000, cursor });
    items.push(...page.items);
    cursor = page.nextCursor;
  } while (cursor !== undefined);
  return items;
}

/** Starts processes in advance, because starting one takes longer than everything else here. */
function createPool(target: Target, place: string) {
  const starting: Promise<Child>[] = [];
  const fill = (): void => {
    while (starting.length < POOL_SIZE) {
      const child = startChild("rotate", target, place);
      child.catch(() => {}); // take() rejects
      starting.push(child);
    }
  };
  return {
    take(): Promise<Child> {
      fill();
      const child = starting.shift() as Promise<Child>;
      fill();
      return child;
    },
    async end(): Promise<void> {
      await Promise.allSettled(starting.splice(0).map(async (child) => (await child).kill()));
    },
  };
}

async function within<T>(milliseconds: number, promise: Promise<T>): Promise<T> {
  const timeout = sleep(milliseconds, undefined, { ref: false }).then((): never => {
    throw new Error(`no result within ${milliseconds} ms`);
  });
  return Promise.race([promise, timeout]);
}
