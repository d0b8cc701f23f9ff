import { describe, expect, it, vi } from "vitest";
import {
  type Awaitable,
  createKeyManager,
  createVerifier,
  defineScopes,
  type KeyEvent,
  keyFormat,
  type ManagedKeyStore,
} from "../../../src/index.js";
import { lastUsed } from "../../../src/observers/index.js";
import { memoryStore } from "../../../src/stores/memory.js";
import {
  allowed,
  cleanUpAfterEach,
  closeAfterEach,
  later,
  rejection,
  START,
  sleep,
  tracking,
} from "./fixtures.js";

cleanUpAfterEach();

describe("lastUsed", () => {
  it("writes the latest use of each key once", async () => {
    const { usage, writes } = tracking();
    usage.observer(allowed("a", later(1)));
    usage.observer(allowed("b", later(2)));
    usage.observer(allowed("a", later(3)));
    usage.observer(allowed("a", later(2)));
    expect(writes).toEqual([]);
    await usage.flush();
    expect(writes).toEqual([{ a: later(3), b: later(2) }]);
    await usage.flush();
    expect(writes).toHaveLength(1);
  });

  it("ignores all events but auth.allowed", async () => {
    const { usage, writes } = tracking();
    const { type: _, ...facts } = allowed("a", START);
    const others: KeyEvent[] = [
      { ...facts, type: "auth.denied", code: "ip_not_allowed", reason: "ip_not_allowed" },
      { ...facts, type: "auth.failed", error: new Error("x") },
      { type: "key.revoked", at: START, keyId: "a", ownerId: "acme", actor: null, details: {} },
    ];
    for (const event of others) usage.observer(event);
    await usage.flush();
    expect(writes).toEqual([]);
  });

  it("writes uses of a verifier to the store", async () => {
    const scopes = defineScopes({ "vehicles:read": {}, "vehicles:write": {} });
    const format = keyFormat({ prefix: "ezt" });
    const store = memoryStore();
    const manager = createKeyManager({ store, scopes, format });
    const usage = closeAfterEach(lastUsed(store));
    const verifier = createVerifier({
      store,
      scopes,
      format,
      observers: [usage.observer],
      clock: () => START,
    });
    const { secret, key } = await manager.create({ ownerId: "acme", scopes: ["vehicles:read"] });
    const request = { headers: { authorization: `Bearer ${secret}` } };
    await verifier.verify(request, "vehicles:write");
    await usage.flush();
    expect((await manager.get(key.id))?.lastUsedAt).toBeNull();
    await verifier.verify(request, "vehicles:read");
    expect((await manager.get(key.id))?.lastUsedAt).toBeNull();
    await usage.flush();
    expect((await manager.get(key.id))?.lastUsedAt).toEqual(START);
    expect(await store.findById(key.id)).toMatchObject({ version: 1 });
  });
});

describe("concurrent flushes", () => {
  it("write one after the other", async () => {
    let inProgress = 0;
    let most = 0;
    const { usage, writes } = tracking({ interval: "1ms", closeTimeout: "60000ms" }, async () => {
      most = Math.max(most, ++inProgress);
      await sleep(3);
      inProgress--;
    });
    const flushes: Promise<void>[] = [];
    for (let i = 0; i < 30; i++) {
      usage.observer(allowed(`key_${i % 3}`, later(i)));
      if (i % 4 === 0) flushes.push(usage.flush());
      await sleep(1);
    }
    await Promise.all(flushes);
    await usage.close();
    expect(most).toBe(1);
    const last = Object.assign({}, ...writes);
    expect(last).toEqual({ key_0: later(27), key_1: later(28), key_2: later(29) });
  });
});

describe("lastUsed with a failing store", () => {
  const down = new Error("down");

  it.each([
    [
      "throws",
      () => {
        throw down;
      },
    ],
    ["rejects", () => Promise.reject(down)],
  ])("rejects flush if the store %s, and retries the values", async (_, fail) => {
    let broken = true;
    const { usage, writes } = tracking({}, () => (broken ? fail() : undefined));
    usage.observer(allowed("a", later(1)));
    usage.observer(allowed("b", later(1)));
    expect(await rejection(usage.flush())).toBe(down);
    usage.observer(allowed("b", later(5)));
    broken = false;
    await usage.flush();
    expect(writes[1]).toEqual({ a: later(1), b: later(5) });
  });

  it("keeps a later use that arrived during a failed write", async () => {
    let fail: (error: unknown) => void = () => {};
    const { usage, writes } = tracking({}, (write) =>
      write === 1
        ? new Promise((_, reject) => {
            fail = reject;
          })
        : undefined,
    );
    usage.observer(allowed("a", later(1)));
    const first = rejection(usage.flush());
    usage.observer(allowed("a", later(9)));
    fail(down);
    expect(await first).toBe(down);
    await usage.flush();
    expect(writes).toEqual([{ a: later(1) }, { a: later(9) }]);
  });

  it("ignores an earlier use that arrived during a failed write", async () => {
    let fail: (error: unknown) => void = () => {};
    const { usage, writes } = tracking({}, (write) =>
      write === 1
        ? new Promise((_, reject) => {
            fail = reject;
          })
        : undefined,
    );
    usage.observer(allowed("a", later(9)));
    const first = rejection(usage.flush());
    usage.observer(allowed("a", later(5)));
    fail(down);
    await first;
    await usage.flush();
    expect(writes).toEqual([{ a: later(9) }, { a: later(9) }]);
  });

  it.each<[string, (error: unknown) => unknown]>([
    ["returns", () => {}],
    [
      "throws",
      () => {
        throw new Error("of the host");
      },
    ],
    ["rejects", () => Promise.reject(new Error("of the host"))],
  ])("calls onError for background failures; onError %s", async (_, then) => {
    vi.useFakeTimers();
    const errors: unknown[] = [];
    const onError = (error: unknown) => {
      errors.push(error);
      return then(error);
    };
    const { usage, writes } = tracking({ interval: "1000ms", onError }, (write) =>
      write < 3 ? Promise.reject(down) : undefined,
    );
    usage.observer(allowed("a", later(1)));
    await vi.advanceTimersByTimeAsync(3_000);
    expect(errors).toEqual([down, down]);
    await vi.advanceTimersByTimeAsync(4_000);
    expect(errors).toHaveLength(2);
    expect(writes[2]).toEqual({ a: later(1) });
  });

  it("retries background failures without onError", async () => {
    vi.useFakeTimers();
    const { usage, writes } = tracking({ interval: "1000ms" }, (write) =>
      write === 1 ? Promise.reject(down) : undefined,
    );
    usage.observer(allowed("a", later(1)));
    await vi.advanceTimersByTimeAsync(3_001);
    expect(writes).toHaveLength(2);
  });

  it("rejects close while every write fails, and can be closed again", async () => {
    let broken = true;
    const { usage, writes } = tracking({}, () => (broken ? Promise.reject(down) : undefined));
    usage.observer(allowed("a", later(1)));
    expect(await rejection(usage.close())).toBe(down);
    const tries = writes.length;
    broken = false;
    await usage.close();
    expect(writes.slice(tries)).toEqual([{ a: later(1) }]);
  });
});

describe("lastUsed and concurrent changes", () => {
  it("never undo a revocation, a disablement or a version", async () => {
    const scopes = defineScopes({ "vehicles:read": {} });
    const format = keyFormat({ prefix: "ezt" });
    for (let round = 0; round < 25; round++) {
      const memory = memoryStore();
      const delayed =
        <A extends unknown[], R>(method: (...args: A) => Awaitable<R>) =>
        async (...args: A): Promise<R> => {
          await sleep(Math.random() * 2);
          const result = await method(...args);
          await sleep(Math.random() * 2);
          return result;
        };
      const store: ManagedKeyStore = {
        ...memory,
        touch: delayed(memory.touch),
        update: delayed(memory.update),
        findById: delayed(memory.findById),
      };
      const manager = createKeyManager({ store, scopes, format });
      const usage = closeAfterEach(lastUsed(store, { interval: "1ms", closeTimeout: "60000ms" }));
      const { key } = await manager.create({ ownerId: "acme", scopes: [] });
      const using = (async () => {
        for (let i = 1; i <= 10; i++) {
          usage.observer(allowed(key.id, later(i)));
          await (i % 3 === 0 ? usage.flush() : sleep(Math.random()));
        }
      })();
      await manager.disable(key.id);
      await manager.enable(key.id);
      await manager.revoke(key.id, { reason: "leaked" });
      await using;
      usage.observer(allowed(key.id, later(5)));
      await usage.close();
      expect(await memory.findById(key.id)).toMatchObject({
        version: 4,
        revokedReason: "leaked",
        revokedAt: expect.any(Date),
        lastUsedAt: later(10),
      });
      expect((await manager.auditTrail({ keyId: key.id })).items).toHaveLength(4);
    }
  });
});

describe("lastUsed options", () => {
  const store = { touch() {} };

  it.each<[string, unknown, unknown, RegExp]>([
    ["no store", undefined, undefined, /touch/],
    ["a store for verification only", { findByHash() {} }, undefined, /touch/],
    ["an interval of 0", store, { interval: "0ms" }, /"interval"/],
    ["an interval below 0", store, { interval: -1 }, /"interval"/],
    ["an interval of NaN", store, { interval: Number.NaN }, /"interval"/],
    ["an interval above the longest timer", store, { interval: "25d" }, /"interval"/],
    ["an interval that is a number", store, { interval: 60_000 }, /write "60000ms"/],
    ["an unknown option", store, { intervalMs: 5 }, /"intervalMs"/],
    ["null", store, null, /options object/],
    ["storeTimeout of 0", store, { storeTimeout: "0ms" }, /"storeTimeout"/],
    ["an infinite closeTimeout", store, { closeTimeout: Number.POSITIVE_INFINITY }, /"closeTimeout"/],
    ["onError that is no function", store, { onError: true }, /"onError"/],
  ])("throws a TypeError for %s", (_, first, options, message) => {
    const make = () => lastUsed(first as never, options as never);
    expect(make).toThrow(TypeError);
    expect(make).toThrow(message);
  });

  it("returns a frozen object", () => {
    expect(Object.isFrozen(tracking().usage)).toBe(true);
  });
});

it("does not retry a full queue before the back-off has ended", async () => {
  const { usage, writes } = tracking({ interval: "60000ms" }, () => Promise.reject(new Error("down")));
  for (let i = 0; i < 10_200; i++) {
    usage.observer(allowed(`key_${i}`, START));
    if (i >= 9_990) await Promise.resolve().then(() => {});
  }
  await sleep(5);
  expect(writes).toHaveLength(1);
});
