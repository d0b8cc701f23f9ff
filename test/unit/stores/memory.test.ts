import { afterEach, describe, expect, test, vi } from "vitest";
import { createAuditEntry } from "../../../src/core/keys/audit-entry.js";
import { type AuditEntry, hashSecret, KeyConflictError, type KeyRecord } from "../../../src/index.js";
import { serviceOver } from "../../contract/stores/service.js";
import { added, entryOf, freshStore, NOON, newKey, type Store } from "./fixtures.js";

const INVALID = new Date(Number.NaN);

const contents = async (store: Store) => ({
  keys: (await store.list({ now: NOON, limit: 1_000 })).items,
  trail: (await store.auditTrail({ limit: 1_000 })).items,
});

describe("memoryStore", () => {
  test("names the duplicate member, id or hash, in the error", () => {
    const store = freshStore();
    const [key, other] = [added(store), added(store)];
    const next = newKey();
    const writes: [() => unknown, string][] = [
      [() => added(store, { ...next, id: key.id }), "id"],
      [() => added(store, { ...next, hash: key.hash }), "hash"],
      [() => store.replace(key.id, 1, {}, { ...next, id: other.id }, entryOf(key)), "id"],
      [() => store.replace(key.id, 1, {}, { ...next, hash: key.hash }, entryOf(key)), "hash"],
      [() => store.rehash(key.id, key.hash, other.hash, entryOf(key)), "hash"],
    ];
    for (const [write, member] of writes) {
      expect(write).toThrow(KeyConflictError);
      expect(write).toThrow(`A key of this ${member} exists`);
    }
  });

  test.each<[string, Partial<Record<keyof KeyRecord, unknown>>]>([
    ["an invalid createdAt", { createdAt: INVALID }],
    ["no createdAt", { createdAt: null }],
    ["an invalid updatedAt", { updatedAt: INVALID }],
    ["an invalid expiresAt", { expiresAt: INVALID }],
    ["an expiresAt that is a string", { expiresAt: "2030-01-01T00:00:00Z" }],
    ["an expiresAt that is a number", { expiresAt: 0 }],
    ["an invalid lastUsedAt", { lastUsedAt: INVALID }],
    ["an invalid disabledAt", { disabledAt: INVALID }],
    ["an invalid revokedAt", { revokedAt: INVALID }],
    ["an invalid rotatedAt", { rotatedAt: INVALID }],
    ["an allowlist that is not an array", { ipAllowlist: "192.0.2.0/24" }],
    ["an allowlist with a hole", { ipAllowlist: Object.assign(new Array(2), ["192.0.2.0/24"]) }],
    ["scopes that are not an array", { scopes: "vehicles:read" }],
    ["no scopes member", { scopes: null }],
    ["a scope that is not a string", { scopes: ["vehicles:read", 5] }],
    ["an id that is not a string", { id: 5 }],
    ["no hash", { hash: undefined }],
    ["no owner", { ownerId: null }],
    ["no start", { start: null }],
    ["an environment that is not a string", { environment: 5 }],
    ["a version that is not an integer", { version: "1" }],
    ["metadata that JSON cannot represent", { metadata: { count: 1n } }],
  ])("rejects a key with %s and changes nothing", async (_, members) => {
    const store = freshStore();
    const key = added(store, newKey({ expiresAt: NOON }));
    const before = await contents(store);
    const bad = { ...newKey(), ...members } as KeyRecord;
    const writes: (() => unknown)[] = [
      () => added(store, bad),
      () => store.replace(key.id, 1, { revokedAt: NOON }, bad, entryOf(key)),
    ];
    const changeable = [
      "updatedAt",
      "expiresAt",
      "disabledAt",
      "revokedAt",
      "rotatedAt",
      "ipAllowlist",
      "metadata",
    ];
    if (Object.keys(members).every((member) => changeable.includes(member))) {
      const change = { name: "changed", ...members } as Partial<KeyRecord>;
      writes.push(() => store.update(key.id, 1, change, entryOf(key)));
      writes.push(() => store.replace(key.id, 1, change, newKey(), entryOf(key)));
    }
    for (const write of writes) expect(write).toThrow(/./);
    expect(await contents(store)).toEqual(before);
    if (bad.hash !== undefined) expect(store.findByHash(bad.hash)).toBeUndefined();
  });

  test.each<[string, Partial<Record<keyof AuditEntry, unknown>>]>([
    ["an invalid at", { at: INVALID }],
    ["an id that is not a string", { id: 5 }],
    ["an actor that is not a string", { actor: 5 }],
    ["details that JSON cannot represent", { details: { count: 1n } }],
  ])("rejects an audit entry with %s and the change that it belongs to", async (_, members) => {
    const store = freshStore();
    const key = added(store);
    const before = await contents(store);
    const bad = { ...entryOf(key), ...members } as AuditEntry;
    for (const write of [
      () => store.insert(newKey(), bad),
      () => store.update(key.id, 1, { revokedAt: NOON }, bad),
      () => store.replace(key.id, 1, { revokedAt: NOON }, newKey(), bad),
      () => store.rehash(key.id, key.hash, hashSecret("other"), bad),
      () => store.remove(key.id, 1, bad),
      () => store.appendAudit([entryOf(key), bad]),
    ]) {
      expect(write).toThrow(/./);
    }
    expect(await contents(store)).toEqual(before);
  });

  test("rejects all uses if one date is invalid", async () => {
    const store = freshStore();
    const [one, other] = [added(store), added(store)];
    const before = await contents(store);
    const uses = new Map([
      [one.id, NOON],
      [other.id, INVALID],
    ]);
    expect(() => store.touch(uses)).toThrow(TypeError);
    expect(await contents(store)).toEqual(before);
  });

  test("stores a missing optional member as null", () => {
    const store = freshStore();
    const { name, expiresAt, ipAllowlist, rateLimit, ...rest } = newKey();
    const key = added(store, rest as KeyRecord);
    expect(store.findById(key.id)).toEqual({ ...rest, name, expiresAt, ipAllowlist, rateLimit });
  });

  test("ignores undefined and members that are fixed at creation in a change", () => {
    const store = freshStore();
    const key = added(store, newKey({ expiresAt: NOON, name: "before" }));
    const change = { id: "other", hash: hashSecret("other"), scopes: [], ownerId: "globex", version: 9 };
    const nothing = { expiresAt: undefined, name: undefined, ipAllowlist: undefined };
    expect(store.update(key.id, 1, { ...change, ...nothing } as object, entryOf(key))).toBe(true);
    expect(store.findById(key.id)).toEqual({ ...key, version: 2 });
  });

  test("returns frozen records from findByHash and mutable copies from other methods", () => {
    const store = freshStore();
    const full = newKey({
      ipAllowlist: ["192.0.2.1"],
      rateLimit: { limit: 1, windowSeconds: 1 },
      metadata: { a: [{}] },
    });
    added(store, full);
    for (let time = 0; time < 4; time++) {
      const found = store.findByHash(full.hash) as KeyRecord;
      for (const part of [found, found.scopes, found.ipAllowlist, found.rateLimit, found.metadata]) {
        expect(Object.isFrozen(part)).toBe(true);
      }
      const list = store.list({ now: NOON, limit: 1 }) as { items: KeyRecord[] };
      for (const copy of [store.findById(full.id) as KeyRecord, list.items[0] as KeyRecord]) {
        expect(copy).toEqual(full);
        for (const part of [copy, copy.scopes, copy.ipAllowlist, copy.rateLimit, copy.metadata]) {
          expect(Object.isFrozen(part)).toBe(false);
        }
        copy.createdAt.setTime(0);
        expect(copy.updatedAt).toEqual(NOON);
        (copy.metadata as { a: unknown[] }).a.push("more");
      }
    }
    expect(store.findById(full.id)).toEqual(full);
  });

  test("shares one array between keys with equal allowlists or scopes", () => {
    const store = freshStore();
    const keys = Array.from({ length: 3 }, () =>
      added(store, newKey({ ipAllowlist: ["192.0.2.0/24", "2001:db8::/32"] })),
    );
    const found = keys.map(({ hash }) => store.findByHash(hash) as KeyRecord);
    expect(new Set(found.map(({ ipAllowlist }) => ipAllowlist)).size).toBe(1);
    expect(new Set(found.map(({ scopes }) => scopes)).size).toBe(1);
  });

  test("denies a key in use from the moment its state changes", async () => {
    const store = freshStore();
    const { manager, verify } = serviceOver(store);
    const stops: ((id: string, secret: string) => unknown)[] = [
      (id) => manager.revoke(id),
      (id) => manager.disable(id),
      (id) => manager.rotate(id),
      (id) => manager.update(id, { ipAllowlist: ["198.51.100.1"] }),
      (id) => store.remove(id, 1, createAuditEntry("purged", { id, ownerId: "acme" }, NOON, null)),
      (id, secret) => {
        const audit = createAuditEntry("rehashed", { id, ownerId: "acme" }, NOON, null);
        return store.rehash(id, hashSecret(secret), hashSecret("another"), audit);
      },
    ];
    for (const stop of stops) {
      const { secret, key } = await manager.create({
        ownerId: "acme",
        environment: "live",
        scopes: ["vehicles:read"],
      });
      for (let time = 0; time < 4; time++) expect((await verify(secret)).ok).toBe(true);
      await stop(key.id, secret);
      for (let time = 0; time < 4; time++) expect((await verify(secret)).ok).toBe(false);
    }
  });

  test("keeps nothing of a removed key", () => {
    const store = freshStore();
    const full = newKey({
      version: 3,
      name: "first",
      ipAllowlist: [],
      rateLimit: { limit: 1, windowSeconds: 1 },
      metadata: {},
      updatedAt: new Date(0),
      expiresAt: NOON,
      lastUsedAt: NOON,
      disabledAt: NOON,
      revokedAt: NOON,
      revokedReason: "leaked",
      rotatedAt: NOON,
      replacedBy: "next",
      replaces: "last",
    });
    added(store, full);
    store.findByHash(full.hash);
    store.remove(full.id, 3, entryOf(full));
    const plain = added(store);
    expect(store.findByHash(plain.hash)).toEqual(plain);
    expect(store.findById(plain.id)).toEqual(plain);
    expect(store.findByHash(full.hash)).toBeUndefined();
    expect(store.findById(full.id)).toBeUndefined();
  });
});

describe("KEYBEARER_MEMORY_STORE", () => {
  afterEach(() => vi.unstubAllEnvs());

  test.each([
    ["production", 1],
    ["development", 0],
    ["test", 0],
  ])("with NODE_ENV=%s, two stores emit %i warnings", async (environment, warnings) => {
    vi.stubEnv("NODE_ENV", environment);
    vi.resetModules();
    const emit = vi.spyOn(process, "emitWarning").mockImplementation(() => {});
    try {
      const { memoryStore: fresh } = await import("../../../src/stores/memory.js");
      fresh();
      fresh();
      const codes = emit.mock.calls.map(([, options]) => (options as unknown as { code: string }).code);
      expect(codes).toEqual(Array.from({ length: warnings }, () => "KEYBEARER_MEMORY_STORE"));
    } finally {
      emit.mockRestore();
    }
  });
});
