import { describe, expect, it } from "vitest";
import {
  createKeyManager,
  createVerifier,
  hashSecret,
  KeyInputError,
  KeyNotFoundError,
  KeyStateError,
  keyFormat,
} from "../../../../src/index.js";
import { memoryStore } from "../../../../src/stores/memory.js";
import { bearer, errorOf, format, START, scopes, service, stoppedClock, thrownBy } from "../fixtures.js";
import { createManager, INPUT, later } from "./fixtures.js";

describe("create", () => {
  it("returns the key and its secret, and stores the record under the hash", async () => {
    const { manager, store } = service();
    const { secret, key } = await manager.create(
      {
        ...INPUT,
        name: "Truck 7",
        ipAllowlist: ["10.0.0.0/8"],
        expiresAt: "2031-01-01T00:00:00Z",
        metadata: { a: [1] },
        rateLimit: { limit: 5, windowSeconds: 60 },
      },
      "ann",
    );
    expect(key).toEqual({
      id: expect.stringMatching(/^key_[0-9a-f]{32}$/),
      version: 1,
      ownerId: "acme",
      name: "Truck 7",
      start: secret.slice(0, 13),
      environment: "live",
      status: "active",
      scopes: ["vehicles:read"],
      ipAllowlist: ["10.0.0.0/8"],
      rateLimit: { limit: 5, windowSeconds: 60 },
      metadata: { a: [1] },
      createdAt: START,
      updatedAt: START,
      expiresAt: new Date("2031-01-01T00:00:00Z"),
      lastUsedAt: null,
      disabledAt: null,
      suspendedAt: null,
      revokedAt: null,
      revokedReason: null,
      rotatedAt: null,
      replacedBy: null,
      replaces: null,
      disabledBy: null,
      rotationRoot: null,
      createdBy: "ann",
      createdByKey: null,
    });
    expect(await store.findByHash(hashSecret(secret))).toMatchObject({ id: key.id, version: 1 });
    expect(JSON.stringify(await store.findById(key.id))).not.toContain(secret.slice(13));
    expect((await manager.auditTrail({ keyId: key.id })).items).toEqual([
      {
        id: expect.any(String),
        at: START,
        action: "created",
        keyId: key.id,
        ownerId: "acme",
        actor: "ann",
        details: { scopes: ["vehicles:read"] },
      },
    ]);
  });

  it("uses the only environment of a format, and null for a format without environments", async () => {
    const { ownerId, scopes: granted } = INPUT;
    const input = { ownerId, scopes: granted };
    const one = createManager({ format: keyFormat({ prefix: "ezt", environments: ["live"] }) });
    expect((await one.manager.create(input)).key.environment).toBe("live");
    const bare = createManager({ format: keyFormat({ prefix: "ezt" }) });
    expect((await bare.manager.create(input)).key.environment).toBeNull();
    const two = await thrownBy(() => createManager().manager.create(input));
    expect(two).toMatchObject({ path: "environment", problem: "must be one of live, test" });
  });

  it.each<[string, object, string]>([
    ["no owner", { ownerId: undefined }, "ownerId"],
    ["an empty owner", { ownerId: "" }, "ownerId"],
    ["an owner with a line break", { ownerId: "a\nb" }, "ownerId"],
    ["an owner of 256 characters", { ownerId: "a".repeat(256) }, "ownerId"],
    ["a name of 256 characters", { name: "a".repeat(256) }, "name"],
    ["a name with an escape", { name: "\u001b[2J" }, "name"],
    ["no scopes", { scopes: undefined }, "scopes"],
    ["an undefined scope", { scopes: ["vehicles:read", "nope"] }, "scopes[1]"],
    ["a planned scope", { scopes: ["reports:read"] }, "scopes[0]"],
    ["another environment", { environment: "staging" }, "environment"],
    ["an environment of null", { environment: null }, "environment"],
    ["a network with a host", { ipAllowlist: ["10.0.0.5/8"] }, "ipAllowlist[0]"],
    ["an expiry in the past", { expiresAt: "2029-01-01T00:00:00Z" }, "expiresAt"],
    ["an expiry now", { expiresAt: START }, "expiresAt"],
    ["an expiry that is no date", { expiresAt: "2031-02-30T00:00:00Z" }, "expiresAt"],
    ["metadata that is a list", { metadata: [] }, "metadata"],
    ["metadata with a function", { metadata: { a: () => 1 } }, "metadata.a"],
    ["a rate limit of 0", { rateLimit: { limit: 0, windowSeconds: 1 } }, "rateLimit.limit"],
    ["a rate limit that is a number", { rateLimit: 5 }, "rateLimit"],
    ["a rate limit with another member", { rateLimit: { limit: 1, windowSeconds: 1, burst: 5 } }, "burst"],
    ["an unknown member", { allowlist: ["10.0.0.0/8"] }, "allowlist"],
    ["an unknown member that is undefined", { allowlist: undefined }, "allowlist"],
  ])("rejects %s with the path of the member, and stores nothing", async (_, more, path) => {
    const { manager, events } = service();
    const error = await thrownBy(() => manager.create({ ...INPUT, ...more } as never));
    expect(error).toBeInstanceOf(KeyInputError);
    expect(error).toMatchObject({ path, code: "KEYBEARER_INVALID_INPUT" });
    expect((await manager.list()).items).toEqual([]);
    expect((await manager.auditTrail()).items).toEqual([]);
    expect(events).toEqual([]);
  });

  it("rejects an invalid actor and unknown members", async () => {
    const { manager } = service();
    expect(await thrownBy(() => manager.create(INPUT, ""))).toMatchObject({ path: "actor" });
    expect(await thrownBy(() => manager.create(INPUT, "a\nb"))).toMatchObject({ path: "actor" });
    expect(await thrownBy(() => manager.create(INPUT, { actor: "" }))).toMatchObject({ path: "actor" });
    expect(await thrownBy(() => manager.create(INPUT, 7 as never))).toMatchObject({ path: "actor" });
    const misspelt = await thrownBy(() => manager.create({ ...INPUT, scope: ["vehicles:read"] } as never));
    expect(misspelt).toBeInstanceOf(KeyInputError);
    expect(misspelt).toBeInstanceOf(TypeError);
    expect(misspelt).toMatchObject({ path: "scope" });
    expect(await thrownBy(() => manager.create(INPUT, { by: "ann" } as never))).toMatchObject({ path: "by" });
    for (const input of [undefined, null, [], "acme"]) {
      expect(await thrownBy(() => manager.create(input as never))).toMatchObject({
        name: "KeyInputError",
        path: "create",
      });
    }
    for (const by of [null, []]) {
      const error = await thrownBy(() => manager.create(INPUT, by as never));
      expect(error).toMatchObject({ name: "KeyInputError", path: "create" });
    }
    expect((await manager.list()).items).toEqual([]);
  });

  it("takes the actor as a string or in an options object", async () => {
    const { manager } = service();
    for (const by of ["ann", { actor: "ann" }, undefined, {}, { actor: undefined }]) {
      const { key } = await manager.create(INPUT, by);
      const [entry] = (await manager.auditTrail({ keyId: key.id })).items;
      expect(entry?.actor).toBe(by === "ann" || (typeof by === "object" && by.actor) ? "ann" : null);
    }
  });

  it("keeps and enforces an environment of the host if the format has none", async () => {
    const bare = keyFormat({ prefix: "ezt" });
    const { manager, store, clock } = createManager({ format: bare });
    const { key, secret } = await manager.create(INPUT);
    expect(key.environment).toBe("live");
    expect(await store.findById(key.id)).toMatchObject({ environment: "live" });
    const verifying = (environment?: string) =>
      createVerifier({
        store,
        scopes,
        format: bare,
        clock: clock.now,
        ...(environment !== undefined && { environment }),
      }).verify(bearer(secret));
    for (const environment of [undefined, "live"]) {
      const result = await verifying(environment);
      expect(result.ok && result.principal.environment).toBe("live");
    }
    expect(errorOf(await verifying("test")).code).toBe("invalid_key");
    const next = await manager.rotate(key.id);
    expect(next.key.environment).toBe("live");
    expect(bare.parse(next.secret)).toBeDefined();
  });

  it("limits the expiry to maxLifetime, which is also the default expiry", async () => {
    const { manager } = createManager({ maxLifetime: "90d" });
    const most = later(90 * 864e5);
    expect((await manager.create(INPUT)).key.expiresAt).toEqual(most);
    expect((await manager.create({ ...INPUT, expiresAt: null })).key.expiresAt).toEqual(most);
    expect((await manager.create({ ...INPUT, expiresAt: most })).key.expiresAt).toEqual(most);
    const error = await thrownBy(() => manager.create({ ...INPUT, expiresAt: new Date(most.getTime() + 1) }));
    expect(error).toMatchObject({ path: "expiresAt", problem: "must be within 90d of creation" });
  });
});

describe("update", () => {
  it("changes the given members only", async () => {
    const { manager, clock } = service();
    const { key } = await manager.create({
      ...INPUT,
      name: "a",
      metadata: { a: 1 },
      ipAllowlist: ["10.0.0.1"],
    });
    clock.set(later(5));
    const updated = await manager.update(key.id, { name: "b", metadata: null }, { actor: "bob" });
    expect(updated).toEqual({ ...key, version: 2, name: "b", metadata: null, updatedAt: later(5) });
    expect(await manager.get(key.id)).toEqual(updated);
    const [entry] = (await manager.auditTrail()).items;
    expect(entry).toMatchObject({
      action: "updated",
      actor: "bob",
      details: { members: ["name", "metadata"] },
    });
  });

  it("applies a new allowlist from the next request on", async () => {
    const { manager, verifier } = service();
    const { key, secret } = await manager.create(INPUT);
    const from = bearer(secret, { remoteAddress: "203.0.113.7" });
    expect((await verifier.verify(from)).ok).toBe(true);
    await manager.update(key.id, { ipAllowlist: ["10.0.0.0/8"] });
    expect(errorOf(await verifier.verify(from)).code).toBe("ip_not_allowed");
    await manager.update(key.id, { ipAllowlist: null });
    expect((await verifier.verify(from)).ok).toBe(true);
  });

  it("writes nothing if there is nothing to change", async () => {
    const { manager, store } = service();
    const { key } = await manager.create(INPUT);
    expect(await manager.update(key.id, {})).toEqual(key);
    expect(await store.findById(key.id)).toMatchObject({ version: 1 });
  });

  it("rejects scopes, even undefined ones, and members that cannot change", async () => {
    const { manager } = service();
    const { key } = await manager.create(INPUT);
    for (const change of [{ scopes: ["fleet:admin"] }, { scopes: undefined }, { name: "x", scopes: [] }]) {
      const error = await thrownBy(() => manager.update(key.id, change as never));
      expect(error).toBeInstanceOf(KeyInputError);
      expect(error).toMatchObject({
        path: "scopes",
        message: expect.stringMatching(/^scopes are fixed at creation/),
      });
    }
    for (const [change, path] of [
      [{ ownerId: "evil" }, "ownerId"],
      [{ revokedAt: null }, "revokedAt"],
      [{ hash: "x" }, "hash"],
      [{ version: 9 }, "version"],
      [{ rateLimit: { limit: 1, windowSeconds: 1, per: "ip" } }, "per"],
      [null, "update"],
      [[], "update"],
      ["name", "update"],
    ]) {
      const error = await thrownBy(() => manager.update(key.id, change as never));
      expect(error).toMatchObject({ name: "KeyInputError", path });
      expect(error).toBeInstanceOf(TypeError);
    }
    expect(await manager.get(key.id)).toEqual(key);
  });

  it("rejects invalid values", async () => {
    const { manager } = createManager({ maxLifetime: "1d" });
    const { key } = await manager.create(INPUT);
    for (const [change, path] of [
      [{ name: "a\0" }, "name"],
      [{ ipAllowlist: ["junk"] }, "ipAllowlist[0]"],
      [{ expiresAt: START }, "expiresAt"],
      [{ expiresAt: later(2 * 864e5) }, "expiresAt"],
      [{ metadata: [] }, "metadata"],
      [{ rateLimit: {} }, "rateLimit.limit"],
    ] as const) {
      expect(await thrownBy(() => manager.update(key.id, change as never))).toMatchObject({ path });
    }
    expect(await thrownBy(() => manager.update(key.id, { name: "a" }, { actor: "" }))).toMatchObject({
      path: "actor",
    });
  });

  it("counts maxLifetime from the creation of the key", async () => {
    const { manager, clock } = createManager({ maxLifetime: "90d" });
    const { key } = await manager.create({ ...INPUT, expiresAt: later(1000) });
    clock.set(later(500));
    const most = later(90 * 864e5);
    expect((await manager.update(key.id, { expiresAt: most })).expiresAt).toEqual(most);
    expect(
      await thrownBy(() => manager.update(key.id, { expiresAt: new Date(most.getTime() + 1) })),
    ).toMatchObject({
      path: "expiresAt",
    });
    expect((await manager.update(key.id, { expiresAt: null })).expiresAt).toEqual(most);
  });

  it("rejects every new expiry of a key that is older than maxLifetime", async () => {
    const store = memoryStore();
    const clock = stoppedClock();
    const free = createKeyManager({ store, scopes, format, clock: clock.now });
    const { key } = await free.create(INPUT);
    const { manager } = createManager({ store, clock: clock.now, maxLifetime: "90d" });
    for (const age of [90, 91]) {
      clock.set(later(age * 864e5));
      for (const expiresAt of [null, later(age * 864e5 + 1)]) {
        const error = await thrownBy(() => manager.update(key.id, { expiresAt }));
        expect(error).toMatchObject({ name: "KeyInputError", path: "expiresAt" });
      }
    }
    expect((await manager.get(key.id))?.expiresAt).toBeNull();
    expect((await manager.update(key.id, { name: "old" })).expiresAt).toBeNull();
  });

  it("rejects changes of a revoked key, and of the expiry of a rotated key", async () => {
    const { manager } = service();
    const revoked = await manager.create(INPUT);
    await manager.revoke(revoked.key.id);
    expect(await thrownBy(() => manager.update(revoked.key.id, { name: "x" }))).toBeInstanceOf(KeyStateError);
    const rotated = await manager.create(INPUT);
    await manager.rotate(rotated.key.id, { overlap: "1h" });
    for (const expiresAt of [null, later(1e9)]) {
      const error = await thrownBy(() => manager.update(rotated.key.id, { expiresAt }));
      expect(error).toBeInstanceOf(KeyStateError);
    }
    expect((await manager.update(rotated.key.id, { name: "old" })).name).toBe("old");
  });
});

describe("disable, enable and revoke", () => {
  it("disables and enables a key, and ignores repetitions", async () => {
    const { manager, verifier, clock, store } = service();
    const { key, secret } = await manager.create(INPUT);
    clock.set(later(1));
    expect(await manager.disable(key.id)).toMatchObject({ status: "disabled", disabledAt: later(1) });
    clock.set(later(2));
    expect(await manager.disable(key.id)).toMatchObject({ status: "disabled", disabledAt: later(1) });
    expect((await verifier.verify(bearer(secret))).ok).toBe(false);
    expect(await manager.enable(key.id)).toMatchObject({ status: "active", disabledAt: null });
    expect(await manager.enable(key.id)).toMatchObject({ status: "active" });
    expect((await verifier.verify(bearer(secret))).ok).toBe(true);
    expect(await store.findById(key.id)).toMatchObject({ version: 3 });
  });

  it("revokes permanently, and keeps the first revocation", async () => {
    const { manager, verifier, clock, store } = service();
    const { key, secret } = await manager.create(INPUT);
    clock.set(later(1));
    const first = await manager.revoke(key.id, { reason: "leaked", actor: "ann" });
    expect(first).toMatchObject({ status: "revoked", revokedAt: later(1), revokedReason: "leaked" });
    clock.set(later(9));
    expect(await manager.revoke(key.id, { reason: "again" })).toMatchObject({
      revokedAt: later(1),
      revokedReason: "leaked",
    });
    for (const change of [
      () => manager.enable(key.id),
      () => manager.disable(key.id),
      () => manager.rotate(key.id),
      () => manager.update(key.id, { name: "x" }),
    ]) {
      expect(await thrownBy(change)).toBeInstanceOf(KeyStateError);
    }
    expect((await verifier.verify(bearer(secret))).ok).toBe(false);
    expect(await store.findById(key.id)).toMatchObject({ version: 2 });
    const trail = (await manager.auditTrail({ keyId: key.id })).items;
    expect(trail.map(({ action, details }) => [action, details])).toEqual([
      ["revoked", { reason: "leaked" }],
      ["created", { scopes: ["vehicles:read"] }],
    ]);
  });

  it("accepts a revocation without a reason, and rejects an invalid reason", async () => {
    const { manager } = service();
    const { key } = await manager.create(INPUT);
    expect(await thrownBy(() => manager.revoke(key.id, { reason: "a\nb" }))).toMatchObject({
      path: "reason",
    });
    expect(await thrownBy(() => manager.revoke(key.id, { reason: "a".repeat(256) }))).toMatchObject({
      path: "reason",
    });
    expect((await manager.get(key.id))?.status).toBe("active");
    expect(await manager.revoke(key.id)).toMatchObject({ revokedReason: null, status: "revoked" });
  });

  it("rejects unknown options by name, and changes nothing", async () => {
    const { manager } = service();
    const { key } = await manager.create(INPUT);
    for (const [path, change] of [
      ["resaon", () => manager.revoke(key.id, { resaon: "x" } as never)],
      ["reason", () => manager.disable(key.id, { reason: "x" } as never)],
      ["by", () => manager.enable(key.id, { by: "x" } as never)],
      ["overlab", () => manager.rotate(key.id, { overlab: "24h" } as never)],
      ["by", () => manager.update(key.id, { name: "x" }, { by: "ann" } as never)],
      ["update", () => manager.update(key.id, { name: "x" }, null as never)],
      ["disable", () => manager.disable(key.id, null as never)],
      ["revoke", () => manager.revoke(key.id, "leaked" as never)],
      ["rotate", () => manager.rotate(key.id, [] as never)],
    ] as const) {
      const error = await thrownBy(change);
      expect(error).toMatchObject({ name: "KeyInputError", path });
      expect(error).toBeInstanceOf(TypeError);
    }
    expect(await manager.get(key.id)).toEqual(key);
  });

  it("rejects an unknown id", async () => {
    const { manager } = service();
    for (const id of ["key_none", "", "__proto__", undefined as never, 7 as never, { $ne: "" } as never]) {
      expect(await manager.get(id)).toBeUndefined();
      for (const change of [
        () => manager.update(id, { name: "x" }),
        () => manager.disable(id),
        () => manager.enable(id),
        () => manager.revoke(id),
        () => manager.rotate(id),
      ]) {
        expect(await thrownBy(change)).toBeInstanceOf(KeyNotFoundError);
      }
    }
  });
});

it("explains which state forbids a change", async () => {
  const { manager, clock } = service();
  const create = async (more = {}) => (await manager.create({ ...INPUT, ...more })).key.id;
  const [revoked, expired, rotated] = [await create(), await create({ expiresAt: later(5) }), await create()];
  const disabled = await create({ expiresAt: later(5) });
  await manager.revoke(revoked);
  await manager.disable(disabled);
  await manager.rotate(rotated, { overlap: "1h" });
  clock.set(later(5));
  for (const [change, message] of [
    [() => manager.update(revoked, { name: "x" }), "A revoked key cannot be changed"],
    [() => manager.disable(revoked), "A revoked key cannot be disabled"],
    [() => manager.enable(revoked), "A revoked key cannot be enabled"],
    [() => manager.rotate(revoked), "A revoked key cannot be rotated"],
    [() => manager.rotate(expired), "An expired key cannot be rotated"],
    [() => manager.rotate(disabled), "An expired key cannot be rotated"],
    [() => manager.rotate(rotated), "The key is already rotated; rotate its successor"],
    [
      () => manager.update(rotated, { expiresAt: null }),
      "The expiry of a rotated key is the end of its overlap; change its successor",
    ],
  ] as const) {
    expect(await thrownBy(change)).toEqual(new KeyStateError(message));
  }
});

it("explains which input is invalid", async () => {
  const { manager } = service();
  const { key } = await manager.create(INPUT);
  for (const [change, message] of [
    [
      () => manager.update(key.id, { scopes: [] } as never),
      "scopes are fixed at creation; create a new key to use other scopes",
    ],
    [
      () => manager.rotate(key.id, { environment: "test" }),
      "environment is fixed at creation; create a new key to use another environment",
    ],
    [
      () => manager.list({ status: "gone" as never }),
      "status must be one of active, disabled, suspended, expired, revoked, retiring",
    ],
    [
      () => manager.disable(key.id, { check: 7 } as never),
      'disable: "check" must be a function; received a number',
    ],
    [
      () => manager.enable(key.id, { check: undefined } as never),
      'enable: "check" must be a function; received undefined',
    ],
  ] as const) {
    const error = await thrownBy(change);
    expect(error).toBeInstanceOf(TypeError);
    expect(error).toMatchObject({ message });
  }
  expect(await manager.rotate(key.id, { environment: "live" })).toMatchObject({
    key: { environment: "live" },
  });
});

it("is frozen, and exposes its scopes and environments", () => {
  const { manager } = service();
  expect(Object.isFrozen(manager)).toBe(true);
  expect(manager.scopes).toBe(scopes);
  expect(manager.environments).toEqual(["live", "test"]);
});
