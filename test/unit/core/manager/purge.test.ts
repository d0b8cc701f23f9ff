import { describe, expect, it } from "vitest";
import {
  createKeyManager,
  type KeyEvent,
  type KeyManagerOptions,
  type ManagedKeyStore,
  StoreError,
} from "../../../../src/index.js";
import { memoryStore } from "../../../../src/stores/memory.js";
import { type FleetScope, format, START, scopes, stoppedClock, thrownBy } from "../fixtures.js";

const INPUT = { ownerId: "acme", scopes: ["vehicles:read"], environment: "live" } as const;
const DAY = 86_400_000;
const day = (count: number) => new Date(START.getTime() + count * DAY);

function managing(more: Partial<KeyManagerOptions<FleetScope>> = {}) {
  const store = more.store ?? memoryStore();
  const clock = stoppedClock();
  const events: KeyEvent[] = [];
  const observers = [(event: KeyEvent) => events.push(event)];
  const manager = createKeyManager({ store, scopes, format, clock: clock.now, observers, ...more });
  return { store, clock, manager, events };
}

describe("purge", () => {
  it("deletes keys that were revoked or expired at least the retention ago", async () => {
    const { manager, clock, events } = managing();
    const create = async (name: string, more = {}) =>
      (await manager.create({ ...INPUT, name, ...more })).key.id;
    const active = await create("active");
    const revoked = await create("revoked");
    const disabled = await create("disabled");
    await create("expired", { expiresAt: day(10) });
    const later = await create("revoked later");
    const old = await create("rotated");
    await manager.revoke(revoked);
    await manager.disable(disabled);
    const { key: next } = await manager.rotate(old, { overlap: "5d" });
    clock.set(day(11));
    await manager.revoke(later);

    clock.set(day(40));
    expect(await manager.purge({ retention: "30d", actor: "cron" })).toEqual({ purged: 3 });
    const left = (await manager.list()).items.map(({ id }) => id);
    expect(new Set(left)).toEqual(new Set([active, disabled, later, next.id]));
    expect(await manager.get(revoked)).toBeUndefined();
    const { items } = await manager.auditTrail({ keyId: revoked });
    expect(items.map(({ action, actor }) => [action, actor])).toEqual([
      ["purged", "cron"],
      ["revoked", null],
      ["created", null],
    ]);
    expect(items[0]?.details).toEqual({ revokedAt: START.toISOString(), expiresAt: null });
    expect(events.filter(({ type }) => type === "key.purged")).toHaveLength(3);
    expect(await manager.purge({ retention: "30d" })).toEqual({ purged: 0 });
    clock.set(day(41));
    expect(await manager.purge({ retention: "30d" })).toEqual({ purged: 1 });
  });

  it("reads every page, and stops at its limit", async () => {
    const { manager, clock } = managing();
    for (let i = 0; i < 250; i++) {
      const { key } = await manager.create({ ...INPUT, name: `${i}` });
      if (i % 5 !== 0) await manager.revoke(key.id);
    }
    clock.set(day(1));
    expect(await manager.purge({ retention: "0s", limit: 1 })).toEqual({ purged: 1 });
    expect(await manager.purge({ retention: "0s", limit: 120 })).toEqual({ purged: 120 });
    expect(await manager.purge({ retention: "0s" })).toEqual({ purged: 79 });
    expect((await manager.list({ limit: 1_000 })).items).toHaveLength(50);
  });

  it("keeps active keys if the store ignores endedBefore", async () => {
    const inner = memoryStore();
    const store: ManagedKeyStore = { ...inner, list: ({ endedBefore: _, ...query }) => inner.list(query) };
    const { manager, clock } = managing({ store });
    const { key } = await manager.create({ ...INPUT, expiresAt: day(1) });
    for (let i = 0; i < 150; i++) await manager.create({ ...INPUT, expiresAt: day(3) });
    for (let i = 0; i < 150; i++) await manager.create(INPUT);
    clock.set(day(2));
    expect(await manager.purge({ retention: "1d" })).toEqual({ purged: 1 });
    expect(await manager.get(key.id)).toBeUndefined();
    expect((await manager.list({ limit: 1_000 })).items).toHaveLength(300);
  });

  it("reads no more pages than needed, and deletes 10 keys at a time", async () => {
    const inner = memoryStore();
    const hasCursor: boolean[] = [];
    const removals = { all: 0, now: 0, max: 0 };
    const store: ManagedKeyStore = {
      ...inner,
      list: (query) => {
        if (query.endedBefore !== undefined) hasCursor.push("cursor" in query);
        return inner.list(query);
      },
      remove: async (id, version, audit) => {
        removals.all++;
        removals.max = Math.max(removals.max, ++removals.now);
        await new Promise(setImmediate);
        removals.now--;
        return inner.remove?.(id, version, audit) ?? false;
      },
    };
    const { manager } = managing({ store });
    for (let i = 0; i < 130; i++) await manager.revoke((await manager.create(INPUT)).key.id);
    expect(await manager.purge({ retention: "0s", limit: 25 })).toEqual({ purged: 25 });
    expect([hasCursor, removals]).toEqual([[false], { all: 25, now: 0, max: 10 }]);
    expect(await manager.purge({ retention: "0s" })).toEqual({ purged: 105 });
    expect(hasCursor).toEqual([false, false, true]);
    expect(removals).toEqual({ all: 130, now: 0, max: 10 });
  });

  it("keeps a key as long as a key that it created is stored", async () => {
    const { manager, clock } = managing();
    const { key: creator } = await manager.create({ ...INPUT, expiresAt: day(1) });
    const { key: child } = await manager.create(INPUT, { createdByKey: creator.id });
    clock.set(day(9));
    expect(await manager.purge({ retention: "1d" })).toEqual({ purged: 0 });
    await manager.revoke(creator.id, { descendants: true });
    expect((await manager.get(child.id))?.status).toBe("revoked");
    clock.set(day(20));
    let purged = 0;
    for (const _ of [1, 2]) purged += (await manager.purge({ retention: "1d" })).purged;
    expect(purged).toBe(2);
  });

  it("skips a key that was changed after it was listed", async () => {
    const inner = memoryStore();
    const store: ManagedKeyStore = { ...inner, remove: () => false };
    const { manager, clock, events } = managing({ store });
    const { key } = await manager.create(INPUT);
    await manager.revoke(key.id);
    clock.set(day(1));
    expect(await manager.purge({ retention: "1d" })).toEqual({ purged: 0 });
    expect(events.some(({ type }) => type === "key.purged")).toBe(false);
  });

  it("accepts a null cursor as the end, and rejects invalid and endless pages", async () => {
    const inner = memoryStore();
    const ended = managing({
      store: { ...inner, list: (query) => ({ ...inner.list(query), nextCursor: null }) as never },
    });
    await ended.manager.revoke((await ended.manager.create(INPUT)).key.id);
    expect(await ended.manager.purge({ retention: "0s" })).toEqual({ purged: 1 });
    expect(await ended.manager.list()).toEqual({ items: [] });
    for (const page of [
      { items: [], nextCursor: "a" },
      undefined,
      { items: null },
      { items: [], nextCursor: 7 },
    ]) {
      const { manager } = managing({ store: { ...memoryStore(), list: () => page as never } });
      expect(await thrownBy(() => manager.purge({ retention: "0s" }))).toBeInstanceOf(StoreError);
    }
  });

  it("skips a record that cannot be read", async () => {
    const inner = memoryStore();
    const ended = { expiresAt: START };
    const damaged = [
      { revokedAt: new Date(Number.NaN), ...ended },
      { revokedAt: "2020", ...ended },
      { version: "1", ...ended },
    ];
    const store: ManagedKeyStore = {
      ...inner,
      list: async (query) => {
        const { items } = await inner.list(query);
        return { items: items.map((item, index) => ({ ...item, ...damaged[index] }) as never) };
      },
    };
    const { manager } = managing({ store });
    for (let i = 0; i < 4; i++) await manager.revoke((await manager.create(INPUT)).key.id);
    const ids = (await store.list({ now: START, limit: 3 })).items.map(({ id }) => id);
    expect(await manager.purge({ retention: "0s" })).toEqual({ purged: 3 });
    const trails = await Promise.all(ids.map((keyId) => manager.auditTrail({ keyId })));
    const details = { revokedAt: null, expiresAt: START.toISOString() };
    expect(trails.map(({ items }) => items[0]?.details).slice(0, 2)).toEqual([details, details]);
  });

  it("deletes each key once if several purges run concurrently", async () => {
    const { manager, clock } = managing();
    for (let i = 0; i < 60; i++) await manager.revoke((await manager.create(INPUT)).key.id);
    clock.set(day(1));
    const results = await Promise.all([1, 2, 3].map(() => manager.purge({ retention: "1d" })));
    expect(results.reduce((sum, { purged }) => sum + purged, 0)).toBe(60);
  });

  it.each<[string, object, string]>([
    ["a missing retention", {}, "retention"],
    ["a retention without a unit", { retention: 30 }, "retention"],
    ["a limit of 0", { retention: "1d", limit: 0 }, "limit"],
    ["a limit that is a string", { retention: "1d", limit: "9" }, "limit"],
    ["an empty actor", { retention: "1d", actor: "" }, "actor"],
    ["an unknown member", { retention: "1d", ownerId: "acme" }, "ownerId"],
  ])("rejects %s", async (_, options, path) => {
    const { manager } = managing();
    const error = (await thrownBy(() => manager.purge(options as never))) as Error;
    expect(error).toMatchObject({ name: "KeyInputError", path });
    expect(error.message).toMatch(/must (be|not)|purge/);
  });

  it("rejects a store without remove(), and one that does not return whether it removed", async () => {
    const { remove: _, ...without } = memoryStore();
    const { manager } = managing({ store: without as ManagedKeyStore });
    expect(await thrownBy(() => manager.purge({ retention: "1d" }))).toEqual(
      new TypeError('purge: "store" must have a method remove()'),
    );
    const vague = managing({ store: { ...memoryStore(), remove: () => undefined as never } });
    await vague.manager.revoke((await vague.manager.create(INPUT)).key.id);
    expect(await thrownBy(() => vague.manager.purge({ retention: "0s" }))).toBeInstanceOf(StoreError);
  });
});
