import fc from "fast-check";
import { describe, expect, it } from "vitest";
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
  it("creates a successor with the members of the old key and a new secret and id", async () => {
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
      rotationRoot: old.key.id,
    });
    expect(await manager.get(old.key.id)).toEqual({
      ...old.key,
      version: 2,
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

  it("writes one audit entry, which belongs to the old key", async () => {
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

  it("expires the old key immediately without an overlap", async () => {
    const { manager, verifier } = service();
    const { key, secret } = await manager.create(INPUT);
    await manager.rotate(key.id);
    expect((await verifier.verify(bearer(secret))).ok).toBe(false);
    expect((await manager.get(key.id))?.status).toBe("expired");
  });

  it("expires the old key at min(own expiry, now + overlap), and the successor with the old key", async () => {
    const expiries = fc.option(fc.integer({ min: 1001, max: 1e11 }), { nil: null });
    const overlaps = fc.tuple(fc.nat(1000), fc.constantFrom("ms", "s", "m", "h", "d"));
    const units = { ms: 1, s: 1e3, m: 6e4, h: 36e5, d: 864e5 } as const;
    await fc.assert(
      fc.asyncProperty(expiries, overlaps, async (expiry, [count, unit]) => {
        const { store, clock } = service();
        const manager = createKeyManager({ store, scopes, format, clock: clock.now, maxOverlap: "1000d" });
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

  it("limits the overlap to 30 days, or to maxOverlap", async () => {
    const { manager, store } = service();
    const { key } = await manager.create(INPUT);
    const message = (promise: Promise<unknown>) => promise.then(String, (error: Error) => error.message);
    expect(await message(manager.rotate(key.id, { overlap: "31d" }))).toBe("overlap must be at most 30d");
    const strict = createKeyManager({ store, scopes, format, maxOverlap: "0s" });
    expect(await message(strict.rotate(key.id, { overlap: "1s" }))).toBe("overlap must be at most 0s");
    expect((await manager.rotate(key.id, { overlap: "30d" })).key.replaces).toBe(key.id);
  });

  it("rejects an expired key, disabled or not", async () => {
    const { manager, clock } = service();
    const { key } = await manager.create({ ...INPUT, expiresAt: later(1000) });
    clock.set(later(1000));
    expect(await thrownBy(() => manager.rotate(key.id))).toBeInstanceOf(KeyStateError);
    const disabled = await manager.create({ ...INPUT, expiresAt: later(2000) });
    await manager.disable(disabled.key.id);
    clock.set(later(2000));
    const error = await thrownBy(() => manager.rotate(disabled.key.id, { overlap: "1h" }));
    expect(error).toBeInstanceOf(KeyStateError);
    expect((await manager.list()).items).toHaveLength(2);
  });

  it("creates a disabled successor of a disabled key", async () => {
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

  it("rejects a second rotation, but rotates the successor", async () => {
    const { manager } = service();
    const { key } = await manager.create(INPUT);
    const second = await manager.rotate(key.id, { overlap: "1h" });
    expect(await thrownBy(() => manager.rotate(key.id))).toBeInstanceOf(KeyStateError);
    const third = await manager.rotate(second.key.id, { overlap: "1h" });
    expect(third.key.replaces).toBe(second.key.id);
    expect((await manager.list()).items).toHaveLength(3);
  });

  it("keeps the successor valid if the old key is revoked", async () => {
    const { manager, verifier } = service();
    const { key, secret } = await manager.create(INPUT);
    const next = await manager.rotate(key.id, { overlap: "1h" });
    await manager.revoke(key.id);
    expect((await verifier.verify(bearer(secret))).ok).toBe(false);
    expect((await verifier.verify(bearer(next.secret))).ok).toBe(true);
  });

  it.each([["24"], [""], ["-1h"], [24], [null], ["36501d"]])("rejects an overlap of %j", async (overlap) => {
    const { manager } = service();
    const { key } = await manager.create(INPUT);
    const error = await thrownBy(() => manager.rotate(key.id, { overlap: overlap as never }));
    expect(error).toBeInstanceOf(TypeError);
    expect(error).toMatchObject({
      name: "KeyInputError",
      path: "overlap",
      problem: expect.stringContaining('such as "250ms"'),
    });
    expect(await manager.get(key.id)).toEqual(key);
  });

  it("counts maxLifetime from the rotation, but never beyond the old expiry", async () => {
    const store = memoryStore();
    const clock = stoppedClock();
    const manager = createKeyManager({ store, scopes, format, clock: clock.now, maxLifetime: "10d" });
    const { key } = await manager.create(INPUT);
    clock.set(later(1000));
    expect((await manager.rotate(key.id)).key.expiresAt).toEqual(key.expiresAt);
    const unlimited = createKeyManager({ store, scopes, format, clock: clock.now });
    const unbounded = await unlimited.create(INPUT);
    expect((await manager.rotate(unbounded.key.id)).key.expiresAt).toEqual(later(1000 + 864e6));
  });
});

describe("a custom store that returns dates as strings", () => {
  const DATES = ["createdAt", "updatedAt", "expiresAt", "disabledAt", "revokedAt", "rotatedAt"] as const;

  it.each(DATES.flatMap((member) => [[member, false] as const, [member, true] as const]))(
    "%s as a string, disabled %s: throws no raw TypeError and extends no key",
    async (member, disabled) => {
      const memory = memoryStore();
      const clock = stoppedClock();
      const value = "2029-01-01T00:00:00.000Z"; // before the clock
      const store = {
        ...memory,
        async findById(id: string) {
          const record = await memory.findById(id);
          return record && { ...record, ...(disabled && { disabledAt: START }), [member]: value };
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
      // The successor inherits the invalid disabledAt, which the store rejects.
      const state = ["createdAt", "expiresAt", "disabledAt", "revokedAt", "rotatedAt"].includes(member);
      expect(outcome instanceof Error).toBe(state);
    },
  );
});

describe("concurrency", () => {
  /** A memory store with random delays. */
  function slowStore(): ManagedKeyStore {
    const store = memoryStore();
    const delayed =
      <A extends unknown[], R>(method: (...args: A) => Awaitable<R>) =>
      async (...args: A): Promise<R> => {
        await sleep(Math.random() * 2);
        const result = await method(...args);
        await sleep(Math.random() * 2);
        return result;
      };
    return {
      ...store,
      findById: delayed(store.findById),
      update: delayed(store.update),
      replace: delayed(store.replace),
    };
  }

  it("lets one of 50 concurrent rotations succeed", async () => {
    const store = slowStore();
    const manager = createKeyManager({ store, scopes, format });
    const { key } = await manager.create(INPUT);
    const results = await Promise.allSettled(
      Array.from({ length: 50 }, () => manager.rotate(key.id, { overlap: "1h" })),
    );
    const successes = results.filter(
      (result) => result.status === "fulfilled",
    ) as PromiseFulfilledResult<IssuedKey>[];
    expect(successes).toHaveLength(1);
    for (const result of results) {
      if (result.status === "rejected") expect(result.reason).toBeInstanceOf(KeyStateError);
    }
    const { items } = await manager.list();
    expect(items).toHaveLength(2);
    expect(items.find(({ id }) => id === key.id)?.replacedBy).toBe(successes[0]?.value.key.id);
    const trail = (await manager.auditTrail()).items;
    expect(trail.filter(({ action }) => action === "rotated")).toHaveLength(1);
  });

  it("never undoes a revocation by concurrent changes", async () => {
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

  it("applies all of 50 concurrent changes of one key", async () => {
    const store = slowStore();
    const manager = createKeyManager({ store, scopes, format });
    const { key } = await manager.create(INPUT);
    await Promise.all(Array.from({ length: 50 }, (_, i) => manager.update(key.id, { name: `n${i}` })));
    expect((await store.findById(key.id))?.version).toBe(51);
    expect((await manager.auditTrail()).items.filter(({ action }) => action === "updated")).toHaveLength(50);
  });
});
