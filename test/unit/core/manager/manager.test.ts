import { inspect } from "node:util";
import { describe, expect, test } from "vitest";
import {
  createKeyManager,
  createVerifier,
  hashSecret,
  KeyConflictError,
  KeyInputError,
  type KeyManagerOptions,
  KeyNotFoundError,
  type KeyRecord,
  KeyStateError,
  keyFormat,
  type ManagedKeyStore,
  StoreError,
} from "../../../../src/index.js";
import { memoryStore } from "../../../../src/stores/memory.js";
import {
  bearer,
  type FleetScope,
  format,
  refused,
  START,
  scopes,
  service,
  stoppedClock,
  thrownBy,
} from "../fixtures.js";

const INPUT = { ownerId: "acme", scopes: ["vehicles:read"], environment: "live" } as const;
const later = (ms: number) => new Date(START.getTime() + ms);

function managing(more: Partial<KeyManagerOptions<FleetScope>> = {}) {
  const store = more.store ?? memoryStore();
  const clock = stoppedClock();
  return { store, clock, manager: createKeyManager({ store, scopes, format, clock: clock.now, ...more }) };
}

describe("create", () => {
  test("a key, its secret, and a record under the hash", async () => {
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
      revokedAt: null,
      revokedReason: null,
      rotatedAt: null,
      replacedBy: null,
      replaces: null,
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

  test("the only environment of a format may be left out; a format without any has none", async () => {
    const { ownerId, scopes: granted } = INPUT;
    const input = { ownerId, scopes: granted };
    const one = managing({ format: keyFormat({ prefix: "ezt", environments: ["live"] }) });
    expect((await one.manager.create(input)).key.environment).toBe("live");
    const none = managing({ format: keyFormat({ prefix: "ezt" }) });
    expect((await none.manager.create(input)).key.environment).toBeNull();
    const two = await thrownBy(() => managing().manager.create(input));
    expect(two).toMatchObject({ path: "environment", problem: "must be one of live, test" });
  });

  test.each<[string, object, string]>([
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
  ])("%s is a KeyInputError with its path, and nothing is stored", async (_, more, path) => {
    const { manager, events } = service();
    const error = await thrownBy(() => manager.create({ ...INPUT, ...more } as never));
    expect(error).toBeInstanceOf(KeyInputError);
    expect(error).toMatchObject({ path, code: "KEYBEARER_INVALID_INPUT" });
    expect((await manager.list()).items).toEqual([]);
    expect((await manager.auditTrail()).items).toEqual([]);
    expect(events).toEqual([]);
  });

  test("an actor that is none, and unknown members", async () => {
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

  test("the actor is a text, or a member of options as everywhere else", async () => {
    const { manager } = service();
    for (const by of ["ann", { actor: "ann" }, undefined, {}, { actor: undefined }]) {
      const { key } = await manager.create(INPUT, by);
      const [entry] = (await manager.auditTrail({ keyId: key.id })).items;
      expect(entry?.actor).toBe(by === "ann" || (typeof by === "object" && by.actor) ? "ann" : null);
    }
  });

  test("a format without environments: the host's own name for one is kept, and counts", async () => {
    const bare = keyFormat({ prefix: "ezt" });
    const { manager, store, clock } = managing({ format: bare });
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
    expect(refused(await verifying("test")).code).toBe("invalid_key");
    const next = await manager.rotate(key.id);
    expect(next.key.environment).toBe("live");
    expect(bare.parse(next.secret)).toBeDefined();
  });

  test("maxLifetime bounds an expiry, and is the expiry of a key without one", async () => {
    const { manager } = managing({ maxLifetime: "90d" });
    const most = later(90 * 864e5);
    expect((await manager.create(INPUT)).key.expiresAt).toEqual(most);
    expect((await manager.create({ ...INPUT, expiresAt: null })).key.expiresAt).toEqual(most);
    expect((await manager.create({ ...INPUT, expiresAt: most })).key.expiresAt).toEqual(most);
    const error = await thrownBy(() => manager.create({ ...INPUT, expiresAt: new Date(most.getTime() + 1) }));
    expect(error).toMatchObject({ path: "expiresAt", problem: "must be within 90d of creation" });
  });
});

describe("update", () => {
  test("changes what it names and leaves the rest", async () => {
    const { manager, clock } = service();
    const { key } = await manager.create({
      ...INPUT,
      name: "a",
      metadata: { a: 1 },
      ipAllowlist: ["10.0.0.1"],
    });
    clock.set(later(5));
    const updated = await manager.update(key.id, { name: "b", metadata: null }, { actor: "bob" });
    expect(updated).toEqual({ ...key, name: "b", metadata: null, updatedAt: later(5) });
    expect(await manager.get(key.id)).toEqual(updated);
    const [entry] = (await manager.auditTrail()).items;
    expect(entry).toMatchObject({
      action: "updated",
      actor: "bob",
      details: { members: ["name", "metadata"] },
    });
  });

  test("an allowlist counts from the next request on", async () => {
    const { manager, verifier } = service();
    const { key, secret } = await manager.create(INPUT);
    const from = bearer(secret, { remoteAddress: "203.0.113.7" });
    expect((await verifier.verify(from)).ok).toBe(true);
    await manager.update(key.id, { ipAllowlist: ["10.0.0.0/8"] });
    expect(refused(await verifier.verify(from)).code).toBe("ip_not_allowed");
    await manager.update(key.id, { ipAllowlist: null });
    expect((await verifier.verify(from)).ok).toBe(true);
  });

  test("nothing to change is no change", async () => {
    const { manager, store } = service();
    const { key } = await manager.create(INPUT);
    expect(await manager.update(key.id, {})).toEqual(key);
    expect(await store.findById(key.id)).toMatchObject({ version: 1 });
  });

  test("scopes are a KeyInputError that says why, also when they are undefined", async () => {
    const { manager } = service();
    const { key } = await manager.create(INPUT);
    for (const change of [{ scopes: ["fleet:admin"] }, { scopes: undefined }, { name: "x", scopes: [] }]) {
      const error = await thrownBy(() => manager.update(key.id, change as never));
      expect(error).toBeInstanceOf(KeyInputError);
      expect(error).toMatchObject({
        path: "scopes",
        message: expect.stringMatching(/^scopes of a key are fixed at creation/),
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

  test("what cannot be is a KeyInputError", async () => {
    const { manager } = managing({ maxLifetime: "1d" });
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

  test("the longest life counts from creation, and no expiry means the longest", async () => {
    const { manager, clock } = managing({ maxLifetime: "90d" });
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

  test("a key that is older than the longest life does not get a new one", async () => {
    const store = memoryStore();
    const clock = stoppedClock();
    const free = createKeyManager({ store, scopes, format, clock: clock.now });
    const { key } = await free.create(INPUT);
    const { manager } = managing({ store, clock: clock.now, maxLifetime: "90d" });
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

  test("neither a revoked key nor the end of an overlap can be changed", async () => {
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

describe("states", () => {
  test("disable and enable, again and again", async () => {
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

  test("a revocation is for good, and the first one counts", async () => {
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

  test("a revocation without a reason, and one with a reason that cannot be", async () => {
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

  test("misspelt options are KeyInputErrors that name them, and change nothing", async () => {
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

  test("an id that nobody has", async () => {
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

test("what a state does not allow is refused in so many words", async () => {
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
    [() => manager.rotate(revoked), "A key that is revoked cannot be rotated"],
    [() => manager.rotate(expired), "A key that is expired cannot be rotated"],
    [() => manager.rotate(disabled), "A key that is expired cannot be rotated"],
    [() => manager.rotate(rotated), "The key is already rotated; rotate its successor"],
    [
      () => manager.update(rotated, { expiresAt: null }),
      "The expiry of a rotated key is the end of its overlap; change its successor",
    ],
  ] as const) {
    expect(await thrownBy(change)).toEqual(new KeyStateError(message));
  }
});

test("what cannot be changed or asked for is refused in so many words", async () => {
  const { manager } = service();
  const { key } = await manager.create(INPUT);
  for (const [change, message] of [
    [
      () => manager.update(key.id, { scopes: [] } as never),
      "scopes of a key are fixed at creation; create a new key with other scopes",
    ],
    [
      () => manager.rotate(key.id, { environment: "test" }),
      "environment of a key is fixed at creation; create a new key for another",
    ],
    [
      () => manager.list({ status: "gone" as never }),
      "status must be one of active, disabled, expired, revoked, retiring",
    ],
    [
      () => manager.disable(key.id, { check: 7 } as never),
      'disable: "check" must be a function, got a value of type number',
    ],
    [
      () => manager.enable(key.id, { check: undefined } as never),
      'enable: "check" must be a function, got undefined',
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

test("a manager is frozen, and says what it works with", () => {
  const { manager } = service();
  expect(Object.isFrozen(manager)).toBe(true);
  expect(manager.scopes).toBe(scopes);
  expect(manager.environments).toEqual(["live", "test"]);
});

describe("lists", () => {
  test("newest first, page by page, each key once, whatever is added meanwhile", async () => {
    const { manager, clock } = service();
    const ids: string[] = [];
    for (let i = 0; i < 25; i++) {
      clock.set(later(Math.floor(i / 3)));
      ids.unshift((await manager.create(INPUT)).key.id);
    }
    const seen: string[] = [];
    let cursor: string | undefined;
    do {
      const page = await manager.list({ limit: 4, ...(cursor !== undefined && { cursor }) });
      seen.push(...page.items.map(({ id }) => id));
      cursor = page.nextCursor;
      clock.set(later(1000));
      await manager.create(INPUT);
    } while (cursor !== undefined);
    expect(seen).toHaveLength(25);
    expect([...seen].sort()).toEqual([...ids].sort());
    const times = await Promise.all(
      seen.map(async (id) => (await manager.get(id))?.createdAt?.getTime() ?? 0),
    );
    expect(times).toEqual([...times].sort((a, b) => b - a));
  });

  test("by owner, environment and status", async () => {
    const { manager, clock } = service();
    const acme = await manager.create(INPUT);
    const test_ = await manager.create({ ...INPUT, environment: "test" });
    const other = await manager.create({ ...INPUT, ownerId: "other", expiresAt: later(10) });
    await manager.disable(test_.key.id);
    await manager.rotate(acme.key.id, { overlap: "1h" });
    clock.set(later(10));
    const ids = async (query: object) => (await manager.list(query)).items.map(({ id }) => id);
    expect(await ids({ ownerId: "other" })).toEqual([other.key.id]);
    expect(await ids({ environment: "test" })).toEqual([test_.key.id]);
    expect(await ids({ status: "disabled" })).toEqual([test_.key.id]);
    expect(await ids({ status: "expired" })).toEqual([other.key.id]);
    expect(await ids({ status: "retiring" })).toEqual([acme.key.id]);
    expect(await ids({ status: "revoked" })).toEqual([]);
    expect(await ids({ ownerId: "acme", status: "active" })).toHaveLength(1);
    expect(JSON.stringify(await manager.list())).not.toContain('"hash"');
  });

  test.each<[object, string]>([
    [{ limit: 0 }, "limit"],
    [{ limit: 1001 }, "limit"],
    [{ limit: 1.5 }, "limit"],
    [{ limit: "10" }, "limit"],
    [{ limit: null }, "limit"],
    [{ cursor: "junk" }, "cursor"],
    [{ cursor: "" }, "cursor"],
    [{ ownerId: undefined }, "ownerId"],
    [{ ownerId: { $ne: "" } }, "ownerId"],
  ])("%j is a KeyInputError", async (query, path) => {
    const { manager } = service();
    await manager.create(INPUT);
    expect(await thrownBy(() => manager.list(query))).toMatchObject({ name: "KeyInputError", path });
    expect(await thrownBy(() => manager.auditTrail(query))).toMatchObject({ name: "KeyInputError", path });
  });

  test("an unknown status, and unknown filters", async () => {
    const { manager } = service();
    expect(await thrownBy(() => manager.list({ status: "gone" as never }))).toMatchObject({ path: "status" });
    for (const query of [{ owner: "acme" }, { owner: undefined }]) {
      for (const list of [() => manager.list(query as never), () => manager.auditTrail(query as never)]) {
        expect(await thrownBy(list)).toMatchObject({ name: "KeyInputError", path: "owner" });
      }
    }
    for (const query of [null, [], "acme"]) {
      expect(await thrownBy(() => manager.list(query as never))).toMatchObject({ path: "list" });
      expect(await thrownBy(() => manager.auditTrail(query as never))).toMatchObject({ path: "auditTrail" });
    }
  });

  test("the audit entries of a key, and of an owner", async () => {
    const { manager } = service();
    const [a, b] = [await manager.create(INPUT), await manager.create({ ...INPUT, ownerId: "globex" })];
    const idsOf = async (query: object) =>
      (await manager.auditTrail(query)).items.map(({ keyId }) => keyId).sort();
    expect(await idsOf({})).toEqual([a.key.id, b.key.id].sort());
    expect(await idsOf({ ownerId: "globex" })).toEqual([b.key.id]);
    expect(await idsOf({ keyId: a.key.id })).toEqual([a.key.id]);
    expect(await idsOf({ keyId: a.key.id, ownerId: "globex" })).toEqual([]);
  });

  test("the audit entries of one millisecond come newest first, page by page too", async () => {
    const { manager } = service();
    const { key } = await manager.create(INPUT);
    const wanted = ["created"];
    for (let i = 0; i < 20; i++) {
      await manager.disable(key.id);
      await manager.enable(key.id);
      wanted.unshift("enabled", "disabled");
    }
    const actions = (items: readonly { action: string }[]) => items.map(({ action }) => action);
    expect(actions((await manager.auditTrail({ keyId: key.id })).items)).toEqual(wanted);
    const seen: string[] = [];
    let cursor: string | undefined;
    do {
      const page = await manager.auditTrail({ limit: 3, ...(cursor !== undefined && { cursor }) });
      seen.push(...actions(page.items));
      cursor = page.nextCursor;
    } while (cursor !== undefined);
    expect(seen).toEqual(wanted);
  });
});

describe("conflicts", () => {
  /** A store whose first compare-and-sets lose. */
  function contended(losses: number): { store: ManagedKeyStore; tries: () => number } {
    const store = memoryStore();
    let tries = 0;
    return {
      tries: () => tries,
      store: {
        ...store,
        update: (...args) => (tries++ < losses ? false : store.update(...args)),
        replace: (...args) => (tries++ < losses ? false : store.replace(...args)),
      },
    };
  }

  test("a lost compare-and-set is tried again on what is there by then", async () => {
    const { store, tries } = contended(3);
    const { manager } = managing({ store });
    const { key } = await manager.create(INPUT);
    expect((await manager.update(key.id, { name: "x" })).name).toBe("x");
    expect(tries()).toBe(4);
  });

  test("losing every time is a KeyConflictError, and nothing is written or told", async () => {
    const events: unknown[] = [];
    const { store } = contended(Number.POSITIVE_INFINITY);
    const { manager } = managing({ store, observers: [(event) => events.push(event)] });
    const { key } = await manager.create(INPUT);
    expect(await thrownBy(() => manager.disable(key.id))).toEqual(
      new KeyConflictError("The key was changed by others each time; read it and try again"),
    );
    expect(await thrownBy(() => manager.rotate(key.id))).toBeInstanceOf(KeyConflictError);
    expect(await manager.get(key.id)).toEqual(key);
    expect(events).toHaveLength(1);
    expect((await manager.auditTrail()).items).toHaveLength(1);
  });

  test("concurrent changes of one key all arrive, and none is lost", async () => {
    const memory = memoryStore();
    const slow: ManagedKeyStore = {
      ...memory,
      findById: async (id) => {
        const record = memory.findById(id);
        await null;
        return record;
      },
    };
    const { manager } = managing({ store: slow });
    const { key } = await manager.create(INPUT);
    await Promise.all([
      manager.update(key.id, { name: "n" }),
      manager.update(key.id, { metadata: { a: 1 } }),
      manager.disable(key.id),
      manager.update(key.id, { ipAllowlist: [] }),
      manager.revoke(key.id, { reason: "r" }).catch(() => {}),
    ]).catch(() => {});
    const after = await manager.get(key.id);
    expect(after?.status).toBe("revoked");
    const { items } = await manager.auditTrail({ keyId: key.id });
    expect(((await memory.findById(key.id)) as KeyRecord).version).toBe(items.length);
  });
});

describe("a broken store", () => {
  const METHODS = ["findById", "insert", "update", "replace", "list", "auditTrail"] as const;

  test.each(METHODS.flatMap((method) => [[method, "throws"] as const, [method, "rejects"] as const]))(
    "%s %s: a StoreError without the driver's text",
    async (method, how) => {
      const store = memoryStore();
      let broken = false;
      const driver = () => {
        const error = Object.assign(new Error("insert into keys values ('hunter2')"), { code: "23505" });
        if (how === "throws") throw error;
        return Promise.reject(error);
      };
      const own = {
        ...store,
        [method]: (...args: never[]) =>
          broken ? driver() : (store[method] as never as (...a: never[]) => unknown)(...args),
      };
      const { manager } = managing({ store: own as never });
      const { key } = await manager.create(INPUT);
      broken = true;
      const use = {
        findById: () => manager.get(key.id),
        insert: () => manager.create(INPUT),
        update: () => manager.disable(key.id),
        replace: () => manager.rotate(key.id),
        list: () => manager.list(),
        auditTrail: () => manager.auditTrail(),
      }[method];
      const error = await thrownBy(use);
      expect(error).toBeInstanceOf(StoreError);
      expect((error as StoreError).message).toBe("The key store failed (Error 23505)");
      expect(`${(error as StoreError).stack}${JSON.stringify(error)}`).not.toContain("hunter2");
    },
  );
});

describe("a store that answers nonsense", () => {
  test.each<[string, object, string]>([
    ["another id", { id: "key_other" }, "The key store answered the record of another id"],
    ...[{ version: "1" }, { version: 1.5 }, { createdAt: "2030-01-01" }, { scopes: null }].map(
      (more): [string, object, string] => [
        JSON.stringify(more),
        more,
        "The key store answered something that is not a key record",
      ],
    ),
  ])("a record with %s is a StoreError, and no change", async (_, more, message) => {
    const memory = memoryStore();
    const findById = (id: string) => {
      const record = memory.findById(id) as KeyRecord | undefined;
      return record && ({ ...record, ...more } as never);
    };
    const { manager } = managing({ store: { ...memory, findById } });
    const { key } = await manager.create(INPUT);
    expect(await thrownBy(() => manager.disable(key.id))).toEqual(new StoreError(message));
    expect(((await memory.findById(key.id)) as KeyRecord).version).toBe(1);
  });

  test.each<[string, object, string]>([
    ["version", { version: "1" }, ': "key_1"'],
    ["creation", { createdAt: null }, ': "key_1"'],
    ["id that forges a line", { id: "key_1\n2", scopes: null }, ': "key_1\\n2"'],
    ["id that is no text", { id: 7 }, ""],
  ])(
    "a list with a record of no %s is a StoreError that names it, so that it can be found",
    async (_, more, id) => {
      const sound = {
        id: "key_1",
        hash: hashSecret("x"),
        version: 1,
        ownerId: "acme",
        scopes: [],
        createdAt: START,
      };
      const list = () =>
        ({
          items: [
            { ...sound, id: "key_0" },
            { ...sound, ...more },
          ],
        }) as never;
      const { manager } = managing({ store: { ...memoryStore(), list } });
      const message = `The key store answered something that is not a key record${id}`;
      expect(await thrownBy(() => manager.list())).toEqual(new StoreError(message));
    },
  );

  test.each([null, undefined, "key_1", 7, { ownerId: "globex" }])(
    "a page with %j among what was asked for is a StoreError",
    async (item) => {
      const answer = () => ({ items: [item] }) as never;
      const { manager } = managing({ store: { ...memoryStore(), list: answer, auditTrail: answer } });
      const owned = [
        () => manager.list({ ownerId: "acme" }),
        () => manager.list({ environment: "live" }),
        () => manager.auditTrail({ ownerId: "acme" }),
        () => manager.auditTrail({ keyId: "key_1" }),
      ];
      const all = typeof item === "object" && item !== null ? [] : [() => manager.auditTrail()];
      for (const ask of [...owned, ...all]) {
        expect(await thrownBy(ask)).toEqual(
          new StoreError("The key store answered items that were not asked for"),
        );
      }
    },
  );

  test("no record is a KeyNotFoundError, spelt either way", async () => {
    for (const none of [null, undefined]) {
      const { manager } = managing({ store: { ...memoryStore(), findById: () => none as undefined } });
      expect(await thrownBy(() => manager.disable("key_1"))).toEqual(new KeyNotFoundError());
    }
  });

  test.each<[string, unknown]>([
    ["nothing", undefined],
    ["null", null],
    ["a list", []],
    ["no items", { items: null }],
    ["a cursor that is a number", { items: [], nextCursor: 7 }],
    ["the cursor it was asked with", { items: [], nextCursor: "here" }],
  ])("a page of %s is a StoreError", async (_, page) => {
    const answer = () => page as never;
    const { manager } = managing({ store: { ...memoryStore(), list: answer, auditTrail: answer } });
    for (const ask of [
      () => manager.list({ cursor: "here" }),
      () => manager.auditTrail({ cursor: "here" }),
    ]) {
      expect(await thrownBy(ask)).toEqual(
        new StoreError("The key store answered something that is not a page, or the same page again"),
      );
    }
  });

  test("the end of a list is spelt either way", async () => {
    for (const page of [
      { items: [] },
      { items: [], nextCursor: null },
      { items: [], nextCursor: undefined },
    ]) {
      const { manager } = managing({ store: { ...memoryStore(), auditTrail: () => page as never } });
      expect(Object.keys(await manager.auditTrail())).toEqual(["items"]);
    }
  });
});

describe("a store that does not say whether it wrote", () => {
  test.each<[string, unknown]>([
    ["a driver's result that changed nothing", { rowCount: 0, rows: [] }],
    ["a driver's result", { affectedRows: 1 }],
    ["a list of rows", []],
    ["the number of rows", 1],
    ["no rows", 0],
    ["nothing", undefined],
    ["null", null],
    ["a text", "true"],
  ])("%s is a StoreError, and nobody is told of a change", async (_, answer) => {
    for (const result of [answer, Promise.resolve(answer)]) {
      const memory = memoryStore();
      const events: unknown[] = [];
      const store = { ...memory, update: () => result, replace: () => result } as never as ManagedKeyStore;
      const { manager } = managing({ store, observers: [(event) => events.push(event)] });
      const { key } = await manager.create(INPUT);
      events.length = 0;
      for (const change of [
        () => manager.update(key.id, { name: "x" }),
        () => manager.disable(key.id),
        () => manager.revoke(key.id, { reason: "leaked" }),
        () => manager.rotate(key.id, { overlap: "1h" }),
      ]) {
        const error = await thrownBy(change);
        expect(error).toEqual(
          new StoreError(
            "The key store did not say whether it wrote; update(), replace() and remove() answer true or false",
          ),
        );
      }
      expect(events).toEqual([]);
      expect(await manager.get(key.id)).toEqual(key);
    }
  });
});

describe("mistakes are TypeErrors that name the option", () => {
  const good = { store: memoryStore(), scopes, format };
  const { replace: _, ...half } = good.store;

  test.each<[string, unknown, RegExp]>([
    ["no options", undefined, /options object/],
    ["an unknown option", { ...good, peper: "x" }, /"peper"/],
    ["a store that cannot replace", { ...good, store: half }, /"store" must have a method replace/],
    ["no scopes", { store: good.store, format }, /"scopes"/],
    ["a format that cannot generate", { ...good, format: { parse: () => ({}) } }, /"format".*generate/],
    ["several formats", { ...good, format: [format] }, /"format"/],
    ...[0, -1, Number.NaN, 2 ** 31, "250", null].map((storeTimeout): [string, unknown, RegExp] => [
      `a time limit of ${storeTimeout}`,
      { ...good, storeTimeout },
      /^createKeyManager: "storeTimeout" must be a number of milliseconds above 0$/,
    ]),
    ["a longest life without a unit", { ...good, maxLifetime: 90 }, /"maxLifetime"/],
    ["a longest life that is longer than a century", { ...good, maxLifetime: "36501d" }, /"maxLifetime"/],
    ["a longest life of nothing", { ...good, maxLifetime: "0s" }, /^createKeyManager: "maxLifetime".*not 0$/],
    ["a longest life of null", { ...good, maxLifetime: null }, /"maxLifetime"/],
    ["a clock that is a date", { ...good, clock: new Date() }, /"clock"/],
    ["an empty pepper", { ...good, pepper: "" }, /pepper/],
    ["a pepper that is undefined", { ...good, pepper: undefined }, /"pepper" is undefined/],
    ["a pepper of null", { ...good, pepper: null }, /pepper.*null/],
    ["a pepper that is a number", { ...good, pepper: 7 }, /pepper.*number/],
  ])("%s", (_, options, message) => {
    const make = () => createKeyManager(options as never);
    expect(make).toThrow(TypeError);
    expect(make).toThrow(message);
  });

  test.each(
    [
      ["findByHash", "findById", "list", "insert", "update", "replace", "touch", "auditTrail"].map((name) => [
        "store",
        name,
      ]),
      ["isGrantable", "get"].map((name) => ["scopes", name]),
      ["parse", "generate"].map((name) => ["format", name]),
    ].flat() as [keyof typeof good, string][],
  )("%s without %s", (option, method) => {
    const make = () =>
      createKeyManager({ ...good, [option]: { ...good[option], [method]: undefined } } as never);
    expect(make).toThrow(new TypeError(`createKeyManager: "${option}" must have a method ${method}()`));
  });

  test.each(["pepper", "legacyHashes", "maxLifetime"])("%s that is undefined", (name) => {
    expect(() => createKeyManager({ ...good, [name]: undefined } as never)).toThrow(
      new TypeError(
        `createKeyManager: "${name}" is undefined; leave it out if it is not meant to be in force`,
      ),
    );
  });

  test("without a clock it is the time of the machine", async () => {
    const before = Date.now();
    const { key } = await createKeyManager({ store: memoryStore(), scopes, format }).create(INPUT);
    expect(key.createdAt?.getTime()).toBeGreaterThanOrEqual(before);
    expect(key.createdAt?.getTime()).toBeLessThanOrEqual(Date.now());
  });

  test("a format that does not know its own secrets issues nothing", async () => {
    const { manager, store } = managing({ format: { ...format, parse: () => undefined } });
    expect(await thrownBy(() => manager.create(INPUT))).toEqual(
      new TypeError('createKeyManager: "format" does not recognise what it generates'),
    );
    expect(await store.list({ limit: 1, now: START })).toEqual({ items: [] });
  });

  test("a clock that answers no date issues nothing", async () => {
    const store = memoryStore();
    for (const clock of [() => new Date(Number.NaN), () => START.getTime() as never]) {
      const { manager } = managing({ store, clock });
      expect(await thrownBy(() => manager.create(INPUT))).toEqual(
        new TypeError('createKeyManager: "clock" answered no date'),
      );
    }
    expect((await store.list({ now: START, limit: 10 })).items).toEqual([]);
  });

  test("printing a manager or a verifier shows nothing of its pepper", () => {
    const pepper = "a pepper that nobody may see";
    const { manager, verifier } = service({ pepper });
    expect(inspect([manager, verifier], { depth: 9, showHidden: true })).not.toContain(pepper);
  });
});
