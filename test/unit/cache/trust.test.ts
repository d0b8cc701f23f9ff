import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import type { CachedStoreOptions } from "../../../src/cache/index.js";
import type { Awaitable, KeyChanges, KeyHash, ManagedKeyStore } from "../../../src/index.js";
import { memoryStore } from "../../../src/stores/memory.js";
import { added, found, held, isHit, localBus, observed, revoked, settled, withFeed } from "./fixtures.js";

const HEARTBEAT_MS = 1_000;
const TIMEOUT_MS = 250;
const TRUST_MS = HEARTBEAT_MS + TIMEOUT_MS;

const closing: (() => Promise<void>)[] = [];
const unhandled: unknown[] = [];
const onUnhandled = (reason: unknown) => unhandled.push(reason);
const pass = async (milliseconds: number) => {
  await vi.advanceTimersByTimeAsync(milliseconds);
  await settled();
};

beforeEach(() => {
  vi.useFakeTimers({ toFake: ["performance", "setTimeout", "clearTimeout"] });
  unhandled.length = 0;
  process.on("unhandledRejection", onUnhandled);
});

afterEach(async () => {
  for (const close of closing.splice(0)) await close();
  vi.useRealTimers();
  await settled();
  process.off("unhandledRejection", onUnhandled);
  expect(unhandled).toEqual([]);
});

type Changes = (since: string | undefined) => Awaitable<KeyChanges>;

/** A cache over a store whose readings a test can replace, and a key that is cached. */
async function setUp(options: CachedStoreOptions = {}, inner: ManagedKeyStore = memoryStore()) {
  const source = withFeed(inner);
  const read: { changes: Changes; calls: (string | undefined)[] } = { changes: source.changes, calls: [] };
  const changes: Changes = (since) => {
    read.calls.push(since);
    return read.changes(since);
  };
  const remote = { ...source, findByHash: async (hash: KeyHash) => source.findByHash(hash), changes };
  const cache = observed(remote, { ttl: "1h", ...options });
  closing.push(cache.store.close);
  const key = await added(inner);
  await cache.store.ready();
  await found(cache.store, key.hash);
  return { ...cache, source, read, key, hit: () => isHit(cache.store, key.hash) };
}

describe("a store that reports its changes", () => {
  test("keeps unchanged keys cached, and reports a change of another writer at the next heartbeat", async () => {
    const { hit, source, store, key, read, events } = await setUp();
    await pass(60 * HEARTBEAT_MS);
    expect(await hit()).toBe(true);
    await revoked(source, key);
    await pass(HEARTBEAT_MS);
    expect((await found(store, key.hash))?.revokedAt).toBeInstanceOf(Date);
    expect(read.calls.slice(0, 2)).toEqual([undefined, "0"]);
    expect(read.calls).toHaveLength(62);
    expect(events).toEqual([]);
  });

  test('clears the cache when it reports "all"', async () => {
    const { hit, read } = await setUp();
    read.changes = () => ({ position: "0", keyIds: "all" });
    await pass(HEARTBEAT_MS);
    expect(await hit()).toBe(false);
    read.changes = () => ({ position: "0", keyIds: [] });
    await pass(HEARTBEAT_MS);
    expect(await hit()).toBe(true);
  });

  test("is trusted from the start of a reading, not from its end", async () => {
    const { hit, read, types } = await setUp();
    read.changes = async () => {
      await new Promise((resolve) => setTimeout(resolve, TIMEOUT_MS - 50));
      read.changes = () => new Promise(() => {});
      return { position: "0", keyIds: [] };
    };
    await pass(HEARTBEAT_MS + TIMEOUT_MS - 50);
    await pass(TRUST_MS - (TIMEOUT_MS - 50) - 1);
    expect(await hit()).toBe(true);
    vi.advanceTimersByTime(1);
    expect(await hit()).toBe(false);
    expect(types()).toEqual(["cache.bypassed"]);
  });

  test("is not trusted after a process was paused, even before timers run", async () => {
    const { hit, store, key, source } = await setUp();
    await revoked(source, key);
    vi.setSystemTime(Date.now()); // only the monotonic clock counts
    const now = performance.now();
    const paused = vi.spyOn(performance, "now").mockImplementation(() => now + TRUST_MS);
    expect(await hit()).toBe(false);
    expect((await found(store, key.hash))?.revokedAt).toBeInstanceOf(Date);
    paused.mockRestore();
  });

  test.each<[string, () => unknown]>([
    [
      "throws",
      () => {
        throw new Error("down");
      },
    ],
    [
      "rejects",
      async () => {
        throw new Error("down");
      },
    ],
    ["hangs", () => new Promise(() => {})],
    ["returns undefined", () => undefined],
    ["returns a string", () => "all"],
    ["returns no position", () => ({ keyIds: [] })],
    ["returns a number as position", () => ({ position: 1, keyIds: [] })],
    ["returns a string as keyIds", () => ({ position: "1", keyIds: "none" })],
    ["returns an id that is no string", () => ({ position: "1", keyIds: ["a", 1] })],
    ["returns a list with a hole", () => ({ position: "1", keyIds: new Array(1) })],
    [
      "returns a getter that throws",
      () => ({
        position: "1",
        get keyIds() {
          throw new Error("no");
        },
      }),
    ],
    [
      "returns a thenable that throws",
      () => ({
        // biome-ignore lint/suspicious/noThenProperty: a hostile result
        get then() {
          throw new Error("no");
        },
      }),
    ],
  ])("is bypassed when a reading %s, and starts empty afterwards", async (_, reading) => {
    const { hit, read, source, store, key, types } = await setUp();
    const right = read.changes;
    read.changes = reading as Changes;
    await pass(TRUST_MS - 1);
    expect(await hit()).toBe(true);
    await pass(1);
    for (let i = 0; i < 3; i++) expect(await hit()).toBe(false);
    await revoked(source, key);
    await pass(3 * HEARTBEAT_MS);
    expect(types()).toEqual(["cache.bypassed"]);
    const calls = read.calls.length;
    read.changes = right;
    await pass(2 * HEARTBEAT_MS);
    expect(read.calls[calls]).toBeUndefined();
    expect(types()).toEqual(["cache.bypassed", "cache.resumed"]);
    expect((await found(store, key.hash))?.revokedAt).toBeInstanceOf(Date);
    expect(await hit()).toBe(true);
  });

  test("is bypassed from the start until the first reading succeeds", async () => {
    const changes = vi.fn<Changes>(() => Promise.reject(new Error("down")));
    const cache = observed({ ...memoryStore(), changes });
    closing.push(cache.store.close);
    const key = await added(cache.store);
    await found(cache.store, key.hash);
    expect(await isHit(cache.store, key.hash)).toBe(false);
    await pass(3 * HEARTBEAT_MS);
    expect(cache.types()).toEqual(["cache.bypassed"]);
    changes.mockImplementation(() => ({ position: "0", keyIds: [] }));
    await pass(HEARTBEAT_MS);
    await cache.store.ready();
    await found(cache.store, key.hash);
    expect(await isHit(cache.store, key.hash)).toBe(true);
    expect(cache.types()).toEqual(["cache.bypassed", "cache.resumed"]);
  });

  test("does not cache a lookup during which a change of the key is reported", async () => {
    const { store: slow, calls } = held(memoryStore());
    const source = withFeed(slow);
    let keyIds: string[] = [];
    const cache = observed(
      { ...source, changes: () => ({ position: "0", keyIds }) },
      { storeTimeout: "10s" },
    );
    closing.push(cache.store.close);
    await cache.store.ready();
    const adding = added(slow);
    await calls.shift()?.answer();
    const key = await adding;
    const looking = found(cache.store, key.hash);
    calls[0]?.perform();
    keyIds = [key.id];
    await pass(HEARTBEAT_MS);
    await calls.shift()?.answer();
    expect(await looking).toMatchObject({ id: key.id });
    expect(await isHit(cache.store, key.hash)).toBe(false);
  });

  test("has one reading in flight, and none after close()", async () => {
    const { read, store } = await setUp({ heartbeat: "10ms", storeTimeout: "1s" });
    let finish: (changes: KeyChanges) => void = () => {};
    read.changes = () => new Promise((resolve) => (finish = resolve));
    await pass(900);
    const calls = read.calls.length;
    await pass(50);
    expect(read.calls).toHaveLength(calls);
    await store.close();
    finish({ position: "1", keyIds: [] });
    await pass(10 * HEARTBEAT_MS);
    expect(read.calls).toHaveLength(calls);
  });

  test("ready() rejects if the cache is closed before the first reading", async () => {
    const { store } = observed({ ...memoryStore(), changes: () => new Promise<never>(() => {}) });
    const ready = store.ready();
    await store.close();
    await expect(ready).rejects.toThrow("The cache was closed");
  });

  test("reads its own writes", async () => {
    const { store, key, hit } = await setUp();
    expect(await hit()).toBe(true);
    await revoked(store, key);
    expect((await found(store, key.hash))?.revokedAt).toBeInstanceOf(Date);
  });
});

describe("a bus", () => {
  test("evicts the key of a message, every key for an empty one, and ignores anything else", async () => {
    const bus = localBus();
    const { hit, key } = await setUp({ bus });
    for (const message of ["another", "x".repeat(5_000), 42 as unknown as string]) bus.deliver(message);
    expect(await hit()).toBe(true);
    for (const message of [key.id, ""]) {
      bus.deliver(message);
      expect(await hit()).toBe(false);
      expect(await hit()).toBe(true);
    }
  });

  test("receives the id of every key that is changed through the cache", async () => {
    const bus = localBus();
    const { store, key } = await setUp({ bus });
    await revoked(store, key);
    expect(bus.sent).toEqual([key.id]);
  });

  test("needs no publish()", async () => {
    const { publish: _, ...bus } = localBus();
    const { store, key, events } = await setUp({ bus });
    await revoked(store, key);
    expect(events).toEqual([]);
  });

  test.each<[string, () => Promise<void>]>([
    ["rejects", () => Promise.reject(new Error("down"))],
    ["hangs", () => new Promise(() => {})],
  ])("whose publish() %s delays a change by at most 250 ms and emits an event", async (_, publish) => {
    const { store, key, types } = await setUp({ bus: { ...localBus(), publish } });
    const revoking = revoked(store, key);
    await pass(250);
    expect(await revoking).toBe(true);
    expect(types()).toEqual(["background.failed"]);
  });

  test("whose subscribe() rejects is subscribed again after a heartbeat, until close()", async () => {
    const subscribe = vi.fn(() => Promise.reject(new Error("down")));
    const { store } = await setUp({ bus: { subscribe } });
    await pass(2 * HEARTBEAT_MS);
    expect(subscribe).toHaveBeenCalledTimes(3);
    await store.close();
    await pass(5 * HEARTBEAT_MS);
    expect(subscribe).toHaveBeenCalledTimes(3);
  });

  test("is unsubscribed by close()", async () => {
    const bus = localBus();
    const { store } = await setUp({ bus });
    expect(bus.subscribers).toBe(1);
    await store.close();
    expect(bus.subscribers).toBe(0);
  });
});
