import { execFile } from "node:child_process";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { cachedStore } from "../../../src/cache/index.js";
import {
  hashSecret,
  type KeyHash,
  type KeyRecord,
  type KeyStore,
  type ManagedKeyStore,
  StoreError,
  type VerifiableRecord,
} from "../../../src/index.js";
import { memoryStore } from "../../../src/stores/memory.js";
import { serviceOver } from "../../contract/stores/service.js";
import { added, auditOf, counted, found, isCached, keyOf, localBus, revoked } from "./fixtures.js";

const SECOND = 1_000;

// The clocks are fake; timers are real.
beforeEach(() => {
  vi.useFakeTimers({ toFake: ["performance", "Date"] });
});

afterEach(() => {
  vi.useRealTimers();
});

/** An asynchronous store that counts calls. */
function remote(inner: ManagedKeyStore = memoryStore()) {
  const { store, calls } = counted<ManagedKeyStore>({
    ...inner,
    findByHash: async (hash) => inner.findByHash(hash),
  });
  return { inner, store, calls };
}

describe("a cache hit", () => {
  test("returns one frozen record synchronously, without a store call", async () => {
    const { inner, store, calls } = remote();
    const key = await added(inner, { ipAllowlist: ["192.0.2.0/24"], metadata: { plan: "pro" } });
    const cached = cachedStore(store);
    const first = await found(cached, key.hash);
    expect(first).toEqual(key);
    expect(isCached(cached, key.hash)).toBe(true);
    expect(cached.findByHash(key.hash)).toBe(first);
    expect(calls.findByHash).toBe(1);
    for (const part of [first, first?.scopes, first?.ipAllowlist]) expect(Object.isFrozen(part)).toBe(true);
  });

  test("shares nothing mutable with the record that the store returned", async () => {
    const key = keyOf({ expiresAt: new Date(Date.now() + SECOND), scopes: ["a"], metadata: { tags: ["a"] } });
    const expected = structuredClone(key);
    const cached = cachedStore({ findByHash: async () => key });
    await found(cached, key.hash);
    (key.scopes as string[]).push("b");
    key.expiresAt?.setTime(0);
    (key.metadata as { tags: string[] }).tags.push("b");
    (key as { revokedAt: Date | null }).revokedAt = new Date();
    expect(cached.findByHash(key.hash)).toEqual(expected);
  });

  test("has the inherited members of a row object", async () => {
    const key = keyOf({ revokedAt: new Date(), ipAllowlist: [] });
    const row = Object.create(key) as KeyRecord;
    const cached = cachedStore({ findByHash: async () => row });
    await found(cached, key.hash);
    expect(cached.findByHash(key.hash)).toEqual(key);
  });

  test("works with a synchronous store", async () => {
    const { store, calls } = counted(memoryStore());
    const key = await added(store);
    const cached = cachedStore(store);
    expect(cached.findByHash(key.hash)).toEqual(key);
    expect(cached.findByHash(key.hash)).toBe(cached.findByHash(key.hash));
    expect(calls.findByHash).toBe(1);
  });

  test("works with a record of required members only", async () => {
    const record: VerifiableRecord = { id: "a", hash: hashSecret("a"), ownerId: "acme", scopes: [] };
    const cached = cachedStore({ findByHash: async () => record });
    await found(cached, record.hash as KeyHash);
    expect(cached.findByHash(record.hash as KeyHash)).toEqual(record);
  });
});

describe("the ttl", () => {
  test.each([
    [undefined, 5 * SECOND],
    ["200ms" as const, 200],
    ["1m" as const, 60 * SECOND],
  ])("of %s caches a key for %d ms", async (ttl, length) => {
    const { inner, store } = remote();
    const key = await added(inner);
    const cached = cachedStore(store, ttl === undefined ? {} : { ttl });
    await found(cached, key.hash);
    vi.advanceTimersByTime(length - 1);
    expect(isCached(cached, key.hash)).toBe(true);
    vi.advanceTimersByTime(1);
    expect(isCached(cached, key.hash)).toBe(false);
  });

  test("is not extended by a hit", async () => {
    const { inner, store, calls } = remote();
    const key = await added(inner);
    const cached = cachedStore(store, { ttl: "1s" });
    for (let i = 0; i < 40; i++) {
      await found(cached, key.hash);
      vi.advanceTimersByTime(100);
    }
    expect(calls.findByHash).toBe(4);
  });

  test("counts from the start of a lookup, even if the lookup is slow", async () => {
    const key = keyOf();
    let respond: (record: KeyRecord) => void = () => {};
    const cached = cachedStore(
      { findByHash: () => new Promise<KeyRecord>((resolve) => (respond = resolve)) },
      { ttl: "1s", storeTimeout: "60s" },
    );
    for (const [took, left] of [
      [400, 600],
      [1_000, 0],
    ] as const) {
      const looking = found(cached, key.hash);
      vi.advanceTimersByTime(took);
      respond(key);
      await looking;
      expect(isCached(cached, key.hash)).toBe(left > 0);
      respond(key);
      vi.advanceTimersByTime(left);
      expect(isCached(cached, key.hash)).toBe(false);
      respond(key);
      vi.advanceTimersByTime(5 * SECOND);
      await new Promise(setImmediate);
    }
  });

  test("ends at the expiry of the key at the latest", async () => {
    const { inner, store } = remote();
    const key = await added(inner, { expiresAt: new Date(Date.now() + 300) });
    const over = await added(inner, { expiresAt: new Date(Date.now()) });
    const cached = cachedStore(store);
    expect(await found(cached, key.hash)).toEqual(key);
    expect(await found(cached, over.hash)).toEqual(over);
    expect(isCached(cached, over.hash)).toBe(false);
    vi.advanceTimersByTime(299);
    expect(isCached(cached, key.hash)).toBe(true);
    vi.advanceTimersByTime(1);
    expect(isCached(cached, key.hash)).toBe(false);
  });

  test.each([["soon"], [new Date(Number.NaN)], [4e12]])(
    "does not cache a key with the expiry %s",
    async (expiresAt) => {
      const key = keyOf({ expiresAt: expiresAt as Date });
      const cached = cachedStore({ findByHash: async () => key });
      expect(await found(cached, key.hash)).toEqual(key);
      expect(isCached(cached, key.hash)).toBe(false);
    },
  );

  test("is not extended if the system clock is set back", async () => {
    const { inner, store } = remote();
    const key = await added(inner);
    const cached = cachedStore(store, { ttl: "1s" });
    await found(cached, key.hash);
    vi.advanceTimersByTime(SECOND);
    vi.setSystemTime(0);
    expect(isCached(cached, key.hash)).toBe(false);
  });
});

describe("max", () => {
  test("evicts the least recently used key", async () => {
    const { inner, store } = remote();
    const cached = cachedStore(store, { max: 3 });
    const [a, b, c, d] = await Promise.all([added(inner), added(inner), added(inner), added(inner)]);
    for (const { hash } of [a, b, c, a, d]) await found(cached, hash);
    expect([a, b, c, d].map(({ hash }) => isCached(cached, hash))).toEqual([true, false, true, true]);
  });

  test("keeps the id index correct when evicted keys are cached again", async () => {
    const { inner, store } = remote();
    const cached = cachedStore(store, { max: 2 });
    const keys = await Promise.all(Array.from({ length: 6 }, () => added(inner)));
    for (const { hash } of [...keys, ...keys]) await found(cached, hash);
    for (const key of keys) {
      await found(cached, key.hash);
      await revoked(cached, key);
      expect((await found(cached, key.hash))?.revokedAt).toBeInstanceOf(Date);
    }
  });
});

describe("results that are not cached", () => {
  test.each<[string, (key: KeyRecord) => unknown]>([
    ["another hash", (key) => ({ ...key, hash: hashSecret("another") })],
    ["an empty id", (key) => ({ ...key, id: "" })],
    ["an owner that is not a string", (key) => ({ ...key, ownerId: 7 })],
    ["scopes that are not an array", (key) => ({ ...key, scopes: "vehicles:read" })],
    ["an allowlist that is not an array", (key) => ({ ...key, ipAllowlist: "192.0.2.1" })],
    ["an allowlist that is an empty string", (key) => ({ ...key, ipAllowlist: "" })],
    ["an environment that is not a string", (key) => ({ ...key, environment: 1 })],
    ["metadata that cannot be cloned", (key) => ({ ...key, metadata: { f() {} } })],
    ["an array instead of members", () => []],
    ["a string instead of members", () => "key"],
    ["false instead of members", () => false],
    ["0 instead of members", () => 0],
  ])("returns a record with %s unchanged", async (_, spoil) => {
    const key = keyOf();
    const result = spoil(key);
    const findByHash = vi.fn(async () => result as KeyRecord);
    const cached = cachedStore({ findByHash });
    const copy = Array.isArray(result) ? {} : result;
    expect(await cached.findByHash(key.hash)).toEqual(copy);
    expect(await cached.findByHash(key.hash)).toEqual(copy);
    expect(findByHash).toHaveBeenCalledTimes(2);
  });

  test("calls the store again after a failure", async () => {
    const { inner, store } = remote();
    const key = await added(inner);
    let broken = true;
    const cached = cachedStore({
      findByHash: async (hash) => (broken ? Promise.reject(new Error(hash)) : store.findByHash(hash)),
    });
    await expect(found(cached, key.hash)).rejects.toThrow(StoreError);
    broken = false;
    expect(await found(cached, key.hash)).toEqual(key);
  });

  test("times out a hung call without delaying other lookups", async () => {
    const key = keyOf();
    let calls = 0;
    const cached = cachedStore(
      { findByHash: () => (++calls === 1 ? new Promise<undefined>(() => {}) : Promise.resolve(key)) },
      { storeTimeout: "300ms" },
    );
    const hanging = found(cached, key.hash);
    hanging.catch(() => {});
    expect(await found(cached, key.hash)).toEqual(key);
    expect(isCached(cached, key.hash)).toBe(true);
    await expect(hanging).rejects.toThrow("300 ms");
  });

  test("caches a result that arrives after the timeout, for the rest of the ttl", async () => {
    const key = keyOf();
    let respond: (record: KeyRecord) => void = () => {};
    const cached = cachedStore(
      { findByHash: () => new Promise<KeyRecord>((resolve) => (respond = resolve)) },
      { storeTimeout: "20ms", ttl: "1m" },
    );
    await expect(found(cached, key.hash)).rejects.toThrow(StoreError);
    respond(key);
    await new Promise(setImmediate);
    expect(cached.findByHash(key.hash)).toEqual(key);
  });
});

describe("changes through the cached store", () => {
  test("are visible to the next lookup", async () => {
    const { inner, store } = remote();
    const cached = cachedStore(store, { ttl: "1m" });
    const key = await added(inner);
    await found(cached, key.hash);
    expect(await cached.update(key.id, 1, { name: "after" }, auditOf(key))).toBe(true);
    expect(await found(cached, key.hash)).toMatchObject({ name: "after", version: 2 });
    expect(isCached(cached, key.hash)).toBe(true);
    const successor = keyOf();
    await cached.replace(key.id, 2, { rotatedAt: new Date() }, successor, auditOf(key));
    expect(await found(cached, key.hash)).toMatchObject({ version: 3, rotatedAt: expect.any(Date) });
    expect(await found(cached, successor.hash)).toEqual(successor);
  });

  test("do not evict other keys", async () => {
    const { inner, store } = remote();
    const cached = cachedStore(store, { ttl: "1m" });
    const [key, other] = [await added(inner), await added(inner)];
    await found(cached, key.hash);
    await cached.update(other.id, 1, { name: "after" }, auditOf(other));
    await cached.insert(keyOf(), auditOf(key));
    expect(isCached(cached, key.hash)).toBe(true);
  });

  test("touch does not evict the key", async () => {
    const { inner, store } = remote();
    const cached = cachedStore(store, { ttl: "1m" });
    const key = await added(inner);
    await found(cached, key.hash);
    await cached.touch(new Map([[key.id, new Date()]]));
    expect(isCached(cached, key.hash)).toBe(true);
    expect((await inner.findByHash(key.hash))?.lastUsedAt).toBeInstanceOf(Date);
  });

  test("findById evicts the key, so lookups are at least as new", async () => {
    const { inner, store } = remote();
    const cached = cachedStore(store, { ttl: "1m" });
    const key = await added(inner);
    await found(cached, key.hash);
    await revoked(inner, key); // by another process
    expect((await found(cached, key.hash))?.revokedAt).toBeNull();
    expect((await cached.findById(key.id))?.revokedAt).toBeInstanceOf(Date);
    expect((await found(cached, key.hash))?.revokedAt).toBeInstanceOf(Date);
  });

  test("a change evicts a key under both hashes after it was rehashed elsewhere", async () => {
    const key = keyOf();
    const moved = { ...key, hash: hashSecret("moved") };
    const inner = {
      ...memoryStore(),
      findByHash: async (hash: KeyHash) => (hash === key.hash ? key : moved),
    };
    const cached = cachedStore(inner, { ttl: "1m" });
    for (const { hash } of [key, moved]) await found(cached, hash);
    await cached.update(key.id, 1, { revokedAt: new Date() }, auditOf(key));
    for (const { hash } of [key, moved]) expect(isCached(cached, hash)).toBe(false);
  });

  test("every change by a manager applies to the next request", async () => {
    const { store } = remote();
    const { manager, verify } = serviceOver(cachedStore(store, { ttl: "1m" }));
    const { secret, key } = await manager.create({
      ownerId: "acme",
      scopes: ["vehicles:read"],
      environment: "live",
    });
    const ok = async (by = secret, from?: string) => (await verify(by, from)).ok;
    for (let i = 0; i < 2; i++) expect(await ok()).toBe(true);
    await manager.disable(key.id);
    for (let i = 0; i < 2; i++) expect(await ok()).toBe(false);
    await manager.enable(key.id);
    expect(await ok()).toBe(true);
    await manager.update(key.id, { ipAllowlist: ["198.51.100.0/24"] });
    expect(await ok()).toBe(false);
    expect(await ok(secret, "198.51.100.7")).toBe(true);
    await manager.update(key.id, { ipAllowlist: [] });
    expect(await ok(secret, "198.51.100.7")).toBe(false);
    await manager.update(key.id, { ipAllowlist: null });
    const successor = await manager.rotate(key.id);
    expect([await ok(), await ok(successor.secret)]).toEqual([false, true]);
    await manager.revoke(successor.key.id);
    expect(await ok(successor.secret)).toBe(false);
  });
});

describe("the wrapped store", () => {
  test("is called at most twice for a thousand concurrent requests with one key", async () => {
    const { inner, store, calls } = remote();
    const cached = cachedStore(store);
    const { manager, verify } = serviceOver(cached);
    const { secret } = await manager.create({
      ownerId: "acme",
      scopes: ["vehicles:read"],
      environment: "live",
    });
    const results = await Promise.all(Array.from({ length: 1_000 }, () => verify(secret)));
    expect(results.every(({ ok }) => ok)).toBe(true);
    expect(calls.findByHash).toBeLessThanOrEqual(2);

    const key = await added(inner);
    calls.findByHash = 0;
    await Promise.all(Array.from({ length: 1_000 }, () => found(cached, key.hash)));
    expect(calls.findByHash).toBeLessThanOrEqual(2);
  });

  test("receives concurrent misses in one findManyByHash call, after the first", async () => {
    const inner = memoryStore();
    const findByHash = vi.fn(async (hash: KeyHash) => inner.findByHash(hash));
    const keys = await Promise.all(Array.from({ length: 20 }, () => added(inner)));
    const findManyByHash = vi.fn(async (hashes: readonly KeyHash[]) =>
      Promise.all(hashes.map((hash) => inner.findByHash(hash))),
    );
    const cached = cachedStore({ ...inner, findByHash, findManyByHash });
    expect(cached.findManyByHash).toBeUndefined();
    for (let i = 0; i < 2; i++) {
      const results = await Promise.all(keys.map(({ hash }) => found(cached, hash)));
      expect(results).toEqual(keys);
    }
    expect(findByHash).toHaveBeenCalledTimes(1);
    expect(findManyByHash).toHaveBeenCalledTimes(1);
    expect(keys.every(({ hash }) => isCached(cached, hash))).toBe(true);
  });

  test.each([[[]], [undefined], [{ length: 1 }], [[keyOf(), keyOf(), keyOf()]]])(
    "causes an error if it returns another number of records",
    async (results) => {
      const findManyByHash = async () => results as never;
      const cached = cachedStore({ findByHash: async () => undefined, findManyByHash });
      for (let i = 0; i < 2; i++) {
        const [first, ...batch] = ["a", "b", "c"].map((secret) => found(cached, hashSecret(secret)));
        for (const result of await Promise.allSettled(batch)) {
          expect(result).toMatchObject({ status: "rejected", reason: expect.any(StoreError) });
        }
        expect(await first).toBeUndefined();
      }
    },
  );

  test("is called with the right this", async () => {
    const key = keyOf();
    class Table implements KeyStore {
      readonly #rows = new Map([[key.hash, key]]);
      findByHash(hash: KeyHash) {
        return this.#rows.get(hash);
      }
      rehash(id: string) {
        return this.#rows.size === 1 && id === key.id;
      }
    }
    const cached = cachedStore(new Table());
    expect(await found(cached, key.hash)).toEqual(key);
    expect(await cached.rehash?.(key.id, key.hash, key.hash, auditOf(key))).toBe(true);
  });

  test("determines which methods the cached store has", () => {
    const names = (store: object) => Object.keys(store).sort();
    const own = ["close", "findByHash", "ready"];
    expect(names(cachedStore({ findByHash: () => undefined }))).toEqual(own);
    const managed = memoryStore();
    const management = ["auditTrail", "findById", "insert", "list", "replace", "touch", "update"];
    const optional = ["appendAudit", "rehash", "remove", "resumeOwner", "suspendOwner"] as const;
    const bare = Object.fromEntries(
      Object.entries(managed).filter(([name]) => !(optional as readonly string[]).includes(name)),
    ) as unknown as ManagedKeyStore;
    expect(names(cachedStore(bare))).toEqual([...own, ...management].sort());
    const method = async () => true;
    const owners = { suspendOwner: method, resumeOwner: method };
    const full = { ...bare, ...owners, rehash: method, remove: method, appendAudit: async () => {} };
    expect(names(cachedStore(full))).toEqual([...own, ...management, ...optional].sort());
  });
});

describe("close()", () => {
  test("clears the cache and passes lookups and changes to the store", async () => {
    const { inner, store } = remote();
    const cached = cachedStore(store);
    await cached.ready();
    const key = await added(inner);
    await found(cached, key.hash);
    await cached.close();
    await cached.close();
    for (let i = 0; i < 2; i++) {
      expect(isCached(cached, key.hash)).toBe(false);
      expect(await found(cached, key.hash)).toEqual(key);
    }
    expect(await revoked(cached, key)).toBe(true);
    expect((await found(cached, key.hash))?.revokedAt).toBeInstanceOf(Date);
  });

  test("is not required for the process to exit", async () => {
    const src = (file: string) => JSON.stringify(new URL(`../../../src/${file}`, import.meta.url).href);
    const script = `import { cachedStore } from ${src("cache/index.ts")};
      import { memoryStore } from ${src("stores/memory.ts")};
      const bus = { publish: async () => {}, subscribe: async (_, onState) => (onState(true), async () => {}) };
      cachedStore(memoryStore(), { bus });
      cachedStore(memoryStore());
      process.stdout.write("created");`;
    const { stdout } = await promisify(execFile)(
      process.execPath,
      ["--import", "tsx", "--input-type=module", "--eval", script],
      { cwd: fileURLToPath(new URL("../../..", import.meta.url)), timeout: 150_000 },
    );
    expect(stdout).toBe("created");
  });
});

describe("cachedStore throws a TypeError for", () => {
  const store = memoryStore();

  test.each<[string, unknown, unknown, RegExp]>([
    ["no store", undefined, {}, /findByHash/],
    ["a store without findByHash", {}, {}, /findByHash/],
    ["no options", store, null, /options object/],
    ["an unknown option", store, { TTL: "5s" }, /"TTL"/],
    ["a ttl without a unit", store, { ttl: 5_000 }, /"ttl"/],
    ["a ttl of 0", store, { ttl: "0s" }, /"ttl"/],
    ["a long ttl without changes()", store, { ttl: "61s", bus: localBus() }, /"ttl".*"1m"/],
    ["a long ttl with changes()", { ...store, changes() {} }, { ttl: "61m" }, /"ttl".*"1h"/],
    ["a max of 0", store, { max: 0 }, /"max"/],
    ["a fractional max", store, { max: 1.5 }, /"max"/],
    ["an infinite max", store, { max: Number.POSITIVE_INFINITY }, /"max"/],
    ["a large max", store, { max: 1_000_001 }, /"max"/],
    ["a bus that is undefined", store, { bus: undefined }, /"bus"/],
    ["a bus without subscribe", store, { bus: { publish() {} } }, /"bus"/],
    ["a heartbeat of 0", store, { heartbeat: "0ms" }, /"heartbeat"/],
    ["a storeTimeout of 0", store, { storeTimeout: "0ms" }, /"storeTimeout"/],
    ["a storeTimeout longer than a timer", store, { storeTimeout: "25d" }, /"storeTimeout"/],
    ["observers that are not an array", store, { observers: () => {} }, /"observers"/],
  ])("%s", (_, given, options, message) => {
    const make = () => cachedStore(given as never, options as never);
    expect(make).toThrow(TypeError);
    expect(make).toThrow(message);
  });
});

test("cachedStore returns a frozen store", () => {
  expect(Object.isFrozen(cachedStore(memoryStore()))).toBe(true);
});
