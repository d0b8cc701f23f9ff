import fc from "fast-check";
import { describe, expect, onTestFinished, test, vi } from "vitest";
import { type CachedStoreOptions, cachedStore } from "../../../src/cache/index.js";
import type { KeyHash, KeyRecord, ManagedKeyStore } from "../../../src/index.js";
import { memoryStore } from "../../../src/stores/memory.js";
import {
  added,
  auditOf,
  found,
  type HeldCall,
  held,
  isCached,
  localBus,
  settled,
} from "../../unit/cache/fixtures.js";

const PATIENT = { storeTimeout: "60000ms", heartbeat: "60000ms" } as const;

/** Uses fake timers, so that a call does not time out on a busy machine. */
function holdTimers(): void {
  vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] });
  onTestFinished(() => void vi.useRealTimers());
}

/** Creates a cache over a store whose lookups and changes wait for the test. */
async function arena(options: CachedStoreOptions = {}) {
  const inner: { -readonly [Method in keyof ManagedKeyStore]: ManagedKeyStore[Method] } = {
    ...memoryStore(),
  };
  const key = await added(inner);
  const { store, calls } = held(inner);
  const cached = cachedStore(store, { ttl: "1m", ...PATIENT, ...options });
  const next = (method: string): HeldCall => {
    const call = calls.shift();
    if (call?.method !== method) throw new Error(`expected ${method}, received ${call?.method ?? "no call"}`);
    return call;
  };
  const revoke = (record = key, version = record.version) =>
    cached.update(record.id, version, { revokedAt: new Date() }, auditOf(record));
  /** Looks a key up. Returns the record and whether the store was called. */
  const look = async (hash: KeyHash = key.hash) => {
    const looking = found(cached, hash);
    if (options.bus !== undefined) await settled();
    const storeCalled = calls.length > 0;
    if (storeCalled) await next("findByHash").answer();
    return { storeCalled, record: await looking };
  };
  return { inner, key, cached, calls, next, revoke, look };
}

describe("a lookup is not cached", () => {
  test("if a change starts and returns during it", async () => {
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
    expect(after).toMatchObject({ storeCalled: true, record: { revokedAt: expect.any(Date) } });
    expect((await look()).storeCalled).toBe(false);
  });

  test("if it starts and returns during a change", async () => {
    const { key, cached, next, revoke, look } = await arena();
    const writing = revoke();
    const update = next("update");
    expect(await look()).toMatchObject({ storeCalled: true, record: { revokedAt: null } });
    expect(isCached(cached, key.hash)).toBe(false);
    await next("findByHash").answer();
    await update.answer();
    await writing;
    expect(await look()).toMatchObject({ storeCalled: true, record: { revokedAt: expect.any(Date) } });
  });

  test("if it starts during a change and returns after it", async () => {
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

  test("if the change is committed but has not returned", async () => {
    const { key, cached, next, revoke, look } = await arena();
    await look();
    expect(isCached(cached, key.hash)).toBe(true);
    const writing = revoke();
    const update = next("update");
    update.perform();
    for (let i = 0; i < 2; i++) {
      expect(await look()).toMatchObject({ storeCalled: true, record: { revokedAt: expect.any(Date) } });
    }
    await update.answer();
    await writing;
  });

  test("if the change is committed and then rejects", async () => {
    const { next, revoke, look } = await arena();
    await look();
    const writing = revoke();
    const update = next("update");
    update.perform();
    await Promise.all([expect(writing).rejects.toThrow("lost"), update.fail(new Error("lost"))]);
    expect(await look()).toMatchObject({ storeCalled: true, record: { revokedAt: expect.any(Date) } });
  });

  test("if one of two changes is still pending", async () => {
    const { next, revoke, look } = await arena();
    const writing = [revoke(), revoke()];
    const [first, second] = [next("update"), next("update")];
    await first.answer();
    for (let i = 0; i < 2; i++) expect((await look()).storeCalled).toBe(true);
    await second.answer();
    expect(await Promise.all(writing)).toEqual([true, false]);
    await look();
    expect((await look()).storeCalled).toBe(false);
  });

  test("if a message about the key arrives during it", async () => {
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
    expect((await look()).storeCalled).toBe(true);
    await Promise.all([cached.close(), other.close()]);
  });

  test("if the cache is closed during it", async () => {
    const { key, cached, next, look } = await arena();
    const looking = found(cached, key.hash);
    await cached.close();
    await next("findByHash").answer();
    expect(await looking).toEqual(key);
    expect((await look()).storeCalled).toBe(true);
  });

  test("if more changes happen during it than are tracked", async () => {
    const { inner, key, cached, next, look } = await arena();
    const looking = found(cached, key.hash);
    const reading = next("findByHash");
    for (let i = 0; i < 1_100; i++) await cached.findById(`other ${i}`);
    await reading.answer();
    await looking;
    expect((await look()).storeCalled).toBe(true);
    expect(await inner.findById(key.id)).toBeDefined();
  });

  test("if findById returns a newer version during it", async () => {
    const { inner, key, cached, next, look } = await arena();
    const looking = found(cached, key.hash);
    const reading = next("findByHash");
    reading.perform();
    await inner.update(key.id, 1, { revokedAt: new Date() }, auditOf(key)); // by another process
    await cached.findById(key.id);
    await reading.answer();
    await looking;
    expect(await look()).toMatchObject({ storeCalled: true, record: { revokedAt: expect.any(Date) } });
  });
});

describe("a lookup is cached", () => {
  test("if only other keys change", async () => {
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
    expect((await look()).storeCalled).toBe(false);
  });

  test("if a change of another key hangs", async () => {
    const { inner, revoke, look, next } = await arena();
    const other = await added(inner);
    void revoke(other);
    next("update");
    await look();
    expect((await look()).storeCalled).toBe(false);
    for (let i = 0; i < 2; i++) expect((await look(other.hash)).storeCalled).toBe(true);
  });

  test("and not replaced by the result of an earlier lookup", async () => {
    holdTimers();
    const { inner, key, cached, calls, next } = await arena({ storeTimeout: "1000ms" });
    const [slow, quick] = [found(cached, key.hash), found(cached, key.hash)];
    slow.catch(() => {});
    const first = next("findByHash");
    first.perform();
    await inner.update(key.id, 1, { revokedAt: new Date() }, auditOf(key)); // by another process, without a message
    await vi.advanceTimersByTimeAsync(100); // the next lookup starts after a tenth of the timeout
    await next("findByHash").answer();
    expect((await quick)?.revokedAt).toBeInstanceOf(Date);
    await first.answer();
    await slow.catch(() => {});
    expect((await found(cached, key.hash))?.revokedAt).toBeInstanceOf(Date);
    expect(calls).toEqual([]);
  });
});

describe("concurrent lookups of one hash", () => {
  /** Starts two lookups. The store reads the second one later. */
  const both = async (options: CachedStoreOptions = {}) => {
    holdTimers();
    const cache = await arena({ storeTimeout: "1000ms", ...options });
    const { key, cached, next } = cache;
    const looking = [found(cached, key.hash), found(cached, key.hash)];
    const first = next("findByHash");
    await vi.advanceTimersByTimeAsync(100); // the next lookup starts after a tenth of the timeout
    return { ...cache, looking, first, second: next("findByHash") };
  };

  test("a record that the later lookup does not find is evicted", async () => {
    const { inner, key, cached, calls, looking, first, second } = await both();
    await first.answer();
    expect(isCached(cached, key.hash)).toBe(true);
    inner.findByHash = () => undefined;
    await second.answer();
    expect(await Promise.all(looking)).toEqual([key, undefined]);
    expect(isCached(cached, key.hash)).toBe(false);
    expect(calls).toHaveLength(1);
  });
});

describe("for any order of operations", () => {
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

  /** Performs each call at some time between the call and its result, like a database. */
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

  test("a lookup never returns a record older than a change that was visible before it", async () => {
    let looked = 0;
    let hits = 0;
    let storeCalls = 0;
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
            storeCalls += 1;
            return inner.findByHash(hash);
          },
          async update(...args) {
            const fault = failure;
            failure = undefined;
            if (fault === "fail before") throw new Error(fault);
            if (fault === "fail early") {
              late.push(inner.update(...args)); // committed later
              throw new Error(fault);
            }
            const result = inner.update(...args);
            await result;
            if (fault === "fail after") throw new Error(fault);
            return result;
          },
        };
        const bus = localBus();
        const options = { bus, ttl: "1m", ...PATIENT } as const;
        const stores = [cachedStore(failing, options), cachedStore(failing, options)] as const;
        await Promise.all(stores.map((store) => store.ready()));

        // The lowest version that a lookup may return, by instance and key.
        const floors = [
          [1, 1],
          [1, 1],
        ] as [[number, number], [number, number]];
        const raise = (instance: number, key: number, version: number) => {
          const own = floors[instance] as [number, number];
          own[key as 0 | 1] = Math.max(own[key as 0 | 1], version);
        };
        // Messages are delayed but stay in order. A message makes every change visible that was committed before it.
        let delivered = Promise.resolve();
        bus.onPublish = async (message) => {
          const versions = await Promise.all(
            keys.map(async ({ id }) => (await memory.findById(id))?.version ?? 0),
          );
          delivered = delivered.then(async () => {
            await s.schedule(Promise.resolve(), "delivery");
            bus.deliver(message);
            for (const [index, { id }] of keys.entries()) {
              if (message !== id) continue;
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
            const before = storeCalls;
            const record = await found(store, key.hash);
            if (storeCalls === before) hits += 1;
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
        // A change that was committed after it rejected becomes visible with the next findById.
        if (programs.flat().some(({ step }) => step === "fail early"))
          await s.waitFor(Promise.all(stores.flatMap((store) => keys.map(({ id }) => store.findById(id)))));
        await settled();
        await s.waitFor(delivered);
        // In the end, every cache returns the current record as a hit.
        for (const [index, store] of [...stores, ...stores].entries()) {
          for (const key of keys) {
            const before = storeCalls;
            expect(await s.waitFor(found(store, key.hash))).toEqual(await memory.findById(key.id));
            if (index > 1) expect(storeCalls).toBe(before);
          }
        }
        await Promise.all(stores.map((store) => store.close()));
      }),
      { numRuns: 300 },
    );
    expect(hits).toBeGreaterThan(looked / 20); // proves that the cache is used
  });
});
