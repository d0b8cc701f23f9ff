// kill -9 of a process that rotates a key again and again, 200 times on each store that processes can share: one
// driver of each, or all with STRESS_ALL=1. Afterwards the rotation that was under way has happened or not: the
// old key works or the new one, keys and audit trail agree, and nothing is left half written.

import { setTimeout as sleep } from "node:timers/promises";
import { describe, expect, inject, test } from "vitest";
import type { AuditEntry, Awaitable, KeyRecord, ManagedKeyStore, Page } from "../../../src/index.js";
import { serviceOver } from "../../contract/stores/service.js";
import { overTwo, rounds, say, seconds, sharedTargets, type Target, targets } from "./backends.js";
import { type Child, startChild } from "./children.js";

const KILLS = Math.min(rounds(200), 200);
const LONGEST_MS = 30;
const PATIENCE_MS = 10_000;
const STARTED_AHEAD = 3;

const shared = sharedTargets(await targets(inject("servers")));

test("there are stores that processes can share", () => {
  expect(shared).not.toEqual([]);
});

for (const target of shared) {
  describe(target.backend.name, () => {
    test("after kill -9 in the middle of a rotation, it has happened or not", () =>
      overTwo(target, async ({ store, place }) => {
        const began = performance.now();
        const tally = { kills: 0, rotations: 0, "cut short": 0, "unheard of": 0, "longest wait": 0 };
        const children = pool(target, place);
        try {
          for (; tally.kills < KILLS; tally.kills++) {
            const ownerId = `owner ${tally.kills}`;
            const last = await interrupted(store, ownerId, await children.take());
            const { waited, happened, rotations } = await inspected(store, ownerId, last);
            tally["cut short"] += last.trying !== undefined && !happened ? 1 : 0;
            tally["unheard of"] += happened ? 1 : 0;
            tally.rotations += rotations;
            tally["longest wait"] = Math.max(tally["longest wait"], waited);
          }
        } finally {
          await children.end();
        }
        await expectAgreement(store, {});
        say("kill -9 while rotating", target, {
          ...tally,
          "longest wait": `${tally["longest wait"].toFixed(0)} ms`,
          in: seconds(began),
        });
      }));
  });
}

/** The last key that a process told of, and the secret that it was about to write when it was killed. */
interface Last {
  readonly id: string;
  readonly secret: string;
  readonly trying: string | undefined;
}

/** Lets a process rotate a new key for a moment, and kills it. */
async function interrupted(store: ManagedKeyStore, ownerId: string, child: Child): Promise<Last> {
  const { manager } = serviceOver(store);
  const first = await manager.create({ ownerId, scopes: ["vehicles:read"], environment: "live" });
  let last: Last = { id: first.key.id, secret: first.secret, trying: undefined };
  const note = (line: unknown): void => {
    last = { ...last, trying: undefined, ...(line as Partial<Last>) };
  };
  try {
    child.tell(first.key.id);
    while (last.id === first.key.id) note(await child.next());
    // To the fraction of a millisecond, so that it is killed between any two of its statements.
    const moment = performance.now() + Math.random() * LONGEST_MS;
    await sleep(Math.max(0, moment - performance.now() - 1));
    while (performance.now() < moment);
  } finally {
    await child.kill();
  }
  for (let line = await child.next(); line !== undefined; line = await child.next()) note(line);
  return last;
}

/** Looks what is left. */
async function inspected(store: ManagedKeyStore, ownerId: string, { id, secret, trying }: Last) {
  const { manager, verify } = serviceOver(store);
  const began = performance.now();
  // Comes through once the server has given up the dead session and its locks. And what that one had sent, but
  // the server not yet read, finds another version from then on: nothing changes any more while we look.
  await within(PATIENCE_MS, manager.update(id, { name: "inspected" }));
  const waited = performance.now() - began;

  const record = (await store.findById(id)) as KeyRecord;
  const happened = record.rotatedAt !== null;
  const heads = await expectAgreement(store, { ownerId });
  expect(heads).toEqual([happened ? record.replacedBy : id]);
  expect((await verify(secret)).ok).toBe(!happened);
  if (trying !== undefined) expect((await verify(trying)).ok).toBe(happened);
  else expect(happened).toBe(false);
  const { items } = await store.auditTrail({ ownerId, limit: 10_000 });
  return { waited, happened, rotations: items.filter(({ action }) => action === "rotated").length };
}

/**
 * Expects that every change of a key is in the audit trail, and everything of the audit trail in a key. Answers
 * the ids of the keys that were not rotated.
 */
async function expectAgreement(
  store: ManagedKeyStore,
  owner: { readonly ownerId?: string },
): Promise<readonly string[]> {
  const keys = await every<KeyRecord>((page) => store.list({ ...owner, ...page, now: new Date() }));
  const trail = await every<AuditEntry>((page) => store.auditTrail({ ...owner, ...page }));
  const byId = new Map(keys.map((key) => [key.id, key]));
  const changes = new Map<string, AuditEntry[]>();
  for (const entry of trail) changes.set(entry.keyId, [...(changes.get(entry.keyId) ?? []), entry]);

  for (const { id, version, rotatedAt, replacedBy, replaces } of keys) {
    const entries = changes.get(id) ?? [];
    const told = entries.filter(({ action }) => action === "rotated");
    expect(told.map(({ details }) => details.replacedBy)).toEqual(rotatedAt === null ? [] : [replacedBy]);
    if (rotatedAt !== null) expect(byId.get(replacedBy ?? "")?.replaces).toBe(id);
    // No successor of which its predecessor does not know.
    if (replaces !== null) expect(byId.get(replaces)?.replacedBy).toBe(id);
    const created = entries.filter(({ action }) => action === "created").length;
    expect(created).toBe(replaces === null ? 1 : 0);
    expect(version).toBe(1 + entries.length - created);
  }
  expect([...changes.keys()].filter((id) => !byId.has(id))).toEqual([]);
  return keys.filter(({ rotatedAt }) => rotatedAt === null).map(({ id }) => id);
}

async function every<T>(
  read: (page: { readonly limit: number; readonly cursor?: string | undefined }) => Awaitable<Page<T>>,
): Promise<T[]> {
  const items: T[] = [];
  let cursor: string | undefined;
  do {
    const page = await read({ limit: 1_000, cursor });
    items.push(...page.items);
    cursor = page.nextCursor;
  } while (cursor !== undefined);
  return items;
}

/** Processes that were started before they are needed: that takes longer than everything else here. */
function pool(target: Target, place: string) {
  const starting: Promise<Child>[] = [];
  const fill = (): void => {
    while (starting.length < STARTED_AHEAD) {
      const child = startChild("rotate", target, place);
      child.catch(() => {}); // told to whom takes it
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
    throw new Error(`nothing came within ${milliseconds} ms`);
  });
  return Promise.race([promise, timeout]);
}
