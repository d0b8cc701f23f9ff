import fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  type Awaitable,
  createKeyManager,
  type Duration,
  type IssuedKey,
  KeyStateError,
  type ManagedKeyStore,
  StoreError,
} from "../../../../src/index.js";
import { memoryStore } from "../../../../src/stores/memory.js";
import { bearer, format, START, scopes, service, sleep, stoppedClock, thrownBy } from "../fixtures.js";

const INPUT = { ownerId: "acme", scopes: ["vehicles:read"], environment: "live" } as const;
const later = (ms: number) => new Date(START.getTime() + ms);
const HOUR = 3_600_000;

describe("rotate", () => {
  test("the successor has what the old key had, under a secret and an id of its own", async () => {
    const { manager, verifier, clock } = service();
    const old = await manager.create({
      ...INPUT,
      scopes: ["vehicles:write", "drivers:read"],
      name: "truck",
      ipAllowlist: ["10.0.0.0/8"],
      metadata: { a: 1 },
      rateLimit: { limit: 5, windowSeconds: 60 },
      expiresAt: later(1e9),
    });
    clock.set(later(100));
    const next = await manager.rotate(old.key.id, { overlap: "24h", actor: "ann" });
    expect(next.secret).not.toBe(old.secret);
    expect(next.key).toEqual({
      ...old.key,
      id: next.key.id,
      start: next.secret.slice(0, 13),
      createdAt: later(100),
      updatedAt: later(100),
      replaces: old.key.id,
    });
    expect(await manager.get(old.key.id)).toEqual({
      ...old.key,
      status: "retiring",
      updatedAt: later(100),
      rotatedAt: later(100),
      replacedBy: next.key.id,
      expiresAt: later(100 + 24 * HOUR),
    });
    for (const { secret } of [old, next]) {
      expect((await verifier.verify(bearer(secret, { remoteAddress: "10.0.0.1" }))).ok).toBe(true);
      expect((await verifier.verify(bearer(secret, { remoteAddress: "203.0.113.7" }))).ok).toBe(false);
    }
    clock.set(later(100 + 24 * HOUR - 1));
    expect((await verifier.verify(bearer(old.secret, { remoteAddress: "10.0.0.1" }))).ok).toBe(true);
    clock.set(later(100 + 24 * HOUR));
    expect((await verifier.verify(bearer(old.secret, { remoteAddress: "10.0.0.1" }))).ok).toBe(false);
    expect((await verifier.verify(bearer(next.secret, { remoteAddress: "10.0.0.1" }))).ok).toBe(true);
  });

  test("is one line of the audit trail, about the old key", async () => {
    const { manager } = service();
    const { key } = await manager.create(INPUT);
    const next = await manager.rotate(key.id, { overlap: "1h", actor: "ann" });
    const { items } = await manager.auditTrail();
    expect(items.filter(({ action }) => action === "rotated")).toEqual([
      {
        id: expect.any(String),
        at: START,
        action: "rotated",
        keyId: key.id,
        ownerId: "acme",
        actor: "ann",
        details: { replacedBy: next.key.id, expiresAt: later(HOUR).toISOString() },
      },
    ]);
  });

  test("without an overlap the old key stops at once", async () => {
    const { manager, verifier } = service();
    const { key, secret } = await manager.create(INPUT);
    await manager.rotate(key.id);
    expect((await verifier.verify(bearer(secret))).ok).toBe(false);
    expect((await manager.get(key.id))?.status).toBe("expired");
  });

  test("property: the old key ends at min(its own expiry, now + overlap), the new one no later than the old", async () => {
    const expiries = fc.option(fc.integer({ min: 1001, max: 1e11 }), { nil: null });
    const overlaps = fc.tuple(fc.nat(1000), fc.constantFrom("ms", "s", "m", "h", "d"));
    const units = { ms: 1, s: 1e3, m: 6e4, h: 36e5, d: 864e5 } as const;
    await fc.assert(
      fc.asyncProperty(expiries, overlaps, async (expiry, [count, unit]) => {
        const { manager, clock } = service();
        const { key } = await manager.create({ ...INPUT, expiresAt: expiry === null ? null : later(expiry) });
        clock.set(later(1000));
        const next = await manager.rotate(key.id, { overlap: `${count}${unit}` as Duration });
        const end = 1000 + count * units[unit as keyof typeof units];
        const after = await manager.get(key.id);
        expect(after?.expiresAt).toEqual(later(expiry === null ? end : Math.min(end, expiry)));
        expect(next.key.expiresAt).toEqual(expiry === null ? null : later(expiry));
      }),
    );
  });

  test("a rotation neither revives nor prolongs", async () => {
    const { manager, clock } = service();
    const { key } = await manager.create({ ...INPUT, expiresAt: later(1000) });
    clock.set(later(1000));
    for (const id of [key.id]) expect(await thrownBy(() => manager.rotate(id))).toBeInstanceOf(KeyStateError);
    const disabled = await manager.create({ ...INPUT, expiresAt: later(2000) });
    await manager.disable(disabled.key.id);
    clock.set(later(2000));
    const error = await thrownBy(() => manager.rotate(disabled.key.id, { overlap: "1h" }));
    expect(error).toBeInstanceOf(KeyStateError);
    expect((await manager.list()).items).toHaveLength(2);
  });

  test("a disabled key's successor is disabled", async () => {
    const { manager, verifier } = service();
    const { key } = await manager.create(INPUT);
    await manager.disable(key.id);
    const next = await manager.rotate(key.id, { overlap: "1h" });
    expect(next.key.status).toBe("disabled");
    expect((await manager.get(key.id))?.status).toBe("disabled");
    expect((await verifier.verify(bearer(next.secret))).ok).toBe(false);
    await manager.enable(next.key.id);
    expect((await verifier.verify(bearer(next.secret))).ok).toBe(true);
  });

  test("a key is rotated once; its successor can be rotated on", async () => {
    const { manager } = service();
    const { key } = await manager.create(INPUT);
    const second = await manager.rotate(key.id, { overlap: "1h" });
    expect(await thrownBy(() => manager.rotate(key.id))).toBeInstanceOf(KeyStateError);
    const third = await manager.rotate(second.key.id, { overlap: "1h" });
    expect(third.key.replaces).toBe(second.key.id);
    expect((await manager.list()).items).toHaveLength(3);
  });

  test("revoking either key leaves the other alone", async () => {
    const { manager, verifier } = service();
    const { key, secret } = await manager.create(INPUT);
    const next = await manager.rotate(key.id, { overlap: "1h" });
    await manager.revoke(key.id);
    expect((await verifier.verify(bearer(secret))).ok).toBe(false);
    expect((await verifier.verify(bearer(next.secret))).ok).toBe(true);
  });

  test.each([["24"], [""], ["-1h"], [24], [null], ["36501d"]])(
    "an overlap of %j is a KeyInputError",
    async (overlap) => {
      const { manager } = service();
      const { key } = await manager.create(INPUT);
      const error = await thrownBy(() => manager.rotate(key.id, { overlap: overlap as never }));
      expect(error).toBeInstanceOf(TypeError);
      expect(error).toMatchObject({
        name: "KeyInputError",
        path: "overlap",
        problem: expect.stringContaining('such as "30s"'),
      });
      expect(await manager.get(key.id)).toEqual(key);
    },
  );

  test("maxLifetime counts anew for the successor, but never beyond the old expiry", async () => {
    const store = memoryStore();
    const clock = stoppedClock();
    const manager = createKeyManager({ store, scopes, format, clock: clock.now, maxLifetime: "10d" });
    const { key } = await manager.create(INPUT);
    clock.set(later(1000));
    expect((await manager.rotate(key.id)).key.expiresAt).toEqual(key.expiresAt);
    const free = createKeyManager({ store, scopes, format, clock: clock.now });
    const unbounded = await free.create(INPUT);
    expect((await manager.rotate(unbounded.key.id)).key.expiresAt).toEqual(later(1000 + 864e6));
  });
});

describe("a store of one's own that keeps dates as texts", () => {
  const DATES = ["createdAt", "updatedAt", "expiresAt", "disabledAt", "revokedAt", "rotatedAt"] as const;

  test.each(DATES.flatMap((member) => [[member, false] as const, [member, true] as const]))(
    "%s as a text, disabled %s: no raw TypeError, and no key that lives longer",
    async (member, disabled) => {
      const memory = memoryStore();
      const clock = stoppedClock();
      const text = "2029-01-01T00:00:00.000Z"; // before the clock
      const store = {
        ...memory,
        async findById(id: string) {
          const record = await memory.findById(id);
          return record && { ...record, ...(disabled && { disabledAt: START }), [member]: text };
        },
      } as never as ManagedKeyStore;
      const manager = createKeyManager({ store, scopes, format, clock: clock.now });
      const { key } = await manager.create(INPUT);
      const outcome = await manager.rotate(key.id, { overlap: "1h" }).catch((error: unknown) => error);
      if (outcome instanceof Error) {
        expect([KeyStateError, StoreError].some((kind) => outcome instanceof kind)).toBe(true);
        expect(outcome.message).not.toMatch(/getTime|toISOString|is not a function/);
        expect((await manager.list()).items).toHaveLength(1);
      }
      // The successor would inherit a disablement that is no date; it is refused where it is to be stored.
      const state = ["createdAt", "expiresAt", "disabledAt", "revokedAt", "rotatedAt"].includes(member);
      expect(outcome instanceof Error).toBe(state);
    },
  );
});

describe("concurrency", () => {
  /** A memory store that takes its time, and counts what it refuses. */
  function slowStore(): ManagedKeyStore {
    const store = memoryStore();
    const slowly =
      <A extends unknown[], R>(method: (...args: A) => Awaitable<R>) =>
      async (...args: A): Promise<R> => {
        await sleep(Math.random() * 2);
        const result = await method(...args);
        await sleep(Math.random() * 2);
        return result;
      };
    return {
      ...store,
      findById: slowly(store.findById),
      update: slowly(store.update),
      replace: slowly(store.replace),
    };
  }

  test("of 50 concurrent rotations one wins", async () => {
    const store = slowStore();
    const manager = createKeyManager({ store, scopes, format });
    const { key } = await manager.create(INPUT);
    const results = await Promise.allSettled(
      Array.from({ length: 50 }, () => manager.rotate(key.id, { overlap: "1h" })),
    );
    const won = results.filter(
      (result) => result.status === "fulfilled",
    ) as PromiseFulfilledResult<IssuedKey>[];
    expect(won).toHaveLength(1);
    for (const result of results) {
      if (result.status === "rejected") expect(result.reason).toBeInstanceOf(KeyStateError);
    }
    const { items } = await manager.list();
    expect(items).toHaveLength(2);
    expect(items.find(({ id }) => id === key.id)?.replacedBy).toBe(won[0]?.value.key.id);
    const trail = (await manager.auditTrail()).items;
    expect(trail.filter(({ action }) => action === "rotated")).toHaveLength(1);
  });

  test("a revocation beside rotations is never undone, and never inherited by chance", async () => {
    for (let round = 0; round < 10; round++) {
      const store = slowStore();
      const manager = createKeyManager({ store, scopes, format });
      const { key } = await manager.create(INPUT);
      await Promise.allSettled([
        manager.rotate(key.id, { overlap: "1h" }),
        manager.revoke(key.id, { reason: "leaked" }),
        manager.update(key.id, { name: "x" }),
        manager.disable(key.id),
      ]);
      expect(await manager.get(key.id)).toMatchObject({ status: "revoked", revokedReason: "leaked" });
      const { items } = await manager.auditTrail();
      expect((await store.findById(key.id))?.version).toBe(items.length);
    }
  });

  test("50 concurrent changes of one key all arrive", async () => {
    const store = slowStore();
    const manager = createKeyManager({ store, scopes, format });
    const { key } = await manager.create(INPUT);
    await Promise.all(Array.from({ length: 50 }, (_, i) => manager.update(key.id, { name: `n${i}` })));
    expect((await store.findById(key.id))?.version).toBe(51);
    expect((await manager.auditTrail()).items.filter(({ action }) => action === "updated")).toHaveLength(50);
  });
});
