import { MessageChannel } from "node:worker_threads";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { cachedStore, type InvalidationBus } from "../../../src/cache/index.js";
import {
  hashSecret,
  type KeyHash,
  type KeyRecord,
  type ManagedKeyStore,
  StoreError,
} from "../../../src/index.js";
import { memoryStore } from "../../../src/stores/memory.js";
import {
  added,
  auditOf,
  found,
  isHit,
  keyOf,
  type LocalBus,
  localBus,
  observed,
  revoked,
  settled,
} from "../../unit/cache/fixtures.js";

const opened: { close(): Promise<void> }[] = [];
const unhandled: unknown[] = [];
const onUnhandled = (reason: unknown) => unhandled.push(reason);

/** Advances the fake clock and timers. */
const pass = (milliseconds: number) => vi.advanceTimersByTimeAsync(milliseconds);

beforeEach(() => {
  // On a busy machine, a lease could end in the middle of a test.
  vi.useFakeTimers({ toFake: ["performance", "setInterval", "clearInterval"] });
  unhandled.length = 0;
  process.on("unhandledRejection", onUnhandled);
});

afterEach(async () => {
  vi.useRealTimers();
  await Promise.all(opened.splice(0).map((store) => store.close()));
  await settled();
  process.off("unhandledRejection", onUnhandled);
  expect(unhandled).toEqual([]);
});

/** Creates a cache over an asynchronous store and records its events. */
function instance(bus: InvalidationBus, inner: ManagedKeyStore, options = {}) {
  const remote = { ...inner, findByHash: async (hash: KeyRecord["hash"]) => inner.findByHash(hash) };
  const cache = observed(remote, { bus, ttl: "1h", ...options });
  opened.push(cache.store);
  return cache;
}

/** Creates two caches over one store and one bus. Each has received a message of the other. */
async function pair(inner: ManagedKeyStore, options = {}) {
  const bus = localBus();
  const [here, there] = [instance(bus, inner, options), instance(bus, inner, options)];
  for (const { store } of [here, there]) {
    await store.ready();
    await store.update("unknown", 1, {}, auditOf(keyOf()));
  }
  return { bus, inner, here, there };
}

/** The same, with a key that both have cached. */
async function two(options = {}) {
  const { bus, inner, here, there } = await pair(memoryStore(), options);
  const key = await added(inner);
  for (const { store } of [here, there]) await found(store, key.hash);
  return { bus, inner, here, there, key };
}

const parsed = (bus: LocalBus) => bus.sent.map((text) => JSON.parse(text));

describe("two caches on one bus", () => {
  test("a change through one is visible in the other when it returns", async () => {
    const { here, there, key } = await two();
    expect(await isHit(there.store, key.hash)).toBe(true);
    await revoked(here.store, key);
    expect((await found(there.store, key.hash))?.revokedAt).toBeInstanceOf(Date);
  });

  test.each<[string, (store: ManagedKeyStore, key: KeyRecord) => unknown]>([
    ["update", (store, key) => store.update(key.id, 1, { name: "after" }, auditOf(key))],
    ["replace", (store, key) => store.replace(key.id, 1, { name: "after" }, keyOf(), auditOf(key))],
    ["rehash", (store, key) => store.rehash?.(key.id, key.hash, hashSecret("to"), auditOf(key))],
    ["remove", (store, key) => store.remove?.(key.id, 1, auditOf(key))],
  ])("%s evicts the key in the other", async (_, change) => {
    const inner = { ...memoryStore(), rehash: async () => true, remove: async () => true };
    const { bus, here, there } = await pair(inner);
    const [key, other] = [await added(inner), await added(inner)];
    for (const { hash } of [key, other]) await found(there.store, hash);
    expect(await isHit(there.store, key.hash)).toBe(true);
    await change(here.store, key);
    expect(await isHit(there.store, key.hash)).toBe(false);
    expect(await isHit(there.store, other.hash)).toBe(true);
    expect(parsed(bus).at(-1)).toMatchObject({ type: "changed", id: key.id });
  });

  test("messages contain ids, but no hashes or other members of keys", async () => {
    const { bus, here, key } = await two();
    const inserted = keyOf({ name: "Fleet dashboard", metadata: { plan: "pro" } });
    await here.store.insert(inserted, auditOf(inserted));
    await here.store.replace(key.id, 1, { name: "after" }, keyOf(), auditOf(key));
    const messages = bus.sent.join();
    expect(messages).toContain(inserted.id);
    expect(messages).toContain(key.id);
    expect(messages).not.toMatch(/[0-9a-f]{64}|Fleet|pro|after|acme/);
  });

  test("an id that is too long for a message clears the other cache", async () => {
    const { bus, here, there, key } = await two();
    const inserted = keyOf({ id: "é".repeat(3_000) });
    await here.store.insert(inserted, auditOf(inserted));
    expect(await isHit(there.store, key.hash)).toBe(false);
    for (const text of bus.sent) expect(Buffer.byteLength(text)).toBeLessThanOrEqual(4_000);
  });

  test("ids may contain any characters", async () => {
    const { here, there, inner } = await two();
    const key = await added(inner, { id: `'"\\\n\u0000\u2028 日本 😀 \ud800` });
    await found(there.store, key.hash);
    expect(await isHit(there.store, key.hash)).toBe(true);
    await here.store.update(key.id, 1, { name: "after" }, auditOf(key));
    expect(await isHit(there.store, key.hash)).toBe(false);
  });
});

describe("messages", () => {
  const good = { v: 1, from: "other", number: 1, type: "changed", id: "a" };

  test.each<[string, unknown]>([
    ["that is not JSON", "changed key_1"],
    ["that is empty", ""],
    ["that is not a string", undefined],
    ["of bytes", Buffer.from(JSON.stringify(good))],
    ["that is not an object", "null"],
    ["that is an array", "[]"],
    ["of another version", JSON.stringify({ ...good, v: 2 })],
    ["of another type", JSON.stringify({ ...good, type: "rotated" })],
    ["without an id", JSON.stringify({ ...good, id: undefined })],
    ["with an id that is not a string", JSON.stringify({ ...good, id: 1 })],
    ["without a sender", JSON.stringify({ ...good, from: undefined })],
    ["with a long sender", JSON.stringify({ ...good, from: "x".repeat(65) })],
    ["without a number", JSON.stringify({ ...good, number: undefined })],
    ["with the number 0", JSON.stringify({ ...good, number: 0 })],
    ["with a fractional number", JSON.stringify({ ...good, number: 1.5 })],
    ["with an unsafe integer", JSON.stringify({ ...good, number: 2 ** 53 })],
    ["that is too long", JSON.stringify({ ...good, id: "x".repeat(4_000) })],
  ])("a message %s clears the cache, which stays in use", async (_, message) => {
    const { bus, here, key } = await two();
    bus.deliver(message as string);
    expect(await isHit(here.store, key.hash)).toBe(false);
    await found(here.store, key.hash);
    expect(await isHit(here.store, key.hash)).toBe(true);
    expect(here.types()).toEqual([]);
  });

  test("a lookup during an invalid message is not cached", async () => {
    const bus = localBus();
    const inner = memoryStore();
    const key = await added(inner);
    const results: (() => void)[] = [];
    const findByHash = (hash: KeyRecord["hash"]) =>
      new Promise<KeyRecord | undefined>((resolve) => {
        results.push(() => resolve(inner.findByHash(hash) as KeyRecord | undefined));
      });
    const { store } = observed({ ...inner, findByHash }, { bus, storeTimeout: "60000ms" });
    opened.push(store);
    await store.ready();
    for (const invalid of [true, false]) {
      const looking = found(store, key.hash);
      expect(results).toHaveLength(1);
      if (invalid) bus.deliver("nonsense");
      results.shift()?.();
      await looking;
    }
    expect(await isHit(store, key.hash)).toBe(true);
  });

  test("a valid message of another cache evicts only its key", async () => {
    const { bus, here, key } = await two();
    bus.deliver(JSON.stringify({ ...good, number: 1, type: "ping" }));
    bus.deliver(JSON.stringify({ ...good, number: 2, id: "another" }));
    expect(await isHit(here.store, key.hash)).toBe(true);
    bus.deliver(JSON.stringify({ ...good, number: 3, id: key.id }));
    expect(await isHit(here.store, key.hash)).toBe(false);
  });

  test.each([
    ["a missing message", [1, 2, 4]],
    ["a repeated message", [1, 1]],
    ["a late message", [2]],
  ])("%s clears the cache", async (_, numbers) => {
    const { bus, here, key } = await two();
    for (const number of numbers) {
      await found(here.store, key.hash);
      expect(await isHit(here.store, key.hash)).toBe(true);
      bus.deliver(JSON.stringify({ ...good, number, id: "another" }));
    }
    expect(await isHit(here.store, key.hash)).toBe(false);
  });

  test("the message after one that could not be sent clears other caches", async () => {
    const { bus, here, there, key } = await two({ heartbeat: "200ms" });
    const deliver = bus.onPublish;
    bus.onPublish = (message) => {
      if (JSON.parse(message).type === "changed") throw new Error("lost");
      return deliver(message);
    };
    await revoked(here.store, key);
    expect(here.events).toMatchObject([{ type: "background.failed", task: "invalidate", keyId: key.id }]);
    expect(await isHit(there.store, key.hash)).toBe(true);
    await pass(200);
    expect(await isHit(there.store, key.hash)).toBe(false);
    expect((await found(there.store, key.hash))?.revokedAt).toBeInstanceOf(Date);
    expect(there.types()).toEqual([]);
  });
});

describe("a publish() that fails", () => {
  test.each<[string, () => unknown]>([
    ["rejects", () => Promise.reject(new Error("secret-password"))],
    [
      "throws",
      () => {
        throw new Error("secret-password");
      },
    ],
    ["hangs", () => new Promise(() => {})],
  ])("and %s does not prevent or delay the change, and emits background.failed", async (_, publish) => {
    vi.useFakeTimers();
    const { bus, here, key } = await two();
    bus.onPublish = publish;
    const done = vi.fn();
    const revoking = revoked(here.store, key).then(done);
    await pass(250);
    expect(done).toHaveBeenCalledExactlyOnceWith(true);
    await revoking;
    const [event] = here.events;
    expect(event).toMatchObject({
      type: "background.failed",
      task: "invalidate",
      keyId: key.id,
      at: expect.any(Date),
    });
    expect(String((event as { error?: Error }).error)).toContain("StoreError");
    expect(JSON.stringify(here.events) + String((event as { error?: Error }).error?.stack)).not.toContain(
      "secret",
    );
    expect((await found(here.store, key.hash))?.revokedAt).toBeInstanceOf(Date);
  });

  test("a change that fails rejects with its own error and evicts the key elsewhere", async () => {
    const bus = localBus();
    const inner = memoryStore();
    const failing = instance(bus, { ...inner, update: () => Promise.reject(new Error("mine")) });
    const there = instance(bus, inner);
    await Promise.all([failing.store.ready(), there.store.ready()]);
    const key = await added(inner);
    await found(there.store, key.hash);
    await expect(failing.store.update(key.id, 1, {}, auditOf(key))).rejects.toThrow("mine");
    expect(await isHit(there.store, key.hash)).toBe(false);
  });

  test("after a failed change, each findById evicts the key elsewhere, until a change succeeds", async () => {
    const bus = localBus();
    const inner = memoryStore();
    let broken = true;
    const update: ManagedKeyStore["update"] = (...args) => {
      if (broken) throw new Error("mine");
      return inner.update(...args);
    };
    const { store } = instance(bus, { ...inner, update });
    await store.ready();
    const key = await added(inner);
    const published = () => parsed(bus).filter(({ type }) => type === "changed").length;
    await store.findById(key.id);
    expect(published()).toBe(0);
    await expect(revoked(store, key)).rejects.toThrow("mine");
    await store.findById(key.id);
    await store.findById(key.id);
    expect(published()).toBe(3);
    broken = false;
    await revoked(store, key); // calls findById and update
    expect(published()).toBe(5);
    await store.findById(key.id);
    expect(published()).toBe(5);
  });

  test("has at most 1,000 pending messages", async () => {
    const { bus, here, key } = await two();
    bus.onPublish = () => new Promise(() => {});
    const before = bus.sent.length;
    const changes = Array.from({ length: 1_200 }, () => here.store.update(key.id, 99, {}, auditOf(key)));
    await Promise.all(changes);
    expect(bus.sent.length - before).toBeLessThanOrEqual(1_000);
    expect(here.events).toHaveLength(1_200);
    const failure = (driverError: Error) =>
      expect.objectContaining({
        message: "A changed key could not be invalidated in other processes",
        driverError,
      });
    expect(here.events.map((event) => "error" in event && event.error)).toContainEqual(
      failure(new StoreError("The invalidation bus has 1000 pending messages")),
    );
  });

  test("has no limit on messages that are published one after the other", async () => {
    const { bus, here, key } = await two();
    const before = bus.sent.length;
    for (let i = 0; i < 1_100; i++) await here.store.update(key.id, 99, {}, auditOf(key));
    expect(bus.sent.length - before).toBe(1_100);
    expect(here.events).toEqual([]);
  });
});

describe("while the bus is down", () => {
  test("every lookup goes to the store and is not cached, from the start", async () => {
    const bus = localBus({ up: false });
    const inner = memoryStore();
    const { store, events } = instance(bus, inner);
    const key = await added(inner);
    for (let i = 0; i < 3; i++) {
      expect(await isHit(store, key.hash)).toBe(false);
      expect(await found(store, key.hash)).toEqual(key);
    }
    bus.setState(true);
    await store.ready();
    expect(await isHit(store, key.hash)).toBe(false);
    await found(store, key.hash);
    expect(await isHit(store, key.hash)).toBe(true);
    expect(events).toEqual([]);
  });

  test("concurrent lookups go to the store in one call, after the first", async () => {
    const inner = memoryStore();
    const findByHash = vi.fn(async (hash: KeyHash) => inner.findByHash(hash));
    const findManyByHash = vi.fn(async (hashes: readonly KeyHash[]) =>
      Promise.all(hashes.map((hash) => inner.findByHash(hash))),
    );
    const { store } = instance(localBus({ up: false }), { ...inner, findByHash, findManyByHash });
    const keys = [await added(inner), await added(inner), await added(inner)];
    for (let i = 1; i < 3; i++) {
      const results = await Promise.all(keys.map(({ hash }) => found(store, hash)));
      expect(results).toEqual(keys);
      expect(findByHash).toHaveBeenCalledTimes(i);
      expect(findManyByHash).toHaveBeenCalledTimes(i);
    }
  });

  test("cache.bypassed and cache.resumed are emitted once each, from the start", async () => {
    const bus = localBus({ up: false });
    const { store, types } = instance(bus, memoryStore(), { heartbeat: "10ms" });
    await pass(29);
    expect(types()).toEqual([]);
    await pass(1);
    expect(types()).toEqual(["cache.bypassed"]);
    await pass(100);
    bus.setState(true);
    await store.ready();
    expect(types()).toEqual(["cache.bypassed", "cache.resumed"]);
    bus.setState(false);
    bus.setState(true);
    expect(types().slice(2)).toEqual(["cache.bypassed", "cache.resumed"]);
  });

  test("the cache is cleared and not filled, and cache.bypassed is emitted once", async () => {
    const { bus, here, key, inner } = await two();
    bus.setState(false);
    bus.setState(false);
    for (let i = 0; i < 3; i++) expect(await isHit(here.store, key.hash)).toBe(false);
    await revoked(inner, key);
    expect((await found(here.store, key.hash))?.revokedAt).toBeInstanceOf(Date);
    expect(here.types()).toEqual(["cache.bypassed"]);
    expect(here.events).toMatchObject([{ at: expect.any(Date) }]);
    bus.setState(true);
    expect(here.types()).toEqual(["cache.bypassed", "cache.resumed"]);
    expect(await isHit(here.store, key.hash)).toBe(false);
    await found(here.store, key.hash);
    expect(await isHit(here.store, key.hash)).toBe(true);
  });

  test("a lookup that starts is not cached", async () => {
    const bus = localBus();
    const inner = memoryStore();
    let respond: () => void = () => {};
    const slow = {
      ...inner,
      findByHash: (hash: KeyRecord["hash"]) =>
        new Promise<KeyRecord>((resolve) => {
          respond = () => resolve(inner.findByHash(hash) as KeyRecord);
        }),
    };
    const { store } = observed(slow, { bus, ttl: "1h", storeTimeout: "60000ms" });
    opened.push(store);
    await store.ready();
    const key = await added(inner);
    for (const [before, after] of [
      [true, false],
      [false, true],
      [true, true],
    ] as const) {
      bus.setState(before);
      const looking = found(store, key.hash);
      bus.setState(false);
      bus.setState(after);
      respond();
      await looking;
      bus.setState(true);
      expect(await isHit(store, key.hash)).toBe(false);
      respond();
      await settled();
      bus.setState(false);
    }
  });

  test("the cache is not used until a ping comes back over the new connection", async () => {
    const { bus, here, key } = await two();
    const late: string[] = [];
    bus.onPublish = (message) => late.push(message);
    bus.setState(false);
    bus.setState(true);
    const ofFirstConnection = late.splice(0);
    bus.setState(false);
    bus.setState(true);
    for (const message of ofFirstConnection) bus.deliver(message);
    await found(here.store, key.hash);
    expect(await isHit(here.store, key.hash)).toBe(false);
    for (const message of late) bus.deliver(message);
    await found(here.store, key.hash);
    expect(await isHit(here.store, key.hash)).toBe(true);
  });

  test("a connection reported up twice counts as a new one", async () => {
    const { bus, here, key } = await two();
    bus.setState(true);
    expect(await isHit(here.store, key.hash)).toBe(false);
    expect(here.types()).toEqual(["cache.bypassed", "cache.resumed"]);
  });
});

describe("a bus that is reported up", () => {
  test("but returns no pings bypasses the cache until it does", async () => {
    const { bus, here, key } = await two(); // a heartbeat of 1,000
    const deliver = bus.onPublish;
    await pass(4_000);
    expect(await isHit(here.store, key.hash)).toBe(true);
    bus.onPublish = () => {};
    await pass(2_999);
    expect(here.types()).toEqual([]);
    await pass(1);
    expect(here.types()).toEqual(["cache.bypassed"]);
    expect(await isHit(here.store, key.hash)).toBe(false);
    bus.onPublish = deliver;
    await pass(1_000); // the pings of the other cache reveal a gap too
    expect(here.types()).toEqual(["cache.bypassed", "cache.resumed"]);
    await found(here.store, key.hash);
    expect(await isHit(here.store, key.hash)).toBe(true);
  });

  test("and delivers every message twice does not bypass the cache", async () => {
    const { bus, here, key } = await two();
    const deliver = bus.onPublish;
    bus.onPublish = async (message) => {
      for (let time = 0; time < 2; time++) await deliver(message);
    };
    await pass(60_000);
    await found(here.store, key.hash); // a repeated message counts as a gap
    expect(await isHit(here.store, key.hash)).toBe(true);
    expect(here.types()).toEqual([]);
  });

  test("and is slower than a heartbeat does not bypass the cache", async () => {
    vi.useFakeTimers({
      toFake: ["performance", "setInterval", "clearInterval", "setTimeout", "clearTimeout"],
    });
    const { bus, here } = await two(); // a heartbeat of 1,000
    const deliver = bus.onPublish;
    bus.onPublish = (message) => void setTimeout(deliver, 1_500, message);
    await pass(60_000);
    expect(here.types()).toEqual([]);
  });

  test("and silent bypasses the cache after three heartbeats, even if timers do not run", async () => {
    vi.useFakeTimers({ toFake: ["performance"] }); // timers do not run, as in a blocked process
    const { here, key } = await two({ heartbeat: "60000ms" });
    vi.advanceTimersByTime(179_999);
    expect(await isHit(here.store, key.hash)).toBe(true);
    vi.advanceTimersByTime(1);
    expect(await isHit(here.store, key.hash)).toBe(false);
    expect(here.types()).toEqual(["cache.bypassed"]);
  });

  test("and returns pings too late does not resume the cache", async () => {
    vi.useFakeTimers({ toFake: ["performance"] });
    const { bus, here, key } = await two({ heartbeat: "60000ms" });
    const late: string[] = [];
    bus.onPublish = (message) => late.push(message);
    bus.setState(true);
    vi.advanceTimersByTime(180_000);
    for (const message of late) bus.deliver(message);
    await found(here.store, key.hash);
    expect(await isHit(here.store, key.hash)).toBe(false);
    expect(here.types()).toEqual(["cache.bypassed"]);
  });

  test("does not make a process that was blocked return cached keys", async () => {
    vi.useFakeTimers({ toFake: ["performance"] });
    const { here, inner, key } = await two({ heartbeat: "20ms" });
    await revoked(inner, key); // without a message
    vi.advanceTimersByTime(80);
    expect((await found(here.store, key.hash))?.revokedAt).toBeInstanceOf(Date);
    await vi.waitFor(() => expect(here.types()).toEqual(["cache.bypassed", "cache.resumed"]), {
      timeout: 60_000,
      interval: 1,
    });
  });
});

describe("messages that have arrived but were not read", () => {
  /** Creates caches on a bus whose messages arrive through the event loop, like those of a socket. */
  const start = async () => {
    const { port1, port2 } = new MessageChannel();
    const bus = localBus();
    port2.on("message", (text) => bus.deliver(text));
    opened.push({ close: async () => port1.close() });
    bus.onPublish = (text) => port1.postMessage(text);
    const inner = memoryStore();
    // A long lease, so that nothing else evicts the key.
    const [here, there] = [1, 2].map(() => instance(bus, inner, { heartbeat: "60000ms" }).store);
    if (here === undefined || there === undefined) throw new Error();
    await Promise.all([here.ready(), there.ready()]);
    await there.update("unknown", 1, {}, auditOf(keyOf()));
    await settled();
    const key = await added(inner);
    await found(here, key.hash);
    expect(await isHit(here, key.hash)).toBe(true);
    return { here, there, inner, key };
  };

  /** Advances the clock without a turn of the event loop. */
  const block = (milliseconds: number) => void vi.advanceTimersByTime(milliseconds);

  test("are read before a process that was blocked returns a cached key", async () => {
    const { here, there, key } = await start();
    const revoking = revoked(there, key);
    for (let i = 0; i < 10; i++) await Promise.resolve(); // the message was published, within the same turn
    block(20);
    expect((await found(here, key.hash))?.revokedAt).toBeInstanceOf(Date);
    await revoking;
  });

  test("are read during a loop of cache hits", async () => {
    vi.useRealTimers();
    const { here, there, key } = await start();
    const revoking = revoked(there, key);
    const began = performance.now();
    let record: Awaited<ReturnType<typeof found>>;
    do record = await found(here, key.hash);
    while (record?.revokedAt === null && performance.now() - began < 10_000);
    expect(record?.revokedAt).toBeInstanceOf(Date);
    await revoking;
  });

  test("are read once for concurrent lookups, and again after 5 ms", async () => {
    const { here, key } = await start();
    block(20);
    const results = [here.findByHash(key.hash), here.findByHash(key.hash)];
    expect(results.every((result) => result instanceof Promise)).toBe(true);
    expect(await Promise.all(results)).toEqual([key, key]);
    block(4);
    expect(here.findByHash(key.hash)).toEqual(key);
    block(1);
    expect(here.findByHash(key.hash)).toBeInstanceOf(Promise);
  });
});

describe("a bus that returns no pings", () => {
  test.each<[string, () => void]>([
    ["reconnects every ten heartbeats", () => {}],
    [
      "may throw from reconnect()",
      () => {
        throw new Error("no");
      },
    ],
  ])("%s", async (_, act) => {
    const bus = localBus();
    const reconnect = vi.fn(act);
    const deliver = bus.onPublish;
    const { store } = instance(Object.assign(bus, { reconnect }), memoryStore(), { heartbeat: "20ms" });
    await store.ready();
    await pass(500);
    expect(reconnect).not.toHaveBeenCalled();
    bus.onPublish = () => {};
    await pass(2 * 10 * 20);
    expect(reconnect).toHaveBeenCalledTimes(2);
    const pings = bus.sent.length;
    await pass(20);
    expect(bus.sent.length).toBeGreaterThan(pings);
    bus.setState(false);
    const calls = reconnect.mock.calls.length;
    await pass(300);
    expect(reconnect).toHaveBeenCalledTimes(calls);
    bus.onPublish = deliver;
  });
});

describe("a subscribe()", () => {
  test.each<[string, () => unknown]>([
    ["rejects", () => Promise.reject(new Error("down"))],
    [
      "throws",
      () => {
        throw new Error("down");
      },
    ],
  ])("that %s is called again with the next heartbeat", async (_, fail) => {
    const bus = localBus();
    let attempts = 0;
    const flaky: InvalidationBus = {
      publish: bus.publish,
      subscribe: (...args) => (++attempts < 3 ? (fail() as never) : bus.subscribe(...args)),
    };
    const { store } = instance(flaky, memoryStore(), { heartbeat: "10ms" });
    await pass(19);
    expect(attempts).toBe(2);
    await pass(1);
    await store.ready();
    expect(attempts).toBe(3);
  });

  /** A bus whose subscribe() calls wait for the test. */
  function waiting() {
    const bus = localBus();
    const calls: (() => Promise<void>)[] = [];
    const held: InvalidationBus = {
      publish: bus.publish,
      async subscribe(...args) {
        await new Promise<void>((go) => {
          calls.push(() => {
            go();
            return settled();
          });
        });
        return bus.subscribe(...args);
      },
    };
    return { bus, calls, ...instance(held, memoryStore(), { heartbeat: "100ms" }) };
  }

  test("that never settles is called again, with exponential back-off", async () => {
    const { calls } = waiting();
    const tried: number[] = [];
    for (let time = 0; time < 8_000; time += 100) {
      if (tried.length < calls.length) tried.push(time);
      await pass(100);
    }
    expect(tried).toEqual([0, 1_100, 3_200, 7_300]);
  });

  test("that never settled does not affect a later one that succeeds", async () => {
    const { bus, calls, store, types } = waiting();
    await pass(1_100);
    expect(calls).toHaveLength(2);
    await calls[1]?.();
    await store.ready();
    expect([bus.subscribers, types()]).toEqual([1, ["cache.bypassed", "cache.resumed"]]);
    await pass(60_000);
    expect(calls).toHaveLength(2);
  });

  test("that succeeds after it was abandoned is unsubscribed, and its messages are ignored", async () => {
    const { bus, calls, store, types } = waiting();
    await pass(1_100);
    bus.setState(true);
    await calls[0]?.();
    expect([bus.subscribers, bus.sent, types()]).toEqual([0, [], ["cache.bypassed"]]);
    await calls[1]?.();
    expect(bus.subscribers).toBe(1);
    await store.close();
    expect(bus.subscribers).toBe(0);
  });

  test("that succeeds after it was abandoned does not affect the one that replaced it", async () => {
    const { bus, calls, store, types } = waiting();
    await pass(1_100);
    await calls[1]?.();
    await store.ready();
    await calls[0]?.();
    await pass(1_000); // pings still come back
    expect([bus.subscribers, types()]).toEqual([1, ["cache.bypassed", "cache.resumed"]]);
  });

  test("that fails after it was abandoned does not affect the one that replaced it", async () => {
    const bus = localBus();
    const failures: ((error: Error) => void)[] = [];
    const late: InvalidationBus = {
      publish: bus.publish,
      subscribe: (...args) =>
        failures.length === 0 ? new Promise((_, fail) => failures.push(fail)) : bus.subscribe(...args),
    };
    const { store, types } = instance(late, memoryStore(), { heartbeat: "100ms" });
    await pass(1_100);
    await store.ready();
    failures[0]?.(new Error("too late"));
    await pass(1_000);
    expect([bus.subscribers, types()]).toEqual([1, ["cache.bypassed", "cache.resumed"]]);
  });

  test("that succeeds after it was abandoned and the cache was closed is unsubscribed", async () => {
    const { bus, calls, store } = waiting();
    await pass(1_100);
    const closed = store.close();
    for (const call of calls) await call();
    await closed;
    expect(bus.subscribers).toBe(0);
  });

  test("that never settles but delivers messages is not called again", async () => {
    const bus = localBus();
    let calls = 0;
    const silent: InvalidationBus = {
      publish: bus.publish,
      subscribe(...args) {
        calls += 1;
        void bus.subscribe(...args);
        return new Promise(() => {});
      },
    };
    const { store, types } = instance(silent, memoryStore(), { heartbeat: "10ms" });
    await store.ready();
    await pass(1_000);
    expect([calls, types()]).toEqual([1, []]);
  });

  test("that never settles but delivers messages after short outages is not called again", async () => {
    const bus = localBus();
    let calls = 0;
    const silent: InvalidationBus = {
      publish: bus.publish,
      subscribe(...args) {
        calls += 1;
        void bus.subscribe(...args);
        return new Promise(() => {});
      },
    };
    const { store } = instance(silent, memoryStore(), { heartbeat: "100ms" });
    await store.ready();
    for (let outage = 0; outage < 5; outage++) {
      bus.setState(false);
      await pass(500);
      bus.setState(true);
      await pass(1_000);
    }
    expect([calls, bus.subscribers]).toEqual([1, 1]);
  });

  test("that rejects but delivers messages is ignored after the next call", async () => {
    const bus = localBus();
    const calls: Promise<unknown>[] = [];
    const faulty: InvalidationBus = {
      publish: bus.publish,
      async subscribe(...args) {
        calls.push(bus.subscribe(...args));
        if (calls.length === 1) throw new Error("the acknowledgement was lost");
        return async () => {};
      },
    };
    const { store, types } = instance(faulty, memoryStore(), { heartbeat: "10ms" });
    await pass(10);
    await store.ready();
    await pass(100);
    expect([calls.length, bus.subscribers]).toEqual([2, 2]);
    expect(types()).toEqual(["cache.bypassed", "cache.resumed"]);
  });

  test("is called once for each cache and unsubscribed by close()", async () => {
    const { bus, here, there, key } = await two({ heartbeat: "10ms" });
    await pass(60);
    expect(bus.subscribers).toBe(2);
    await here.store.close();
    expect(bus.subscribers).toBe(1);
    const sent = () => parsed(bus).filter(({ from }) => from === parsed(bus)[0].from).length;
    const before = sent();
    await pass(60);
    expect(sent()).toBe(before);
    const emitted = here.events.length;
    bus.setState(false);
    bus.setState(true);
    expect(await isHit(here.store, key.hash)).toBe(false);
    expect(here.events).toHaveLength(emitted);
    await there.store.close();
    expect(bus.subscribers).toBe(0);
  });

  test("is not needed to publish a change after close()", async () => {
    const { here, there, key } = await two();
    await here.store.close();
    await revoked(here.store, key);
    expect(await isHit(there.store, key.hash)).toBe(false);
  });

  test("that delivers messages after it was unsubscribed is ignored", async () => {
    const bus = localBus();
    const faulty: InvalidationBus = {
      publish: bus.publish,
      async subscribe(...args) {
        await bus.subscribe(...args);
        return async () => {};
      },
    };
    const inner = memoryStore();
    const { store, types } = instance(faulty, inner);
    await store.ready();
    const key = await added(inner);
    await store.close();
    const sent = bus.sent.length;
    bus.setState(true);
    bus.deliver("nonsense");
    bus.deliver(bus.sent[0] as string);
    await found(store, key.hash);
    expect(await isHit(store, key.hash)).toBe(false);
    expect(bus.sent).toHaveLength(sent);
    expect(types()).toEqual([]);
  });

  test("that is pending during close() is unsubscribed when it succeeds", async () => {
    const bus = localBus();
    let go: () => void = () => {};
    const slow: InvalidationBus = {
      publish: bus.publish,
      async subscribe(...args) {
        await new Promise<void>((resolve) => {
          go = resolve;
        });
        return bus.subscribe(...args);
      },
    };
    const { store } = instance(slow, memoryStore());
    const ready = expect(store.ready()).rejects.toThrow("closed");
    const closing = store.close();
    go();
    await Promise.all([ready, closing]);
    expect(bus.subscribers).toBe(0);
  });

  test.each<[string, () => Promise<void>]>([
    ["hangs", () => new Promise(() => {})],
    ["rejects", () => Promise.reject(new Error("gone"))],
  ])("whose unsubscribe function %s does not block close()", async (_, leave) => {
    const { store } = instance({ publish: async () => {}, subscribe: async () => leave }, memoryStore());
    await store.close();
  });

  test("that never settles does not block close()", async () => {
    const { store } = instance(
      { publish: async () => {}, subscribe: () => new Promise(() => {}) },
      memoryStore(),
    );
    await store.close();
  });
});

test("an observer that throws does not affect lookups", async () => {
  const bus = localBus();
  const inner = memoryStore();
  const observers = [
    () => {
      throw new Error("of the host");
    },
  ];
  const store = cachedStore(inner, { bus, observers });
  opened.push(store);
  await store.ready();
  const key = await added(inner);
  bus.setState(false);
  expect(await found(store, key.hash)).toEqual(key);
  bus.setState(true);
  expect(await found(store, key.hash)).toEqual(key);
});
