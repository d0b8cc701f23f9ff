import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { type CachedStoreOptions, cachedStore, type InvalidationBus } from "../../../src/cache/index.js";
import type { KeyEvent, KeyHash, KeyRecord, KeyStore } from "../../../src/index.js";
import { keyOf } from "./fixtures.js";

const HEARTBEAT = 1_000;
const TIMEOUT = 250;

beforeEach(
  () =>
    void vi.useFakeTimers({
      toFake: ["setInterval", "setTimeout", "clearInterval", "clearTimeout", "performance"],
    }),
);
afterEach(() => void vi.useRealTimers());

const pass = (ms: number) => vi.advanceTimersByTimeAsync(ms);

/** A store of one key that reports what `changed` contains, and counts its calls. */
function setUp(options: CachedStoreOptions = {}) {
  let key: KeyRecord = keyOf();
  const calls: (string | undefined)[] = [];
  const events: KeyEvent["type"][] = [];
  const state = { lookups: 0, changed: [] as unknown, reading: async () => {}, lookup: async () => {} };
  const inner: KeyStore = {
    async findByHash(hash: KeyHash) {
      state.lookups += 1;
      const found = key;
      await state.lookup();
      return found.hash === hash ? found : undefined;
    },
    async changes(since) {
      calls.push(since);
      const keyIds = state.changed;
      state.changed = [];
      await state.reading();
      return { position: String(calls.length), keyIds } as never;
    },
  };
  const observer = (event: KeyEvent) => void events.push(event.type);
  const store = cachedStore(inner, {
    heartbeat: "1s",
    storeTimeout: "250ms",
    observers: [observer],
    ...options,
  });
  const read = async () => ((await store.findByHash(key.hash)) as KeyRecord | undefined)?.version;
  /** Changes the key without the cache. */
  const change = () => {
    key = { ...key, version: key.version + 1 };
    if (Array.isArray(state.changed)) state.changed.push(key.id);
  };
  return { store, state, calls, events, read, change, id: key.id };
}

/** A promise that never settles. */
const hang = () => new Promise<void>(() => {});

describe("a cache over a store that reports changes", () => {
  it("is in use when the changes were first read", async () => {
    const { store, state, calls, read } = setUp();
    await store.ready();
    expect(calls).toEqual([undefined]);
    await read();
    await read();
    expect(state.lookups).toBe(1);
    await pass(HEARTBEAT);
    expect(calls).toEqual([undefined, "1"]);
    await store.close();
  });

  it("returns a change by another process after the next reading", async () => {
    const { store, read, change } = setUp({ ttl: "1h" });
    await store.ready();
    expect(await read()).toBe(1);
    change();
    expect(await read()).toBe(1);
    await pass(HEARTBEAT);
    expect(await read()).toBe(2);
    await store.close();
  });

  it.each([
    ["hangs", hang],
    ["fails", async () => Promise.reject(new Error("down"))],
  ])(
    "is bypassed and starts empty when a reading %s, a heartbeat and a timeout after the last one began",
    async (_, reading) => {
      const { store, state, calls, events, read, change } = setUp({ ttl: "1h" });
      await store.ready();
      expect(await read()).toBe(1);
      state.reading = reading;
      change();
      await pass(HEARTBEAT + TIMEOUT - 1);
      expect(await read()).toBe(1);
      await pass(1);
      expect(await read()).toBe(2);
      expect(events).toEqual(["cache.bypassed"]);
      await read();
      expect(state.lookups).toBe(3);

      state.reading = async () => {};
      await pass(2 * HEARTBEAT);
      expect(events).toEqual(["cache.bypassed", "cache.resumed"]);
      expect(calls.at(-1)).not.toBeUndefined();
      await read();
      await read();
      expect(state.lookups).toBe(4);
      await store.close();
    },
  );

  it("does not continue a reading from before a lapse", async () => {
    const { store, state, calls } = setUp();
    await store.ready();
    state.reading = hang;
    await pass(HEARTBEAT + TIMEOUT);
    state.reading = async () => {};
    await pass(HEARTBEAT);
    expect(calls).toEqual([undefined, "1", undefined]);
    await store.close();
  });

  it("counts the time from the start of a reading", async () => {
    const { store, state, read, change } = setUp({ ttl: "1h" });
    await store.ready();
    await read();
    state.reading = () => new Promise((resolve) => setTimeout(resolve, 200));
    await pass(HEARTBEAT + 200);
    state.reading = hang;
    change();
    await pass(HEARTBEAT + TIMEOUT - 200 - 1);
    expect(await read()).toBe(1);
    await pass(1);
    expect(await read()).toBe(2);
    await store.close();
  });

  it("starts empty after a pause of the process", async () => {
    const { store, state, read, change, events } = setUp({ ttl: "1h" });
    await store.ready();
    await read();
    state.changed = [];
    const resumed = performance.now() + 3_000;
    vi.spyOn(performance, "now").mockReturnValue(resumed); // no timer has fired
    change();
    expect(await read()).toBe(2);
    expect(events).toEqual(["cache.bypassed"]);
    vi.mocked(performance.now).mockRestore();
    await store.close();
  });

  it('clears every entry for "all"', async () => {
    const { store, state, read, change } = setUp({ ttl: "1h" });
    await store.ready();
    await read();
    change();
    state.changed = "all";
    await pass(HEARTBEAT);
    expect(await read()).toBe(2);
    await store.close();
  });

  it("does not cache a lookup during which the change was reported", async () => {
    const { store, state, read, change } = setUp({ ttl: "1h" });
    await store.ready();
    await pass(HEARTBEAT - 100);
    let finish = () => {};
    state.lookup = () =>
      new Promise((resolve) => {
        finish = resolve;
      });
    const old = read();
    state.lookup = async () => {};
    change();
    await pass(100);
    finish();
    await expect(old).resolves.toBe(1);
    expect(await read()).toBe(2);
    await store.close();
  });

  it.each([
    ["undefined", undefined],
    ["a list with holes in types", ["a", 7]],
    ["a number", 7],
  ])("counts %s instead of key ids as a failed reading", async (_, keyIds) => {
    const { store, state, events } = setUp();
    await store.ready();
    state.changed = keyIds;
    await pass(HEARTBEAT);
    state.changed = keyIds;
    await pass(HEARTBEAT);
    expect(events).toEqual(["cache.bypassed"]);
    await store.close();
  });

  it("never overlaps readings", async () => {
    const { store, state, calls } = setUp({ storeTimeout: "5s" });
    await store.ready();
    state.reading = hang;
    await pass(4 * HEARTBEAT);
    expect(calls).toHaveLength(2);
    await store.close();
  });

  it("goes to the store after close, also if a reading ends later", async () => {
    const { store, state, read } = setUp();
    let finish = () => {};
    state.reading = () =>
      new Promise((resolve) => {
        finish = resolve;
      });
    await pass(HEARTBEAT);
    await store.close();
    finish();
    await pass(HEARTBEAT);
    await read();
    await read();
    expect(state.lookups).toBe(2);
  });

  it("rejects a store whose changes is not a function", () => {
    const inner = { findByHash: () => undefined, changes: true } as never;
    expect(() => cachedStore(inner)).toThrow(/^cachedStore: "store.changes" must be a function/);
  });
});

describe("with a bus", () => {
  function connect(subscribe?: InvalidationBus["subscribe"]) {
    const listeners: ((message: string) => void)[] = [];
    const sent: string[] = [];
    const bus: InvalidationBus = {
      publish: async (message) => void sent.push(message),
      subscribe:
        subscribe ??
        (async (onMessage) => {
          listeners.push(onMessage);
          return async () => void listeners.splice(listeners.indexOf(onMessage), 1);
        }),
    };
    return { bus, listeners, sent };
  }

  it("evicts the key of a message before the next reading", async () => {
    const { bus, listeners } = connect();
    const { store, read, change, id } = setUp({ ttl: "1h", bus });
    await store.ready();
    await read();
    change();
    listeners[0]?.(id); // what the store announces
    expect(await read()).toBe(2);
    change();
    listeners[0]?.(JSON.stringify({ v: 1, from: "other", number: 9, type: "changed", id }));
    expect(await read()).toBe(3);
    change();
    listeners[0]?.(JSON.stringify({ v: 1, from: "other", number: 1, type: "everything" }));
    expect(await read()).toBe(4);
    await store.close();
    expect(listeners).toEqual([]);
  });

  it("needs no messages to stay in use", async () => {
    const { bus, sent } = connect();
    const { store, state, read } = setUp({ ttl: "1h", bus });
    await store.ready();
    await read();
    await pass(20 * HEARTBEAT);
    await read();
    expect(state.lookups).toBe(1);
    expect(sent).toEqual([]);
    await store.close();
  });

  it("subscribes again after a failure, and works without", async () => {
    let attempts = 0;
    const { bus } = connect(async () => {
      attempts += 1;
      throw new Error("down");
    });
    const { store, read, change } = setUp({ ttl: "1h", bus });
    await store.ready();
    await read();
    change();
    await pass(HEARTBEAT);
    expect(await read()).toBe(2);
    await pass(10 * HEARTBEAT);
    expect(attempts).toBe(2);
    await store.close();
    await pass(20 * HEARTBEAT);
    expect(attempts).toBe(2);
  });
});
