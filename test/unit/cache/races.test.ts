import fc from "fast-check";
import { describe, expect, onTestFinished, test, vi } from "vitest";
import { type CachedStoreOptions, cachedStore } from "../../../src/cache/index.js";
import {
  createKeyManager,
  defineScopes,
  hashSecret,
  type KeyHash,
  type KeyRecord,
  keyFormat,
  type ManagedKeyStore,
} from "../../../src/index.js";
import { memoryStore } from "../../../src/stores/memory.js";
import { added, auditOf, found, type HeldCall, held, isKnown, keyOf, localBus, settled } from "./fixtures.js";

const PATIENT = { storeTimeout: "60000ms", heartbeat: "60000ms" } as const;

/** From here on timers run when the test says so: a time limit must not be over before the answer is there. */
function holdTimers(): void {
  vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] });
  onTestFinished(() => void vi.useRealTimers());
}

/** A cache over a store of which the test lets each lookup and change go on. */
async function arena(options: CachedStoreOptions = {}) {
  const inner: { -readonly [Method in keyof ManagedKeyStore]: ManagedKeyStore[Method] } = {
    ...memoryStore(),
  };
  const key = await added(inner);
  const { store, calls } = held(inner);
  const cached = cachedStore(store, { ttl: "1m", ...PATIENT, ...options });
  const next = (method: string): HeldCall => {
    const call = calls.shift();
    if (call?.method !== method) throw new Error(`expected ${method}, got ${call?.method ?? "no call"}`);
    return call;
  };
  const revoke = (record = key, version = record.version) =>
    cached.update(record.id, version, { revokedAt: new Date() }, auditOf(record));
  /** Looks the key up, all the way; answers what was found, and whether the store was asked. */
  const look = async (hash: KeyHash = key.hash) => {
    const looking = found(cached, hash);
    if (options.bus !== undefined) await settled();
    const asked = calls.length > 0;
    if (asked) await next("findByHash").answer();
    return { asked, record: await looking };
  };
  return { inner, key, cached, calls, next, revoke, look };
}

describe("a lookup that a change overtakes is answered, and not kept", () => {
  test("when the change is made and returns meanwhile", async () => {
    const { key, cached, next, revoke, look } = await arena();
    const looking = found(cached, key.hash);
    const reading = next("findByHash");
    reading.perform();
    const writing = revoke();
    await next("update").answer();
    expect(await writing).toBe(true);
    await reading.answer();
    expect((await looking)?.revokedAt).toBeNull();
    const after = await look();
    expect(after).toMatchObject({ asked: true, record: { revokedAt: expect.any(Date) } });
    expect((await look()).asked).toBe(false);
  });

  test("when the change has begun, and is not done", async () => {
    const { key, cached, next, revoke, look } = await arena();
    const writing = revoke();
    const update = next("update");
    expect(await look()).toMatchObject({ asked: true, record: { revokedAt: null } });
    expect(isKnown(cached, key.hash)).toBe(false);
    await next("findByHash").answer();
    await update.answer();
    await writing;
    expect(await look()).toMatchObject({ asked: true, record: { revokedAt: expect.any(Date) } });
  });

  test("when it began during the change, and is answered after it", async () => {
    const { key, cached, next, revoke, look } = await arena();
    const writing = revoke();
    const update = next("update");
    const looking = found(cached, key.hash);
    const reading = next("findByHash");
    reading.perform();
    await update.answer();
    await writing;
    await reading.answer();
    expect((await looking)?.revokedAt).toBeNull();
    expect((await look()).record?.revokedAt).toBeInstanceOf(Date);
  });

  test("when the change is made, and nobody has heard of it yet", async () => {
    const { key, cached, next, revoke, look } = await arena();
    await look();
    expect(isKnown(cached, key.hash)).toBe(true);
    const writing = revoke();
    const update = next("update");
    update.perform();
    for (let i = 0; i < 2; i++) {
      expect(await look()).toMatchObject({ asked: true, record: { revokedAt: expect.any(Date) } });
    }
    await update.answer();
    await writing;
  });

  test("when the change fails, after it was made", async () => {
    const { next, revoke, look } = await arena();
    await look();
    const writing = revoke();
    const update = next("update");
    update.perform();
    await Promise.all([expect(writing).rejects.toThrow("lost"), update.fail(new Error("lost"))]);
    expect(await look()).toMatchObject({ asked: true, record: { revokedAt: expect.any(Date) } });
  });

  test("when one of two changes is done, and the other is not", async () => {
    const { next, revoke, look } = await arena();
    const writing = [revoke(), revoke()];
    const [first, second] = [next("update"), next("update")];
    await first.answer();
    for (let i = 0; i < 2; i++) expect((await look()).asked).toBe(true);
    await second.answer();
    expect(await Promise.all(writing)).toEqual([true, false]);
    await look();
    expect((await look()).asked).toBe(false);
  });

  test("when the news comes over the bus", async () => {
    const bus = localBus();
    const other = cachedStore(memoryStore(), { bus });
    const { key, cached, next, look } = await arena({ bus });
    await Promise.all([cached.ready(), other.ready()]);
    const looking = found(cached, key.hash);
    const reading = next("findByHash");
    reading.perform();
    await other.update(key.id, 1, { revokedAt: new Date() }, auditOf(key));
    await reading.answer();
    expect((await looking)?.revokedAt).toBeNull();
    expect((await look()).asked).toBe(true);
    await Promise.all([cached.close(), other.close()]);
  });

  test("when the cache is closed meanwhile", async () => {
    const { key, cached, next, look } = await arena();
    const looking = found(cached, key.hash);
    await cached.close();
    await next("findByHash").answer();
    expect(await looking).toEqual(key);
    expect((await look()).asked).toBe(true);
  });

  test("when so much else changes meanwhile that nobody can tell", async () => {
    const { inner, key, cached, next, look } = await arena();
    const looking = found(cached, key.hash);
    const reading = next("findByHash");
    for (let i = 0; i < 1_100; i++) await cached.findById(`other ${i}`);
    await reading.answer();
    await looking;
    expect((await look()).asked).toBe(true);
    expect(await inner.findById(key.id)).toBeDefined();
  });

  test("when a key is read by id meanwhile, and found to be changed", async () => {
    const { inner, key, cached, next, look } = await arena();
    const looking = found(cached, key.hash);
    const reading = next("findByHash");
    reading.perform();
    await inner.update(key.id, 1, { revokedAt: new Date() }, auditOf(key)); // elsewhere
    await cached.findById(key.id);
    await reading.answer();
    await looking;
    expect(await look()).toMatchObject({ asked: true, record: { revokedAt: expect.any(Date) } });
  });
});

describe("a lookup that nothing overtakes is kept", () => {
  test("while other keys change", async () => {
    const { inner, key, cached, next, revoke, look } = await arena();
    const other = await added(inner);
    const looking = found(cached, key.hash);
    const reading = next("findByHash");
    const writing = revoke(other);
    await next("update").answer();
    await writing;
    for (let i = 0; i < 1_000; i++) await cached.findById(`other ${i}`);
    await reading.answer();
    expect(await looking).toEqual(key);
    expect((await look()).asked).toBe(false);
  });

  test("while a change of another key hangs for ever", async () => {
    const { inner, revoke, look, next } = await arena();
    const other = await added(inner);
    void revoke(other);
    next("update");
    await look();
    expect((await look()).asked).toBe(false);
    for (let i = 0; i < 2; i++) expect((await look(other.hash)).asked).toBe(true);
  });

  test("and is not replaced by one that began before it", async () => {
    holdTimers();
    const { inner, key, cached, calls, next } = await arena({ storeTimeout: "1000ms" });
    const [slow, quick] = [found(cached, key.hash), found(cached, key.hash)];
    slow.catch(() => {});
    const first = next("findByHash");
    first.perform();
    await inner.update(key.id, 1, { revokedAt: new Date() }, auditOf(key)); // elsewhere, unheard of
    await vi.advanceTimersByTimeAsync(100); // beside the first, after a tenth of the time limit
    await next("findByHash").answer();
    expect((await quick)?.revokedAt).toBeInstanceOf(Date);
    await first.answer();
    await slow.catch(() => {});
    expect((await found(cached, key.hash))?.revokedAt).toBeInstanceOf(Date);
    expect(calls).toEqual([]);
  });
});

describe("two lookups of one hash that run side by side", () => {
  /** Both under way, the first for longer; the second is the one that the store read later. */
  const both = async (options: CachedStoreOptions = {}) => {
    holdTimers();
    const made = await arena({ storeTimeout: "1000ms", ...options });
    const { key, cached, next } = made;
    const looking = [found(cached, key.hash), found(cached, key.hash)];
    const first = next("findByHash");
    await vi.advanceTimersByTimeAsync(100); // beside the first, after a tenth of the time limit
    return { ...made, looking, first, second: next("findByHash") };
  };

  test("a record that is gone by the time of the second is forgotten", async () => {
    const { inner, key, cached, calls, looking, first, second } = await both();
    await first.answer();
    expect(isKnown(cached, key.hash)).toBe(true);
    inner.findByHash = () => undefined;
    await second.answer();
    expect(await Promise.all(looking)).toEqual([key, undefined]);
    expect(isKnown(cached, key.hash)).toBe(false);
    expect(calls).toHaveLength(1);
  });

  test("an absence that is over by the time of the second does not come back", async () => {
    const { inner, key, cached, calls, looking, first, second } = await both({ negativeTtl: "1m" });
    const { findByHash } = inner;
    inner.findByHash = () => undefined;
    first.perform();
    inner.findByHash = findByHash;
    await first.answer();
    await second.answer();
    expect(await Promise.all(looking)).toEqual([undefined, key]);
    await cached.findById(key.id);
    expect(isKnown(cached, key.hash)).toBe(false);
    expect(calls).toHaveLength(1);
  });
});

describe("an absence that a new key overtakes is answered, and not kept", () => {
  test("when the key is made here", async () => {
    const { cached, next, look } = await arena({ negativeTtl: "1m" });
    const key = keyOf();
    const looking = found(cached, key.hash);
    const reading = next("findByHash");
    reading.perform();
    const writing = cached.insert(key, auditOf(key));
    await next("insert").answer();
    await writing;
    await reading.answer();
    expect(await looking).toBeUndefined();
    expect((await look(key.hash)).record).toEqual(key);
  });

  test("when the key is being made here", async () => {
    const { cached, next, look } = await arena({ negativeTtl: "1m" });
    const key = keyOf();
    const writing = cached.insert(key, auditOf(key));
    const insert = next("insert");
    for (let i = 0; i < 2; i++) expect(await look(key.hash)).toEqual({ asked: true, record: undefined });
    // Others are kept, also while this one hangs.
    await look(hashSecret("unknown"));
    expect((await look(hashSecret("unknown"))).asked).toBe(false);
    await insert.answer();
    await writing;
    expect((await look(key.hash)).record).toEqual(key);
  });

  test("until it has failed to be made", async () => {
    const { cached, next, look } = await arena({ negativeTtl: "1m" });
    const key = keyOf();
    const writing = cached.insert(key, auditOf(key));
    await Promise.all([expect(writing).rejects.toThrow("full"), next("insert").fail(new Error("full"))]);
    expect((await look(key.hash)).asked).toBe(true);
    expect((await look(key.hash)).asked).toBe(false);
  });

  test("when the key is made elsewhere", async () => {
    const bus = localBus();
    const inner = memoryStore();
    const other = cachedStore(inner, { bus, ...PATIENT });
    const { cached, next, look } = await arena({ bus, negativeTtl: "1m" });
    await Promise.all([cached.ready(), other.ready()]);
    const key = keyOf();
    await other.update("nobody", 1, {}, auditOf(key)); // its first message makes everything be forgotten
    await look(hashSecret("kept"));
    expect((await look(hashSecret("kept"))).asked).toBe(false);
    const looking = found(cached, key.hash);
    const reading = next("findByHash");
    await other.insert(key, auditOf(key));
    await reading.answer();
    await looking;
    expect((await look(key.hash)).asked).toBe(true);
    expect((await look(hashSecret("kept"))).asked).toBe(true);
    await Promise.all([cached.close(), other.close()]);
  });

  test("a change that makes no key leaves absences where they are", async () => {
    const { next, revoke, look } = await arena({ negativeTtl: "1m" });
    await look(hashSecret("unknown"));
    const writing = revoke();
    await next("update").answer();
    await writing;
    expect((await look(hashSecret("unknown"))).asked).toBe(false);
  });
});

test("a revocation that is found to be made already holds, also elsewhere, though it failed when it was tried", async () => {
  const bus = localBus();
  const inner = memoryStore();
  const { store: holding, calls } = held(inner);
  const here = cachedStore(
    { ...holding, findByHash: inner.findByHash, insert: inner.insert },
    { bus, ttl: "1h", ...PATIENT },
  );
  const there = cachedStore(inner, { bus, ttl: "1h", ...PATIENT });
  await Promise.all([here.ready(), there.ready()]);
  const scopes = defineScopes({ "vehicles:read": {} });
  const manager = createKeyManager({ store: here, scopes, format: keyFormat({ prefix: "ezt" }) });
  const { key } = await manager.create({ ownerId: "acme", scopes: ["vehicles:read"] });
  const { hash } = (await inner.findById(key.id)) as KeyRecord;

  const failing = manager.revoke(key.id);
  await settled();
  const update = calls.shift() as HeldCall;
  await Promise.all([expect(failing).rejects.toThrow(), update.fail(new Error("the connection was lost"))]);
  // Both have it again, as it still is; then the server gets round to the commit that nobody waits for.
  for (const store of [here, there]) expect((await found(store, hash))?.revokedAt).toBeNull();
  update.perform();
  expect((await manager.revoke(key.id)).status).toBe("revoked");
  expect(calls).toEqual([]);
  for (const store of [here, there]) expect((await found(store, hash))?.revokedAt).toBeInstanceOf(Date);
  await Promise.all([here.close(), there.close()]);
});

describe("in any order", () => {
  type Step = "look" | "revoke" | "read" | "fail before" | "fail after" | "fail early";
  const steps = fc.array(
    fc.record({
      step: fc.oneof(
        { weight: 3, arbitrary: fc.constant<Step>("look") },
        {
          weight: 1,
          arbitrary: fc.constantFrom<Step>("revoke", "read", "fail before", "fail after", "fail early"),
        },
      ),
      key: fc.integer({ min: 0, max: 1 }),
      instance: fc.integer({ min: 0, max: 1 }),
    }),
    { minLength: 3, maxLength: 12, size: "max" },
  );
  const actors = fc.array(steps, { minLength: 2, maxLength: 5, size: "max" });

  /** What a database does: the work happens at some moment between the question and its answer. */
  function database(memory: ManagedKeyStore, s: fc.Scheduler): ManagedKeyStore {
    const later =
      <A extends unknown[], R>(name: string, method: (...args: A) => R) =>
      async (...args: A): Promise<Awaited<R>> => {
        await s.schedule(Promise.resolve(), `${name} begins`);
        const result = await method(...args);
        await s.schedule(Promise.resolve(), `${name} ends`);
        return result;
      };
    return {
      ...memory,
      findByHash: later("lookup", memory.findByHash),
      findById: later("reading", memory.findById),
      update: later("update", memory.update),
    };
  }

  test("no lookup that begins after a change is known of answers what was before it", async () => {
    let looked = 0;
    let hits = 0;
    let asked = 0;
    await fc.assert(
      fc.asyncProperty(fc.scheduler(), actors, async (s, programs) => {
        const memory = memoryStore();
        const keys = [await added(memory), await added(memory)] as const;
        const inner = database(memory, s);
        let failure: Step | undefined;
        const late: unknown[] = [];
        const failing: ManagedKeyStore = {
          ...inner,
          findByHash(hash) {
            asked += 1;
            return inner.findByHash(hash);
          },
          async update(...args) {
            const fault = failure;
            failure = undefined;
            if (fault === "fail before") throw new Error(fault);
            if (fault === "fail early") {
              late.push(inner.update(...args)); // it is done later
              throw new Error(fault);
            }
            const result = inner.update(...args);
            await result;
            if (fault === "fail after") throw new Error(fault);
            return result;
          },
        };
        const bus = localBus();
        const options = { bus, ttl: "1h", ...PATIENT } as const;
        const stores = [cachedStore(failing, options), cachedStore(failing, options)] as const;
        await Promise.all(stores.map((store) => store.ready()));

        // The least version that a lookup may answer: by instance, and by key.
        const floors = [
          [1, 1],
          [1, 1],
        ] as [[number, number], [number, number]];
        const raise = (instance: number, key: number, version: number) => {
          const own = floors[instance] as [number, number];
          own[key as 0 | 1] = Math.max(own[key as 0 | 1], version);
        };
        // Messages take their time, and keep their order. When one has arrived, everything that was committed
        // before it was sent is known.
        let delivered = Promise.resolve();
        bus.onPublish = async (message) => {
          const versions = await Promise.all(
            keys.map(async ({ id }) => (await memory.findById(id))?.version ?? 0),
          );
          delivered = delivered.then(async () => {
            await s.schedule(Promise.resolve(), "delivery");
            bus.deliver(message);
            if (JSON.parse(message).type !== "changed") return;
            for (const [index, { id }] of keys.entries()) {
              if (JSON.parse(message).id !== id) continue;
              for (const instance of [0, 1]) raise(instance, index, versions[index] ?? 0);
            }
          });
        };

        const take = async ({
          step,
          key: index,
          instance,
        }: (typeof programs)[number][number]): Promise<void> => {
          const key = keys[index] as KeyRecord;
          const store = stores[instance] as (typeof stores)[number];
          if (step === "look") {
            const least = floors[instance]?.[index] ?? 0;
            looked += 1;
            const before = asked;
            const record = await found(store, key.hash);
            if (asked === before) hits += 1;
            expect(record?.version).toBeGreaterThanOrEqual(least);
            return;
          }
          const current = (await store.findById(key.id)) as KeyRecord;
          raise(instance, index, current.version);
          if (step === "read") return;
          if (step !== "revoke") failure = step;
          const updating = store.update(key.id, current.version, { name: step }, auditOf(key));
          const done = await Promise.resolve(updating).catch(() => false);
          if (done) raise(instance, index, current.version + 1);
        };
        const running = programs.map(async (program) => {
          for (const one of program) {
            await s.schedule(Promise.resolve(), one.step);
            await take(one);
          }
        });
        await s.waitFor(Promise.all(running));
        await settled();
        await s.waitFor(delivered);
        await s.waitFor(Promise.all(late));
        // What was done after it had failed is known to nobody until somebody reads it.
        if (programs.flat().some(({ step }) => step === "fail early"))
          await s.waitFor(Promise.all(stores.flatMap((store) => keys.map(({ id }) => store.findById(id)))));
        await settled();
        await s.waitFor(delivered);
        // In the end everybody knows everything, and answers it from memory.
        for (const [index, store] of [...stores, ...stores].entries()) {
          for (const key of keys) {
            const before = asked;
            expect(await s.waitFor(found(store, key.hash))).toEqual(await memory.findById(key.id));
            if (index > 1) expect(asked).toBe(before);
          }
        }
        await Promise.all(stores.map((store) => store.close()));
      }),
      { numRuns: 300 },
    );
    expect(hits).toBeGreaterThan(looked / 20); // a cache that keeps nothing would be right, too
  });
});
