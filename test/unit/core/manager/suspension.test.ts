import { describe, expect, it } from "vitest";
import { cachedStore } from "../../../../src/cache/index.js";
import { createKeyManager, createVerifier, KeyStateError } from "../../../../src/index.js";
import { memoryStore } from "../../../../src/stores/memory.js";
import { bearer, format, START, scopes, service, thrownBy } from "../fixtures.js";

const INPUT = { ownerId: "acme", scopes: ["vehicles:read"], environment: "live" } as const;

describe("suspendOwner", () => {
  it("denies every key of the owner with the reason owner_suspended, until resumeOwner", async () => {
    const { manager, verifier, events } = service();
    const keys = [await manager.create(INPUT), await manager.create(INPUT)];
    const other = await manager.create({ ...INPUT, ownerId: "globex" });
    const outcomes = () =>
      Promise.all(
        [...keys, other].map(async ({ secret }) => {
          const result = await verifier.verify(bearer(secret));
          return result.ok || result.error.code;
        }),
      );
    expect(await manager.suspendOwner("acme", { reason: "unpaid", actor: "billing" })).toBe(true);
    expect(await outcomes()).toEqual(["invalid_key", "invalid_key", true]);
    const denied = events.filter(({ type }) => type === "auth.denied");
    expect(denied).toMatchObject([{ reason: "owner_suspended" }, { reason: "owner_suspended" }]);
    expect(await manager.suspendOwner("acme")).toBe(false);
    expect(await manager.resumeOwner("acme", { actor: "billing" })).toBe(true);
    expect(await outcomes()).toEqual([true, true, true]);
    expect(await manager.resumeOwner("acme")).toBe(false);
  });

  it("writes one audit entry without a key, and emits an event", async () => {
    const { manager, events } = service();
    await manager.create(INPUT);
    await manager.suspendOwner("acme", { reason: "unpaid", actor: "billing" });
    await manager.resumeOwner("acme");
    const { items } = await manager.auditTrail({ ownerId: "acme" });
    expect(items.map(({ id: _, ...entry }) => entry)).toMatchObject([
      { action: "resumed", keyId: "", ownerId: "acme", actor: null, at: START },
      { action: "suspended", keyId: "", actor: "billing", details: { reason: "unpaid" } },
      { action: "created" },
    ]);
    expect(events.filter(({ type }) => type.startsWith("owner."))).toEqual([
      {
        type: "owner.suspended",
        at: START,
        ownerId: "acme",
        actor: "billing",
        details: { reason: "unpaid" },
      },
      { type: "owner.resumed", at: START, ownerId: "acme", actor: null, details: {} },
    ]);
  });

  it("rejects new keys, imports, rotations and renewals", async () => {
    const { manager, clock } = service();
    const { key } = await manager.create(INPUT);
    const expired = await manager.create({ ...INPUT, expiresAt: new Date(START.getTime() + 1) });
    clock.set(new Date(START.getTime() + 120_000));
    await manager.suspendOwner("acme");
    for (const refused of [
      () => manager.create(INPUT),
      () => manager.import({ ...INPUT, secret: format.generate("live") }),
      () => manager.rotate(key.id),
      () => manager.update(expired.key.id, { expiresAt: null }),
    ]) {
      expect(await thrownBy(refused)).toEqual(new KeyStateError("The owner is suspended"));
    }
    expect((await manager.enable(key.id)).status).toBe("suspended");
    expect((await manager.revoke(key.id)).status).toBe("revoked");
  });

  it("is in force at once in the cache of the process", async () => {
    const store = cachedStore(memoryStore(), { ttl: "1m" });
    const manager = createKeyManager({ store, scopes, format });
    const verifier = createVerifier({ store, scopes, format });
    const { secret } = await manager.create(INPUT);
    for (const expected of [true, false, true]) {
      if (!expected) await manager.suspendOwner("acme");
      else await manager.resumeOwner("acme");
      for (let time = 0; time < 2; time++) expect((await verifier.verify(bearer(secret))).ok).toBe(expected);
    }
    await store.close();
  });

  it.each([
    ["an empty owner", "", {}],
    ["an owner that is not a string", 7, {}],
    ["an unknown member", "acme", { until: "tomorrow" }],
    ["a reason of two lines", "acme", { reason: "a\nb" }],
  ])("rejects %s", async (_, ownerId, options) => {
    const { manager } = service();
    const error = await thrownBy(() => manager.suspendOwner(ownerId as string, options as object));
    expect(error).toMatchObject({ code: "KEYBEARER_INVALID_INPUT" });
  });
});
