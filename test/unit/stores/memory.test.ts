import { execFile } from "node:child_process";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { afterEach, describe, expect, test, vi } from "vitest";
import { createAuditEntry } from "../../../src/core/keys/audit-entry.js";
import { type AuditEntry, hashSecret, KeyConflictError, type KeyRecord } from "../../../src/index.js";
import { memoryStore } from "../../../src/stores/memory.js";
import { serviceOver } from "../../contract/stores/service.js";

const NOON = new Date("2030-06-15T12:00:00.123Z");
const INVALID = new Date(Number.NaN);

setFlagsFromString("--expose-gc");
const collectGarbage = runInNewContext("gc") as () => void;

type Store = Required<ReturnType<typeof memoryStore>>;
const freshStore = () => memoryStore() as Store;

let count = 0;

function newKey(members: Partial<KeyRecord> = {}): KeyRecord {
  count += 1;
  return {
    id: `key_${count.toString(16).padStart(32, "0")}`,
    hash: hashSecret(`secret ${count}`),
    version: 1,
    ownerId: "acme",
    environment: "live",
    start: "ezt_live_ab12",
    name: null,
    scopes: ["vehicles:read", "vehicles:write"],
    ipAllowlist: null,
    rateLimit: null,
    metadata: null,
    createdAt: NOON,
    updatedAt: NOON,
    expiresAt: null,
    lastUsedAt: null,
    disabledAt: null,
    revokedAt: null,
    revokedReason: null,
    rotatedAt: null,
    replacedBy: null,
    replaces: null,
    ...members,
  };
}

const entryOf = (key: KeyRecord, at: Date = NOON): AuditEntry => createAuditEntry("created", key, at, null);

function added(store: Store, key: KeyRecord = newKey()): KeyRecord {
  store.insert(key, entryOf(key));
  return key;
}

const everything = async (store: Store) => ({
  keys: (await store.list({ now: NOON, limit: 1_000 })).items,
  trail: (await store.auditTrail({ limit: 1_000 })).items,
});

describe("memoryStore", () => {
  test("says which of id and hash is taken", () => {
    const store = freshStore();
    const [key, other] = [added(store), added(store)];
    const next = newKey();
    const refused: [() => unknown, string][] = [
      [() => added(store, { ...next, id: key.id }), "id"],
      [() => added(store, { ...next, hash: key.hash }), "hash"],
      [() => store.replace(key.id, 1, {}, { ...next, id: other.id }, entryOf(key)), "id"],
      [() => store.replace(key.id, 1, {}, { ...next, hash: key.hash }, entryOf(key)), "hash"],
      [() => store.rehash(key.id, key.hash, other.hash, entryOf(key)), "hash"],
    ];
    for (const [write, member] of refused) {
      expect(write).toThrow(KeyConflictError);
      expect(write).toThrow(`A key of this ${member} exists`);
    }
  });

  test.each<[string, Partial<Record<keyof KeyRecord, unknown>>]>([
    ["an invalid creation", { createdAt: INVALID }],
    ["no creation", { createdAt: null }],
    ["an invalid change", { updatedAt: INVALID }],
    ["an invalid expiry", { expiresAt: INVALID }],
    ["an expiry that is a text", { expiresAt: "2030-01-01T00:00:00Z" }],
    ["an expiry that is a number", { expiresAt: 0 }],
    ["an invalid last use", { lastUsedAt: INVALID }],
    ["an invalid disablement", { disabledAt: INVALID }],
    ["an invalid revocation", { revokedAt: INVALID }],
    ["an invalid rotation", { rotatedAt: INVALID }],
    ["an allowlist that is none", { ipAllowlist: "192.0.2.0/24" }],
    ["an allowlist with a hole", { ipAllowlist: Object.assign(new Array(2), ["192.0.2.0/24"]) }],
    ["scopes that are none", { scopes: "vehicles:read" }],
    ["no scopes", { scopes: null }],
    ["a scope that is no text", { scopes: ["vehicles:read", 5] }],
    ["an id that is no text", { id: 5 }],
    ["a hash that is no text", { hash: undefined }],
    ["an owner that is no text", { ownerId: null }],
    ["a start that is no text", { start: null }],
    ["an environment that is no text", { environment: 5 }],
    ["a version that is none", { version: "1" }],
    ["metadata that cannot be copied", { metadata: { call: () => {} } }],
  ])("refuses %s, and keeps nothing of the change", async (_, members) => {
    const store = freshStore();
    const key = added(store, newKey({ expiresAt: NOON }));
    const before = await everything(store);
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
    expect(await everything(store)).toEqual(before);
    if (bad.hash !== undefined) expect(store.findByHash(bad.hash)).toBeUndefined();
  });

  test.each<[string, Partial<Record<keyof AuditEntry, unknown>>]>([
    ["an invalid moment", { at: INVALID }],
    ["an id that is no text", { id: 5 }],
    ["an actor that is no text", { actor: 5 }],
    ["details that cannot be copied", { details: { call: () => {} } }],
  ])("refuses an entry with %s, and the change that it comes with", async (_, members) => {
    const store = freshStore();
    const key = added(store);
    const before = await everything(store);
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
    expect(await everything(store)).toEqual(before);
  });

  test("refuses an invalid use before any other is written", async () => {
    const store = freshStore();
    const [one, other] = [added(store), added(store)];
    const before = await everything(store);
    const uses = new Map([
      [one.id, NOON],
      [other.id, INVALID],
    ]);
    expect(() => store.touch(uses)).toThrow(TypeError);
    expect(await everything(store)).toEqual(before);
  });

  test("takes a member that is not there for none", () => {
    const store = freshStore();
    const { name, expiresAt, ipAllowlist, rateLimit, ...rest } = newKey();
    const key = added(store, rest as KeyRecord);
    expect(store.findById(key.id)).toEqual({ ...rest, name, expiresAt, ipAllowlist, rateLimit });
  });

  test("a change of a member that may not change, or to undefined, changes nothing else than the version", () => {
    const store = freshStore();
    const key = added(store, newKey({ expiresAt: NOON, name: "before" }));
    const change = { id: "other", hash: hashSecret("other"), scopes: [], ownerId: "globex", version: 9 };
    const nothing = { expiresAt: undefined, name: undefined, ipAllowlist: undefined };
    expect(store.update(key.id, 1, { ...change, ...nothing } as object, entryOf(key))).toBe(true);
    expect(store.findById(key.id)).toEqual({ ...key, version: 2 });
  });

  test("answers lookups frozen, and everything else as copies that can be changed", () => {
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

  test("equal lists are one list, so that an allowlist is compiled once for all of its keys", () => {
    const store = freshStore();
    const keys = Array.from({ length: 3 }, () =>
      added(store, newKey({ ipAllowlist: ["192.0.2.0/24", "2001:db8::/32"] })),
    );
    const found = keys.map(({ hash }) => store.findByHash(hash) as KeyRecord);
    expect(new Set(found.map(({ ipAllowlist }) => ipAllowlist)).size).toBe(1);
    expect(new Set(found.map(({ scopes }) => scopes)).size).toBe(1);
  });

  test("a key that is in use is refused from the moment on that its state changes", async () => {
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

  test("a removed key's place is taken by another without a trace of the first", () => {
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

  test("pages of many keys in no order, many of one millisecond, neither skip nor repeat one", () => {
    const store = freshStore();
    const total = 70_000;
    const expected: KeyRecord[] = [];
    for (let index = 0; index < total; index++) {
      const scattered = (index * 48_271) % total;
      expected.push(
        added(store, newKey({ createdAt: new Date(1.9e12 + Math.floor(scattered / 500) * 3_600_000_000) })),
      );
    }
    const seen: KeyRecord[] = [];
    let cursor: string | undefined;
    do {
      const page = store.list({ now: NOON, limit: 1_000, cursor }) as {
        items: KeyRecord[];
        nextCursor?: string;
      };
      seen.push(...page.items);
      cursor = page.nextCursor;
    } while (cursor !== undefined);
    expected.sort((a, b) => b.createdAt.getTime() - a.createdAt.getTime() || (a.id < b.id ? 1 : -1));
    expect(seen.map(({ id }) => id)).toEqual(expected.map(({ id }) => id));
  });
});

describe("the memory of a memoryStore", () => {
  function growth(work: () => unknown): number {
    const used = () => {
      for (let round = 0; round < 3; round++) collectGarbage();
      const { heapUsed, external } = process.memoryUsage();
      return heapUsed + external;
    };
    const before = used();
    const kept = work();
    const after = used();
    expect(kept).toBeDefined();
    return after - before;
  }

  test("holds no text that one of a key's was cut from: not the secret behind its start", () => {
    const store = freshStore();
    const cut = (length: number) => `${"x".repeat(1_000_000)}${"0123456789abcdef".repeat(8)}`.slice(-length);
    const grown = growth(() => {
      for (let index = 0; index < 200; index++) {
        const own = (length: number) => `${cut(length)}${index}`.slice(index % 10);
        const key = newKey({
          id: own(20),
          hash: own(70) as KeyRecord["hash"],
          ownerId: own(30),
          environment: cut(30),
          start: own(20),
          name: own(40),
          scopes: [own(40)],
          ipAllowlist: [own(40)],
          metadata: { [own(40)]: own(40) },
          revokedReason: own(40),
          replacedBy: own(40),
        });
        const entry = { ...entryOf(key), id: own(50), actor: own(40), details: { [own(40)]: [own(40)] } };
        store.insert({ ...key, start: cut(20 + (index % 10)) }, entry);
      }
      return store;
    });
    expect(grown).toBeLessThan(5_000_000);
  });

  test("does not grow by keys that come and go, but by their trail", () => {
    const store = freshStore();
    const turns = (from: number, to: number) => {
      for (let turn = from; turn < to; turn++) {
        const key = newKey({
          id: `key ${turn}`,
          hash: `hash ${turn}` as KeyRecord["hash"],
          ownerId: `owner ${turn}`,
          environment: `environment ${turn}`,
          start: `prefix_${turn}_ab12`,
          name: `name ${turn}`,
          scopes: [`scope:${turn}`],
          ipAllowlist: [`192.0.2.${turn}`],
        });
        const written = { ...key, id: "key", ownerId: "acme" };
        store.insert(key, entryOf(written));
        store.findByHash(key.hash);
        store.findByHash(key.hash);
        store.remove(key.id, 1, entryOf(written));
      }
      return store;
    };
    turns(0, 2_000);
    // Two entries of a turn take some 90 bytes; what would be left of a key is ten times as much.
    expect(growth(() => turns(2_000, 22_000)) / 20_000).toBeLessThan(300);
  });

  test("is at most 240 bytes a key, with its audit entry, also if array buffers are counted twice", async () => {
    const bench = fileURLToPath(new URL("../../../bench/memory.ts", import.meta.url));
    const part = "memoryStore, with an audit entry for each key";
    const args = ["--expose-gc", "--import", "tsx", bench, "250000", part];
    const { stdout: figures } = await promisify(execFile)(process.execPath, args);
    const [, once, twice] = /^ *([\d.]+) \(([\d.]+)\) bytes a key/.exec(figures) ?? [];
    expect(Number(once)).toBeGreaterThan(80); // its hash and ids alone take that much
    expect(Number(once)).toBeLessThan(150);
    expect(Number(twice)).toBeLessThan(240);
  });
});

describe("KEYBEARER_MEMORY_STORE", () => {
  afterEach(() => vi.unstubAllEnvs());

  test.each([
    ["production", 1],
    ["development", 0],
    ["test", 0],
  ])("in %s, so many warnings for two stores: %i", async (environment, warnings) => {
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
