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
import { added, auditOf, counted, found, isKnown, keyOf, localBus, revoked } from "./fixtures.js";

const SECOND = 1_000;

// Time passes only when a test says so; timers go on as they do.
beforeEach(() => {
  vi.useFakeTimers({ toFake: ["performance", "Date"] });
});

afterEach(() => {
  vi.useRealTimers();
});

/** A store that answers with promises, as a database does, and counts. */
function remote(inner: ManagedKeyStore = memoryStore()) {
  const { store, calls } = counted<ManagedKeyStore>({
    ...inner,
    findByHash: async (hash) => inner.findByHash(hash),
  });
  return { inner, store, calls };
}

describe("a hit", () => {
  test("is answered at once, without the store, with one frozen record", async () => {
    const { inner, store, calls } = remote();
    const key = await added(inner, { ipAllowlist: ["192.0.2.0/24"], metadata: { plan: "pro" } });
    const cached = cachedStore(store);
    const first = await found(cached, key.hash);
    expect(first).toEqual(key);
    expect(isKnown(cached, key.hash)).toBe(true);
    expect(cached.findByHash(key.hash)).toBe(first);
    expect(calls.findByHash).toBe(1);
    for (const part of [first, first?.scopes, first?.ipAllowlist]) expect(Object.isFrozen(part)).toBe(true);
  });

  test("shares nothing with what the store answered", async () => {
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

  test("has the members of a row that inherits them", async () => {
    const key = keyOf({ revokedAt: new Date(), ipAllowlist: [] });
    const row = Object.create(key) as KeyRecord;
    const cached = cachedStore({ findByHash: async () => row });
    await found(cached, key.hash);
    expect(cached.findByHash(key.hash)).toEqual(key);
  });

  test("of a synchronous store is one, too", async () => {
    const { store, calls } = counted(memoryStore());
    const key = await added(store);
    const cached = cachedStore(store);
    expect(cached.findByHash(key.hash)).toEqual(key);
    expect(cached.findByHash(key.hash)).toBe(cached.findByHash(key.hash));
    expect(calls.findByHash).toBe(1);
  });

  test("of a key without what may be absent is one, too", async () => {
    const record: VerifiableRecord = { id: "a", hash: hashSecret("a"), ownerId: "acme", scopes: [] };
    const cached = cachedStore({ findByHash: async () => record });
    await found(cached, record.hash as KeyHash);
    expect(cached.findByHash(record.hash as KeyHash)).toEqual(record);
  });
});

describe("how long", () => {
  test.each([
    [undefined, 5 * SECOND],
    ["200ms" as const, 200],
    ["1m" as const, 60 * SECOND],
  ])("a ttl of %s keeps a key for %d ms", async (ttl, length) => {
    const { inner, store } = remote();
    const key = await added(inner);
    const cached = cachedStore(store, ttl === undefined ? {} : { ttl });
    await found(cached, key.hash);
    vi.advanceTimersByTime(length - 1);
    expect(isKnown(cached, key.hash)).toBe(true);
    vi.advanceTimersByTime(1);
    expect(isKnown(cached, key.hash)).toBe(false);
  });

  test("using a key does not make it last", async () => {
    const { inner, store, calls } = remote();
    const key = await added(inner);
    const cached = cachedStore(store, { ttl: "1s" });
    for (let i = 0; i < 40; i++) {
      await found(cached, key.hash);
      vi.advanceTimersByTime(100);
    }
    expect(calls.findByHash).toBe(4);
  });

  test("the ttl runs from the beginning of a lookup, however long it takes", async () => {
    const key = keyOf();
    let answer: (record: KeyRecord) => void = () => {};
    const cached = cachedStore(
      { findByHash: () => new Promise<KeyRecord>((resolve) => (answer = resolve)) },
      { ttl: "1s", timeoutMs: 60 * SECOND },
    );
    for (const [took, left] of [
      [400, 600],
      [1_000, 0],
    ] as const) {
      const looking = found(cached, key.hash);
      vi.advanceTimersByTime(took);
      answer(key);
      await looking;
      expect(isKnown(cached, key.hash)).toBe(left > 0);
      answer(key);
      vi.advanceTimersByTime(left);
      expect(isKnown(cached, key.hash)).toBe(false);
      answer(key);
      vi.advanceTimersByTime(5 * SECOND);
      await new Promise(setImmediate);
    }
  });

  test("never past the expiry of the key", async () => {
    const { inner, store } = remote();
    const key = await added(inner, { expiresAt: new Date(Date.now() + 300) });
    const over = await added(inner, { expiresAt: new Date(Date.now()) });
    const cached = cachedStore(store);
    expect(await found(cached, key.hash)).toEqual(key);
    expect(await found(cached, over.hash)).toEqual(over);
    expect(isKnown(cached, over.hash)).toBe(false);
    vi.advanceTimersByTime(299);
    expect(isKnown(cached, key.hash)).toBe(true);
    vi.advanceTimersByTime(1);
    expect(isKnown(cached, key.hash)).toBe(false);
  });

  test.each([["soon"], [new Date(Number.NaN)], [4e12]])(
    "a key whose expiry is %s is not kept",
    async (expiresAt) => {
      const key = keyOf({ expiresAt: expiresAt as Date });
      const cached = cachedStore({ findByHash: async () => key });
      expect(await found(cached, key.hash)).toEqual(key);
      expect(isKnown(cached, key.hash)).toBe(false);
    },
  );

  test("a wall clock that is set back does not make a key last", async () => {
    const { inner, store } = remote();
    const key = await added(inner);
    const cached = cachedStore(store, { ttl: "1s" });
    await found(cached, key.hash);
    vi.advanceTimersByTime(SECOND);
    vi.setSystemTime(0);
    expect(isKnown(cached, key.hash)).toBe(false);
  });
});

describe("how many", () => {
  test("the key that was unused for longest goes first", async () => {
    const { inner, store } = remote();
    const cached = cachedStore(store, { max: 3 });
    const [a, b, c, d] = await Promise.all([added(inner), added(inner), added(inner), added(inner)]);
    for (const { hash } of [a, b, c, a, d]) await found(cached, hash);
    expect([a, b, c, d].map(({ hash }) => isKnown(cached, hash))).toEqual([true, false, true, true]);
  });

  test("keys that were driven out, and come again, can be forgotten by their id", async () => {
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

describe("what is not kept", () => {
  test.each<[string, (key: KeyRecord) => unknown]>([
    ["another hash", (key) => ({ ...key, hash: hashSecret("another") })],
    ["an id that is none", (key) => ({ ...key, id: "" })],
    ["an owner that is none", (key) => ({ ...key, ownerId: 7 })],
    ["scopes that are no list", (key) => ({ ...key, scopes: "vehicles:read" })],
    ["an allowlist that is no list", (key) => ({ ...key, ipAllowlist: "192.0.2.1" })],
    ["an allowlist that is an empty text", (key) => ({ ...key, ipAllowlist: "" })],
    ["an environment that is no text", (key) => ({ ...key, environment: 1 })],
    ["metadata that cannot be copied", (key) => ({ ...key, metadata: { f() {} } })],
    ["a list", () => []],
    ["a text", () => "key"],
    ["false", () => false],
    ["zero", () => 0],
  ])("a record with %s goes to the verifier as it is", async (_, spoil) => {
    const key = keyOf();
    const answer = spoil(key);
    const findByHash = vi.fn(async () => answer as KeyRecord);
    const cached = cachedStore({ findByHash }, { negativeTtl: "1m" });
    expect(await cached.findByHash(key.hash)).toBe(answer);
    expect(await cached.findByHash(key.hash)).toBe(answer);
    expect(findByHash).toHaveBeenCalledTimes(2);
  });

  test("a failure; the next lookup asks again", async () => {
    const { inner, store } = remote();
    const key = await added(inner);
    let broken = true;
    const cached = cachedStore(
      { findByHash: async (hash) => (broken ? Promise.reject(new Error(hash)) : store.findByHash(hash)) },
      { negativeTtl: "1m" },
    );
    await expect(found(cached, key.hash)).rejects.toThrow(StoreError);
    broken = false;
    expect(await found(cached, key.hash)).toEqual(key);
  });

  test("a call that hangs is given up within the time limit, and holds up no other", async () => {
    const key = keyOf();
    let calls = 0;
    const cached = cachedStore(
      { findByHash: () => (++calls === 1 ? new Promise<undefined>(() => {}) : Promise.resolve(key)) },
      { storeTimeout: "300ms" },
    );
    const hanging = found(cached, key.hash);
    hanging.catch(() => {});
    expect(await found(cached, key.hash)).toEqual(key);
    expect(isKnown(cached, key.hash)).toBe(true);
    await expect(hanging).rejects.toThrow("300 ms");
  });

  test("an answer that comes after its time limit is kept for what is left of the ttl", async () => {
    const key = keyOf();
    let answer: (record: KeyRecord) => void = () => {};
    const cached = cachedStore(
      { findByHash: () => new Promise<KeyRecord>((resolve) => (answer = resolve)) },
      { storeTimeout: "20ms", ttl: "1m" },
    );
    await expect(found(cached, key.hash)).rejects.toThrow(StoreError);
    answer(key);
    await new Promise(setImmediate);
    expect(cached.findByHash(key.hash)).toEqual(key);
  });
});

describe("absences", () => {
  test("are not kept unless asked for", async () => {
    const { store, calls } = remote();
    const cached = cachedStore(store);
    for (let i = 0; i < 3; i++) expect(await found(cached, hashSecret("unknown"))).toBeUndefined();
    expect(calls.findByHash).toBe(3);
  });

  test.each([undefined, null])("%s is kept for the negativeTtl", async (none) => {
    const findByHash = vi.fn(async () => none);
    const cached = cachedStore({ findByHash }, { ttl: "1m", negativeTtl: "2s" });
    expect(await found(cached, hashSecret("unknown"))).toBeUndefined();
    vi.advanceTimersByTime(1_999);
    expect(isKnown(cached, hashSecret("unknown"))).toBe(true);
    expect(await found(cached, hashSecret("unknown"))).toBeUndefined();
    vi.advanceTimersByTime(1);
    expect(isKnown(cached, hashSecret("unknown"))).toBe(false);
    expect(findByHash).toHaveBeenCalledTimes(2);
  });

  test("do not drive out keys, and are bounded themselves", async () => {
    const { inner, store } = remote();
    const cached = cachedStore(store, { max: 2, negativeTtl: "1m", negativeMax: 5 });
    const keys = [await added(inner), await added(inner)];
    for (const { hash } of keys) await found(cached, hash);
    const unknown = Array.from({ length: 50 }, (_, index) => hashSecret(`unknown ${index}`));
    for (const hash of unknown) await found(cached, hash);
    expect(keys.every(({ hash }) => isKnown(cached, hash))).toBe(true);
    expect(unknown.filter((hash) => isKnown(cached, hash))).toEqual(unknown.slice(-5));
  });

  test("end when the key is made, imported, rotated to or moved", async () => {
    const { inner, store } = remote({ ...memoryStore() });
    const moving: ManagedKeyStore = {
      ...store,
      rehash: async (id, from, to, audit) => {
        const key = (await inner.findByHash(from)) as KeyRecord;
        await inner.insert({ ...key, id: `${id} moved`, hash: to }, audit);
        return true;
      },
    };
    const cached = cachedStore(moving, { negativeTtl: "1m" });
    const [made, successor, to] = [keyOf(), keyOf(), hashSecret("to")];
    for (const hash of [made.hash, successor.hash, to]) {
      await found(cached, hash);
      expect(isKnown(cached, hash)).toBe(true);
    }
    await cached.insert(made, auditOf(made));
    expect(await found(cached, made.hash)).toEqual(made);
    await cached.rehash?.(made.id, made.hash, to, auditOf(made));
    expect((await found(cached, to))?.id).toBe(`${made.id} moved`);
    await cached.replace(made.id, 1, { rotatedAt: new Date() }, successor, auditOf(made));
    expect(await found(cached, successor.hash)).toEqual(successor);
  });
});

describe("changes through the cached store", () => {
  test("are seen by the next lookup", async () => {
    const { inner, store } = remote();
    const cached = cachedStore(store, { ttl: "1m" });
    const key = await added(inner);
    await found(cached, key.hash);
    expect(await cached.update(key.id, 1, { name: "after" }, auditOf(key))).toBe(true);
    expect(await found(cached, key.hash)).toMatchObject({ name: "after", version: 2 });
    expect(isKnown(cached, key.hash)).toBe(true);
    const successor = keyOf();
    await cached.replace(key.id, 2, { rotatedAt: new Date() }, successor, auditOf(key));
    expect(await found(cached, key.hash)).toMatchObject({ version: 3, rotatedAt: expect.any(Date) });
    expect(await found(cached, successor.hash)).toEqual(successor);
  });

  test("of other keys leave a key where it is", async () => {
    const { inner, store } = remote();
    const cached = cachedStore(store, { ttl: "1m" });
    const [key, other] = [await added(inner), await added(inner)];
    await found(cached, key.hash);
    await cached.update(other.id, 1, { name: "after" }, auditOf(other));
    await cached.insert(keyOf(), auditOf(key));
    expect(isKnown(cached, key.hash)).toBe(true);
  });

  test("touch leaves it, too", async () => {
    const { inner, store } = remote();
    const cached = cachedStore(store, { ttl: "1m" });
    const key = await added(inner);
    await found(cached, key.hash);
    await cached.touch(new Map([[key.id, new Date()]]));
    expect(isKnown(cached, key.hash)).toBe(true);
    expect((await inner.findByHash(key.hash))?.lastUsedAt).toBeInstanceOf(Date);
  });

  test("what was read by id is what is found from then on", async () => {
    const { inner, store } = remote();
    const cached = cachedStore(store, { ttl: "1m" });
    const key = await added(inner);
    await found(cached, key.hash);
    await revoked(inner, key); // by a process that nobody hears of
    expect((await found(cached, key.hash))?.revokedAt).toBeNull();
    expect((await cached.findById(key.id))?.revokedAt).toBeInstanceOf(Date);
    expect((await found(cached, key.hash))?.revokedAt).toBeInstanceOf(Date);
  });

  test("a key that has moved to another hash elsewhere leaves nothing behind at the old one", async () => {
    const key = keyOf();
    const moved = { ...key, hash: hashSecret("moved") };
    const inner = {
      ...memoryStore(),
      findByHash: async (hash: KeyHash) => (hash === key.hash ? key : moved),
    };
    const cached = cachedStore(inner, { ttl: "1m" });
    for (const { hash } of [key, moved]) await found(cached, hash);
    await cached.update(key.id, 1, { revokedAt: new Date() }, auditOf(key));
    for (const { hash } of [key, moved]) expect(isKnown(cached, hash)).toBe(false);
  });

  test("a whole life: every change of a manager holds for the next request", async () => {
    const { store } = remote();
    const { manager, verify } = serviceOver(cachedStore(store, { ttl: "1m", negativeTtl: "1m" }));
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

describe("the store behind", () => {
  test("a thousand requests that bring a new key at once make at most two calls", async () => {
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

  test("gets the misses of one turn in one call, if it can; hits do not travel", async () => {
    const inner = memoryStore();
    const keys = await Promise.all(Array.from({ length: 20 }, () => added(inner)));
    const findManyByHash = vi.fn(async (hashes: readonly KeyHash[]) =>
      Promise.all(hashes.map((hash) => inner.findByHash(hash))),
    );
    const cached = cachedStore({ ...inner, findManyByHash }, { negativeTtl: "1m" });
    expect(cached.findManyByHash).toBeUndefined();
    const hashes = [...keys.map(({ hash }) => hash), hashSecret("unknown")];
    for (let i = 0; i < 2; i++) {
      const answers = await Promise.all(hashes.map((hash) => found(cached, hash)));
      expect(answers).toEqual([...keys, undefined]);
    }
    expect(findManyByHash).toHaveBeenCalledTimes(1);
    expect(hashes.every((hash) => isKnown(cached, hash))).toBe(true);
  });

  test.each([[[]], [undefined], [{ length: 1 }], [[keyOf(), keyOf(), keyOf()]]])(
    "is not believed when it answers another number of records",
    async (answer) => {
      const findManyByHash = async () => answer as never;
      const cached = cachedStore({ findByHash: () => undefined, findManyByHash }, { negativeTtl: "1m" });
      for (let i = 0; i < 2; i++) {
        await expect(found(cached, hashSecret("a"))).rejects.toThrow(StoreError);
      }
    },
  );

  test("is called as the object that it is", async () => {
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

  test("lends its methods, and only those that it has", () => {
    const names = (store: object) => Object.keys(store).sort();
    const own = ["close", "findByHash", "ready"];
    expect(names(cachedStore({ findByHash: () => undefined }))).toEqual(own);
    const managed = memoryStore();
    const management = ["auditTrail", "findById", "insert", "list", "replace", "touch", "update"];
    const optional = ["appendAudit", "rehash", "remove"] as const;
    const bare = Object.fromEntries(
      Object.entries(managed).filter(([name]) => !(optional as readonly string[]).includes(name)),
    ) as unknown as ManagedKeyStore;
    expect(names(cachedStore(bare))).toEqual([...own, ...management].sort());
    const method = async () => true;
    const full = { ...bare, rehash: method, remove: method, appendAudit: async () => {} };
    expect(names(cachedStore(full))).toEqual([...own, ...management, ...optional].sort());
  });
});

describe("closing", () => {
  test("forgets everything, and lets lookups and changes through", async () => {
    const { inner, store } = remote();
    const cached = cachedStore(store, { negativeTtl: "1m" });
    await cached.ready();
    const key = await added(inner);
    await found(cached, key.hash);
    await cached.close();
    await cached.close();
    for (let i = 0; i < 2; i++) {
      expect(isKnown(cached, key.hash)).toBe(false);
      expect(await found(cached, key.hash)).toEqual(key);
    }
    expect(await revoked(cached, key)).toBe(true);
    expect((await found(cached, key.hash))?.revokedAt).toBeInstanceOf(Date);
  });

  test("neither the cache nor its bus keeps the process running", async () => {
    const src = (file: string) => JSON.stringify(new URL(`../../src/stores/${file}`, import.meta.url).href);
    const script = `import { cachedStore } from ${src("cached.ts")};
      import { memoryStore } from ${src("memory.ts")};
      const bus = { publish: async () => {}, subscribe: async (_, onState) => (onState(true), async () => {}) };
      cachedStore(memoryStore(), { bus });
      cachedStore(memoryStore());
      process.stdout.write("made");`;
    const { stdout } = await promisify(execFile)(
      process.execPath,
      ["--import", "tsx", "--input-type=module", "--eval", script],
      { cwd: fileURLToPath(new URL("../../..", import.meta.url)), timeout: 150_000 },
    );
    expect(stdout).toBe("made");
  });
});

describe("mistakes are TypeErrors", () => {
  const store = memoryStore();

  test.each<[string, unknown, unknown, RegExp]>([
    ["no store", undefined, {}, /findByHash/],
    ["a store that finds nothing", {}, {}, /findByHash/],
    ["no options", store, null, /options object/],
    ["an unknown option", store, { TTL: "5s" }, /"TTL"/],
    ["a ttl without a unit", store, { ttl: 5_000 }, /"ttl"/],
    ["a ttl of nothing", store, { ttl: "0s" }, /"ttl"/],
    ["a long ttl without a bus", store, { ttl: "61s" }, /"ttl".*"1m"/],
    ["a very long ttl", store, { ttl: "61m", bus: localBus() }, /"ttl".*"1h"/],
    ["a long negativeTtl without a bus", store, { negativeTtl: "2m" }, /"negativeTtl"/],
    ["a negativeTtl of nothing", store, { negativeTtl: "0s" }, /"negativeTtl"/],
    ["room for none", store, { max: 0 }, /"max"/],
    ["room for half a key", store, { max: 1.5 }, /"max"/],
    ["room without end", store, { max: Number.POSITIVE_INFINITY }, /"max"/],
    ["room for too many", store, { negativeMax: 1_000_001 }, /"negativeMax"/],
    ["a bus that is not set", store, { bus: undefined }, /"bus"/],
    ["a bus that is none", store, { bus: { publish() {} } }, /"bus"/],
    ["no heartbeat", store, { heartbeat: "0ms" }, /"heartbeat"/],
    ["no time", store, { storeTimeout: "0ms" }, /"timeoutMs"/],
    ["more time than a timer can wait", store, { timeoutMs: 2 ** 31 }, /"timeoutMs"/],
    ["an observer beside the list", store, { observers: () => {} }, /"observers"/],
  ])("%s", (_, given, options, message) => {
    const make = () => cachedStore(given as never, options as never);
    expect(make).toThrow(TypeError);
    expect(make).toThrow(message);
  });

  test("the store is frozen", () => {
    expect(Object.isFrozen(cachedStore(store))).toBe(true);
  });
});
