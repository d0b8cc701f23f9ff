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
  keyOf,
  knows,
  type LocalBus,
  localBus,
  observed,
  revoked,
  settled,
} from "./fixtures.js";

const opened: { close(): Promise<void> }[] = [];
const unhandled: unknown[] = [];
const note = (reason: unknown) => unhandled.push(reason);

/** Moves time on, and lets what is due happen. */
const pass = (milliseconds: number) => vi.advanceTimersByTimeAsync(milliseconds);

beforeEach(() => {
  // Heartbeats and leases, that a busy machine would let lapse in the middle of a test.
  vi.useFakeTimers({ toFake: ["performance", "setInterval", "clearInterval"] });
  unhandled.length = 0;
  process.on("unhandledRejection", note);
});

afterEach(async () => {
  vi.useRealTimers();
  await Promise.all(opened.splice(0).map((store) => store.close()));
  await settled();
  process.off("unhandledRejection", note);
  expect(unhandled).toEqual([]);
});

/** A cache over a remote store, with what its observers are told. */
function instance(bus: InvalidationBus, inner: ManagedKeyStore, options = {}) {
  const remote = { ...inner, findByHash: async (hash: KeyRecord["hash"]) => inner.findByHash(hash) };
  const made = observed(remote, { bus, ttl: "1h", ...options });
  opened.push(made.store);
  return made;
}

/** Two caches over one store and one bus that have heard of each other. */
async function pair(inner: ManagedKeyStore, options = {}) {
  const bus = localBus();
  const [here, there] = [instance(bus, inner, options), instance(bus, inner, options)];
  for (const { store } of [here, there]) {
    await store.ready();
    await store.update("nobody", 1, {}, auditOf(keyOf()));
  }
  return { bus, inner, here, there };
}

/** The same, and both know a key. */
async function two(options = {}) {
  const { bus, inner, here, there } = await pair(memoryStore(), options);
  const key = await added(inner);
  for (const { store } of [here, there]) await found(store, key.hash);
  return { bus, inner, here, there, key };
}

const parsed = (bus: LocalBus) => bus.sent.map((text) => JSON.parse(text));

describe("two instances", () => {
  test("a change through one is known to the other when it returns", async () => {
    const { here, there, key } = await two();
    expect(await knows(there.store, key.hash)).toBe(true);
    await revoked(here.store, key);
    expect((await found(there.store, key.hash))?.revokedAt).toBeInstanceOf(Date);
  });

  test.each<[string, (store: ManagedKeyStore, key: KeyRecord) => unknown]>([
    ["update", (store, key) => store.update(key.id, 1, { name: "after" }, auditOf(key))],
    ["replace", (store, key) => store.replace(key.id, 1, { name: "after" }, keyOf(), auditOf(key))],
    ["rehash", (store, key) => store.rehash?.(key.id, key.hash, hashSecret("to"), auditOf(key))],
    ["remove", (store, key) => store.remove?.(key.id, 1, auditOf(key))],
  ])("%s is told, and makes the other ask again", async (_, change) => {
    const inner = { ...memoryStore(), rehash: async () => true, remove: async () => true };
    const { bus, here, there } = await pair(inner);
    const [key, other] = [await added(inner), await added(inner)];
    for (const { hash } of [key, other]) await found(there.store, hash);
    expect(await knows(there.store, key.hash)).toBe(true);
    await change(here.store, key);
    expect(await knows(there.store, key.hash)).toBe(false);
    expect(await knows(there.store, other.hash)).toBe(true);
    expect(parsed(bus).at(-1)).toMatchObject({ type: "changed", id: key.id });
  });

  test("a new key ends absences elsewhere; a change does not", async () => {
    const { here, there, key } = await two({ negativeTtl: "1h" });
    const hash = hashSecret("unknown");
    await found(there.store, hash);
    await here.store.update(key.id, 1, { name: "after" }, auditOf(key));
    expect(await knows(there.store, hash)).toBe(true);
    const made = keyOf();
    await here.store.insert(made, auditOf(made));
    expect(await knows(there.store, hash)).toBe(false);
  });

  test("tell ids, and neither hashes nor anything else of a key", async () => {
    const { bus, here, key } = await two();
    const made = keyOf({ name: "Fleet dashboard", metadata: { plan: "pro" } });
    await here.store.insert(made, auditOf(made));
    await here.store.replace(key.id, 1, { name: "after" }, keyOf(), auditOf(key));
    const told = bus.sent.join();
    expect(told).toContain(made.id);
    expect(told).toContain(key.id);
    expect(told).not.toMatch(/[0-9a-f]{64}|Fleet|pro|after|acme/);
  });

  test("an id that is too long for a message makes the other forget everything", async () => {
    const { bus, here, there, key } = await two();
    const made = keyOf({ id: "é".repeat(3_000) });
    await here.store.insert(made, auditOf(made));
    expect(await knows(there.store, key.hash)).toBe(false);
    for (const text of bus.sent) expect(Buffer.byteLength(text)).toBeLessThanOrEqual(4_000);
  });

  test("ids of any characters arrive", async () => {
    const { here, there, inner } = await two();
    const key = await added(inner, { id: `'"\\\n\u0000\u2028 日本 😀 \ud800` });
    await found(there.store, key.hash);
    expect(await knows(there.store, key.hash)).toBe(true);
    await here.store.update(key.id, 1, { name: "after" }, auditOf(key));
    expect(await knows(there.store, key.hash)).toBe(false);
  });
});

describe("messages", () => {
  const good = { v: 1, from: "other", number: 1, type: "changed", id: "a", added: false };

  test.each<[string, unknown]>([
    ["no JSON", "changed key_1"],
    ["nothing", ""],
    ["no text", undefined],
    ["bytes", Buffer.from(JSON.stringify(good))],
    ["no object", "null"],
    ["a list", "[]"],
    ["another version", JSON.stringify({ ...good, v: 2 })],
    ["another type", JSON.stringify({ ...good, type: "rotated" })],
    ["no id", JSON.stringify({ ...good, id: undefined })],
    ["an id that is no text", JSON.stringify({ ...good, id: 1 })],
    ["nothing about absences", JSON.stringify({ ...good, added: undefined })],
    ["no sender", JSON.stringify({ ...good, from: undefined })],
    ["a sender without end", JSON.stringify({ ...good, from: "x".repeat(65) })],
    ["no number", JSON.stringify({ ...good, number: undefined })],
    ["number 0", JSON.stringify({ ...good, number: 0 })],
    ["half a number", JSON.stringify({ ...good, number: 1.5 })],
    ["a number beyond counting", JSON.stringify({ ...good, number: 2 ** 53 })],
    ["more than a message may have", JSON.stringify({ ...good, id: "x".repeat(4_000) })],
  ])("of %s make a cache forget everything, and use itself on", async (_, message) => {
    const { bus, here, key } = await two({ negativeTtl: "1h" });
    await found(here.store, hashSecret("unknown"));
    bus.deliver(message as string);
    expect(await knows(here.store, key.hash)).toBe(false);
    expect(await knows(here.store, hashSecret("unknown"))).toBe(false);
    await found(here.store, key.hash);
    expect(await knows(here.store, key.hash)).toBe(true);
    expect(here.types()).toEqual([]);
  });

  test("of nonsense overtake lookups, too", async () => {
    const bus = localBus();
    const inner = memoryStore();
    const key = await added(inner);
    const answers: (() => void)[] = [];
    const findByHash = (hash: KeyRecord["hash"]) =>
      new Promise<KeyRecord | undefined>((resolve) => {
        answers.push(() => resolve(inner.findByHash(hash) as KeyRecord | undefined));
      });
    const { store } = observed({ ...inner, findByHash }, { bus, negativeTtl: "1h", storeTimeout: "60000ms" });
    opened.push(store);
    await store.ready();
    for (const hash of [key.hash, hashSecret("unknown")]) {
      for (const nonsense of [true, false]) {
        const looking = found(store, hash);
        expect(answers).toHaveLength(1);
        if (nonsense) bus.deliver("nonsense");
        answers.shift()?.();
        await looking;
      }
      expect(await knows(store, hash)).toBe(true);
    }
  });

  test("of others, well formed, do what they say and no more", async () => {
    const { bus, here, key } = await two();
    bus.deliver(JSON.stringify({ ...good, number: 1, type: "ping" }));
    bus.deliver(JSON.stringify({ ...good, number: 2, id: "another" }));
    expect(await knows(here.store, key.hash)).toBe(true);
    bus.deliver(JSON.stringify({ ...good, number: 3, id: key.id }));
    expect(await knows(here.store, key.hash)).toBe(false);
  });

  test.each([
    ["that is missing", [1, 2, 4]],
    ["that comes twice", [1, 1]],
    ["that comes late", [2]],
  ])("one %s makes a cache forget everything", async (_, numbers) => {
    const { bus, here, key } = await two();
    for (const number of numbers) {
      await found(here.store, key.hash);
      expect(await knows(here.store, key.hash)).toBe(true);
      bus.deliver(JSON.stringify({ ...good, number, id: "another" }));
    }
    expect(await knows(here.store, key.hash)).toBe(false);
  });

  test("that could not be sent make the others forget everything with the next one", async () => {
    const { bus, here, there, key } = await two({ heartbeat: "200ms" });
    const deliver = bus.onPublish;
    bus.onPublish = (message) => {
      if (JSON.parse(message).type === "changed") throw new Error("lost");
      return deliver(message);
    };
    await revoked(here.store, key);
    expect(here.events).toMatchObject([{ type: "background.failed", task: "invalidate", keyId: key.id }]);
    expect(await knows(there.store, key.hash)).toBe(true);
    await pass(200);
    expect(await knows(there.store, key.hash)).toBe(false);
    expect((await found(there.store, key.hash))?.revokedAt).toBeInstanceOf(Date);
    expect(there.types()).toEqual([]);
  });
});

describe("publishing that fails", () => {
  test.each<[string, () => unknown]>([
    ["rejects", () => Promise.reject(new Error("secret-password"))],
    [
      "throws",
      () => {
        throw new Error("secret-password");
      },
    ],
    ["hangs", () => new Promise(() => {})],
  ])("when it %s, the change is made all the same, soon, and observers are told", async (_, publish) => {
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

  test("a change that failed itself fails with its own error, and is told", async () => {
    const bus = localBus();
    const inner = memoryStore();
    const failing = instance(bus, { ...inner, update: () => Promise.reject(new Error("mine")) });
    const there = instance(bus, inner);
    await Promise.all([failing.store.ready(), there.store.ready()]);
    const key = await added(inner);
    await found(there.store, key.hash);
    await expect(failing.store.update(key.id, 1, {}, auditOf(key))).rejects.toThrow("mine");
    expect(await knows(there.store, key.hash)).toBe(false);
  });

  test("what became of a change that failed is told with each reading, until the next change", async () => {
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
    const told = () => parsed(bus).filter(({ type }) => type === "changed").length;
    await store.findById(key.id);
    expect(told()).toBe(0);
    await expect(revoked(store, key)).rejects.toThrow("mine");
    await store.findById(key.id);
    await store.findById(key.id);
    expect(told()).toBe(3);
    broken = false;
    await revoked(store, key); // reads, and writes
    expect(told()).toBe(5);
    await store.findById(key.id);
    expect(told()).toBe(5);
  });

  test("does not pile up without end", async () => {
    const { bus, here, key } = await two();
    bus.onPublish = () => new Promise(() => {});
    const before = bus.sent.length;
    const changes = Array.from({ length: 1_200 }, () => here.store.update(key.id, 99, {}, auditOf(key)));
    await Promise.all(changes);
    expect(bus.sent.length - before).toBeLessThanOrEqual(1_000);
    expect(here.events).toHaveLength(1_200);
    const failure = (driverError: Error) =>
      expect.objectContaining({
        message: "The change of a key could not be told to other processes",
        driverError,
      });
    expect(here.events.map((event) => "error" in event && event.error)).toContainEqual(
      failure(new StoreError("The invalidation bus takes no more messages")),
    );
  });

  test("takes as many messages as there are, one after the other", async () => {
    const { bus, here, key } = await two();
    const before = bus.sent.length;
    for (let i = 0; i < 1_100; i++) await here.store.update(key.id, 99, {}, auditOf(key));
    expect(bus.sent.length - before).toBe(1_100);
    expect(here.events).toEqual([]);
  });
});

describe("while the bus is down", () => {
  test("at the start every lookup goes to the store, and nothing is kept", async () => {
    const bus = localBus({ up: false });
    const inner = memoryStore();
    const { store, events } = instance(bus, inner, { negativeTtl: "1h" });
    const key = await added(inner);
    for (let i = 0; i < 3; i++) {
      expect(await knows(store, key.hash)).toBe(false);
      expect(await found(store, key.hash)).toEqual(key);
      expect(await found(store, hashSecret("unknown"))).toBeUndefined();
      expect(await knows(store, hashSecret("unknown"))).toBe(false);
    }
    bus.setState(true);
    await store.ready();
    expect(await knows(store, key.hash)).toBe(false);
    await found(store, key.hash);
    expect(await knows(store, key.hash)).toBe(true);
    expect(events).toEqual([]);
  });

  test("so do the lookups of one turn, in one call", async () => {
    const inner = memoryStore();
    const findManyByHash = vi.fn(async (hashes: readonly KeyHash[]) =>
      Promise.all(hashes.map((hash) => inner.findByHash(hash))),
    );
    const { store } = instance(localBus({ up: false }), { ...inner, findManyByHash }, { negativeTtl: "1h" });
    const [key, other] = [await added(inner), await added(inner)];
    for (let i = 1; i < 3; i++) {
      const answers = await Promise.all([key.hash, other.hash].map((hash) => found(store, hash)));
      expect(answers).toEqual([key, other]);
      expect(findManyByHash).toHaveBeenCalledTimes(i);
    }
  });

  test("that it does not come up is told once, and that it has, too", async () => {
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

  test("everything is forgotten, nothing is kept, and it is told once", async () => {
    const { bus, here, key, inner } = await two();
    bus.setState(false);
    bus.setState(false);
    for (let i = 0; i < 3; i++) expect(await knows(here.store, key.hash)).toBe(false);
    await revoked(inner, key);
    expect((await found(here.store, key.hash))?.revokedAt).toBeInstanceOf(Date);
    expect(here.types()).toEqual(["cache.bypassed"]);
    expect(here.events).toMatchObject([{ at: expect.any(Date) }]);
    bus.setState(true);
    expect(here.types()).toEqual(["cache.bypassed", "cache.resumed"]);
    expect(await knows(here.store, key.hash)).toBe(false);
    await found(here.store, key.hash);
    expect(await knows(here.store, key.hash)).toBe(true);
  });

  test("a lookup that began meanwhile is not kept", async () => {
    const bus = localBus();
    const inner = memoryStore();
    let answer: () => void = () => {};
    const slow = {
      ...inner,
      findByHash: (hash: KeyRecord["hash"]) =>
        new Promise<KeyRecord>((resolve) => {
          answer = () => resolve(inner.findByHash(hash) as KeyRecord);
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
      answer();
      await looking;
      bus.setState(true);
      expect(await knows(store, key.hash)).toBe(false);
      answer();
      await settled();
      bus.setState(false);
    }
  });

  test("it is not used before a ping has come back over the new connection", async () => {
    const { bus, here, key } = await two();
    const late: string[] = [];
    bus.onPublish = (message) => late.push(message);
    bus.setState(false);
    bus.setState(true);
    const ofThatConnection = late.splice(0);
    bus.setState(false);
    bus.setState(true);
    for (const message of ofThatConnection) bus.deliver(message);
    await found(here.store, key.hash);
    expect(await knows(here.store, key.hash)).toBe(false);
    for (const message of late) bus.deliver(message);
    await found(here.store, key.hash);
    expect(await knows(here.store, key.hash)).toBe(true);
  });

  test("a connection that came back without having been missed counts as new", async () => {
    const { bus, here, key } = await two();
    bus.setState(true);
    expect(await knows(here.store, key.hash)).toBe(false);
    expect(here.types()).toEqual(["cache.bypassed", "cache.resumed"]);
  });
});

describe("a bus that says it is up, and is not", () => {
  test("is found out when its pings do not come back, and used again when they do", async () => {
    const { bus, here, key } = await two(); // a heartbeat of 1,000
    const deliver = bus.onPublish;
    await pass(4_000);
    expect(await knows(here.store, key.hash)).toBe(true);
    bus.onPublish = () => {};
    await pass(2_999);
    expect(here.types()).toEqual([]);
    await pass(1);
    expect(here.types()).toEqual(["cache.bypassed"]);
    expect(await knows(here.store, key.hash)).toBe(false);
    bus.onPublish = deliver;
    await pass(1_000); // the pings of the other tell of a gap, too
    expect(here.types()).toEqual(["cache.bypassed", "cache.resumed"]);
    await found(here.store, key.hash);
    expect(await knows(here.store, key.hash)).toBe(true);
  });

  test("that brings everything twice is used", async () => {
    const { bus, here, key } = await two();
    const deliver = bus.onPublish;
    bus.onPublish = async (message) => {
      for (let time = 0; time < 2; time++) await deliver(message);
    };
    await pass(60_000);
    await found(here.store, key.hash); // what came again was not what was expected, and may have been about any key
    expect(await knows(here.store, key.hash)).toBe(true);
    expect(here.types()).toEqual([]);
  });

  test("of which a message takes longer than a heartbeat is used", async () => {
    vi.useFakeTimers({
      toFake: ["performance", "setInterval", "clearInterval", "setTimeout", "clearTimeout"],
    });
    const { bus, here } = await two(); // a heartbeat of 1,000
    const deliver = bus.onPublish;
    bus.onPublish = (message) => void setTimeout(deliver, 1_500, message);
    await pass(60_000);
    expect(here.types()).toEqual([]);
  });

  test("keeps nothing alive longer than three heartbeats, whatever timers do", async () => {
    vi.useFakeTimers({ toFake: ["performance"] }); // timers do not get to run: this process is blocked
    const { here, key } = await two({ heartbeat: "60000ms" });
    vi.advanceTimersByTime(179_999);
    expect(await knows(here.store, key.hash)).toBe(true);
    vi.advanceTimersByTime(1);
    expect(await knows(here.store, key.hash)).toBe(false);
    expect(here.types()).toEqual(["cache.bypassed"]);
  });

  test("pings that come back too late prove nothing", async () => {
    vi.useFakeTimers({ toFake: ["performance"] });
    const { bus, here, key } = await two({ heartbeat: "60000ms" });
    const late: string[] = [];
    bus.onPublish = (message) => late.push(message);
    bus.setState(true);
    vi.advanceTimersByTime(180_000);
    for (const message of late) bus.deliver(message);
    await found(here.store, key.hash);
    expect(await knows(here.store, key.hash)).toBe(false);
    expect(here.types()).toEqual(["cache.bypassed"]);
  });

  test("a process that is blocked, and then goes on, asks the store first", async () => {
    vi.useFakeTimers({ toFake: ["performance"] });
    const { here, inner, key } = await two({ heartbeat: "20ms" });
    await revoked(inner, key); // its news is lost, or still in the socket
    vi.advanceTimersByTime(80);
    expect((await found(here.store, key.hash))?.revokedAt).toBeInstanceOf(Date);
    await vi.waitFor(() => expect(here.types()).toEqual(["cache.bypassed", "cache.resumed"]), {
      timeout: 60_000,
      interval: 1,
    });
  });
});

describe("messages that have arrived, and are not read yet", () => {
  /** A bus whose messages come from outside of JavaScript, as those of a socket do. */
  const start = async () => {
    const { port1, port2 } = new MessageChannel();
    const bus = localBus();
    port2.on("message", (text) => bus.deliver(text));
    opened.push({ close: async () => port1.close() });
    bus.onPublish = (text) => port1.postMessage(text);
    const inner = memoryStore();
    // So long a lease that nothing else can end what is in memory.
    const [here, there] = [1, 2].map(() => instance(bus, inner, { heartbeat: "60000ms" }).store);
    if (here === undefined || there === undefined) throw new Error();
    await Promise.all([here.ready(), there.ready()]);
    await there.update("nobody", 1, {}, auditOf(keyOf()));
    await settled();
    const key = await added(inner);
    await found(here, key.hash);
    expect(await knows(here, key.hash)).toBe(true);
    return { here, there, inner, key };
  };

  /** No turn of the event loop passes meanwhile. */
  const block = (milliseconds: number) => void vi.advanceTimersByTime(milliseconds);

  test("are read before a process that was blocked answers from memory", async () => {
    const { here, there, key } = await start();
    const revoking = revoked(there, key);
    for (let i = 0; i < 10; i++) await Promise.resolve(); // it is told, and no turn has passed
    block(20);
    expect((await found(here, key.hash))?.revokedAt).toBeInstanceOf(Date);
    await revoking;
  });

  test("are read, though hits alone leave no room for it", async () => {
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

  test("are looked for once for all who ask, and not again a moment later", async () => {
    const { here, key } = await start();
    block(20);
    const answers = [here.findByHash(key.hash), here.findByHash(key.hash)];
    expect(answers.every((answer) => answer instanceof Promise)).toBe(true);
    expect(await Promise.all(answers)).toEqual([key, key]);
    block(4);
    expect(here.findByHash(key.hash)).toEqual(key);
    block(1);
    expect(here.findByHash(key.hash)).toBeInstanceOf(Promise);
  });
});

describe("a bus from which nothing comes back", () => {
  test.each<[string, () => void]>([
    ["is asked to reconnect, now and then", () => {}],
    [
      "may fail at that",
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

describe("subscribing", () => {
  test.each<[string, () => unknown]>([
    ["rejects", () => Promise.reject(new Error("down"))],
    [
      "throws",
      () => {
        throw new Error("down");
      },
    ],
  ])("that %s is tried again with the heartbeat", async (_, fail) => {
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

  /** A bus of which each call of subscribe() waits until it is told to go on. */
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

  test("that never answers is tried again, each time after twice as long", async () => {
    const { calls } = waiting();
    const tried: number[] = [];
    for (let time = 0; time < 8_000; time += 100) {
      if (tried.length < calls.length) tried.push(time);
      await pass(100);
    }
    expect(tried).toEqual([0, 1_100, 3_200, 7_300]);
  });

  test("that never answered does not keep the cache out of use, once it answers again", async () => {
    const { bus, calls, store, types } = waiting();
    await pass(1_100);
    expect(calls).toHaveLength(2);
    await calls[1]?.();
    await store.ready();
    expect([bus.subscribers, types()]).toEqual([1, ["cache.bypassed", "cache.resumed"]]);
    await pass(60_000);
    expect(calls).toHaveLength(2);
  });

  test("that answers after it was given up is undone, and nothing that it brings is heard", async () => {
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

  test("that answers after it was given up, behind the one that took its place, takes nothing away", async () => {
    const { bus, calls, store, types } = waiting();
    await pass(1_100);
    await calls[1]?.();
    await store.ready();
    await calls[0]?.();
    await pass(1_000); // heartbeats still come back
    expect([bus.subscribers, types()]).toEqual([1, ["cache.bypassed", "cache.resumed"]]);
  });

  test("that fails after it was given up takes nothing away from the one in its place", async () => {
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

  test("that answers after it was given up and the cache was closed is undone too", async () => {
    const { bus, calls, store } = waiting();
    await pass(1_100);
    const closed = store.close();
    for (const call of calls) await call();
    await closed;
    expect(bus.subscribers).toBe(0);
  });

  test("that never answers, and brings everything, is used and not tried again", async () => {
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

  test("that never answers, and brings everything again after each short outage, is not tried again", async () => {
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

  test("that rejects, and listens all the same, is heard once", async () => {
    const bus = localBus();
    const calls: Promise<unknown>[] = [];
    const rude: InvalidationBus = {
      publish: bus.publish,
      async subscribe(...args) {
        calls.push(bus.subscribe(...args));
        if (calls.length === 1) throw new Error("the acknowledgement was lost");
        return async () => {};
      },
    };
    const { store, types } = instance(rude, memoryStore(), { heartbeat: "10ms" });
    await pass(10);
    await store.ready();
    await pass(100);
    expect([calls.length, bus.subscribers]).toEqual([2, 2]);
    expect(types()).toEqual(["cache.bypassed", "cache.resumed"]);
  });

  test("is done once for each cache, and undone when it is closed", async () => {
    const { bus, here, there, key } = await two({ heartbeat: "10ms" });
    await pass(60);
    expect(bus.subscribers).toBe(2);
    await here.store.close();
    expect(bus.subscribers).toBe(1);
    const sent = () => parsed(bus).filter(({ from }) => from === parsed(bus)[0].from).length;
    const before = sent();
    await pass(60);
    expect(sent()).toBe(before);
    const told = here.events.length;
    bus.setState(false);
    bus.setState(true);
    expect(await knows(here.store, key.hash)).toBe(false);
    expect(here.events).toHaveLength(told);
    await there.store.close();
    expect(bus.subscribers).toBe(0);
  });

  test("a change after closing is still told", async () => {
    const { here, there, key } = await two();
    await here.store.close();
    await revoked(here.store, key);
    expect(await knows(there.store, key.hash)).toBe(false);
  });

  test("what a bus says after it was left is not heard", async () => {
    const bus = localBus();
    const rude: InvalidationBus = {
      publish: bus.publish,
      async subscribe(...args) {
        await bus.subscribe(...args);
        return async () => {};
      },
    };
    const inner = memoryStore();
    const { store, types } = instance(rude, inner);
    await store.ready();
    const key = await added(inner);
    await store.close();
    const sent = bus.sent.length;
    bus.setState(true);
    bus.deliver("nonsense");
    bus.deliver(bus.sent[0] as string);
    await found(store, key.hash);
    expect(await knows(store, key.hash)).toBe(false);
    expect(bus.sent).toHaveLength(sent);
    expect(types()).toEqual([]);
  });

  test("closing while it is under way undoes it when it is done", async () => {
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
  ])("closing ends when unsubscribing %s", async (_, leave) => {
    const { store } = instance({ publish: async () => {}, subscribe: async () => leave }, memoryStore());
    await store.close();
  });

  test("closing ends when subscribing never did", async () => {
    const { store } = instance(
      { publish: async () => {}, subscribe: () => new Promise(() => {}) },
      memoryStore(),
    );
    await store.close();
  });
});

test("an observer that throws disturbs nobody", async () => {
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
