import { describe, expect, test, vi } from "vitest";
import { DroppedError, type WriteReport } from "../../../src/observers/index.js";
import { allowed, later, START, sleep, tidily, tracking } from "./fixtures.js";

tidily();

describe("when it is written", () => {
  test("once an interval, and not when there is nothing", async () => {
    vi.useFakeTimers();
    const { usage, writes } = tracking({ interval: "1000ms" });
    usage.observer(allowed("a", later(1)));
    await vi.advanceTimersByTimeAsync(999);
    expect(writes).toEqual([]);
    await vi.advanceTimersByTimeAsync(1);
    expect(writes).toEqual([{ a: later(1) }]);
    await vi.advanceTimersByTimeAsync(5_000);
    expect(writes).toHaveLength(1);
  });

  test("a first use within five seconds, and together with those that came meanwhile", async () => {
    vi.useFakeTimers();
    const { usage, writes } = tracking();
    usage.observer(allowed("a", later(1)));
    await vi.advanceTimersByTimeAsync(4_999);
    usage.observer(allowed("b", later(4_999)));
    expect(writes).toEqual([]);
    await vi.advanceTimersByTimeAsync(1);
    expect(writes).toEqual([{ a: later(1), b: later(4_999) }]);
  });

  test("each key once a minute, with its latest use", async () => {
    vi.useFakeTimers();
    const { usage, writes } = tracking();
    usage.observer(allowed("a", later(0)));
    await vi.advanceTimersByTimeAsync(5_000);
    usage.observer(allowed("a", later(6_000)));
    await vi.advanceTimersByTimeAsync(20_000);
    usage.observer(allowed("b", later(25_000)));
    await vi.advanceTimersByTimeAsync(5_000);
    usage.observer(allowed("a", later(30_000)));
    expect(writes).toEqual([{ a: later(0) }, { b: later(25_000) }]);
    await vi.advanceTimersByTimeAsync(34_999);
    expect(writes).toHaveLength(2);
    await vi.advanceTimersByTimeAsync(1);
    expect(writes[2]).toEqual({ a: later(30_000) });
    await vi.advanceTimersByTimeAsync(600_000);
    expect(writes).toHaveLength(3);
    usage.observer(allowed("a", later(700_000)));
    await vi.advanceTimersByTimeAsync(5_000);
    expect(writes).toHaveLength(4);
  });

  test.each([1, 50, 900])("%i keys in steady use make a dozen writes a minute at most", async (keys) => {
    vi.useFakeTimers();
    const { usage, writes } = tracking();
    const at = new Map<string, number[]>();
    const minutes = 20;
    let seen = 0;
    for (let tick = 0; tick < minutes * 600; tick++) {
      usage.observer(allowed(`key_${(tick * 7) % keys}`, later(tick * 100)));
      await vi.advanceTimersByTimeAsync(100);
      for (; seen < writes.length; seen++)
        for (const id of Object.keys(writes[seen] ?? {}))
          at.set(id, [...(at.get(id) ?? []), performance.now()]);
    }
    expect(at.size).toBe(keys);
    for (const times of at.values()) {
      expect(times.length).toBeGreaterThanOrEqual(9); // 900 keys come by every 90 seconds
      for (const [i, time] of times.slice(1).entries())
        expect(time - (times[i] ?? 0)).toBeGreaterThan(59_900);
    }
    expect(writes.length).toBeLessThanOrEqual(minutes * 12);
  });

  test("not by the clock of the host, which may jump", async () => {
    vi.useFakeTimers();
    const { usage, writes } = tracking();
    const use = async (at: Date, ms: number) => {
      vi.setSystemTime(at);
      usage.observer(allowed("a", at));
      await vi.advanceTimersByTimeAsync(ms);
    };
    await use(later(0), 5_000);
    await use(later(3_600_000), 30_000);
    await use(later(-3_600_000), 24_000);
    expect(writes).toEqual([{ a: later(0) }]);
    await vi.advanceTimersByTimeAsync(6_000);
    expect(writes).toEqual([{ a: later(0) }, { a: later(3_600_000) }]);
    await use(later(-7_200_000), 120_000);
    expect(writes).toHaveLength(3); // for the store to leave alone: it only moves forward
  });

  test("of more keys than can be remembered, some are written more often, and none is lost", async () => {
    vi.useFakeTimers();
    const { usage, writes } = tracking();
    const written = new Map<string, Date>();
    for (let round = 0; round < 3; round++) {
      for (let i = 0; i < 25_000; i++) {
        usage.observer(allowed(`key_${i}`, later(round)));
        if (i % 1_000 === 0) await vi.advanceTimersByTimeAsync(100);
      }
    }
    await vi.advanceTimersByTimeAsync(120_000);
    for (const write of writes) for (const [id, at] of Object.entries(write)) written.set(id, at);
    expect(written.size).toBe(25_000);
    expect(new Set([...written.values()].map(Number))).toEqual(new Set([Number(later(2))]));
    for (const write of writes) expect(Object.keys(write).length).toBeLessThanOrEqual(10_000);
  });

  test("earlier than throttled, when there would be no room for others", async () => {
    vi.useFakeTimers();
    const told: unknown[] = [];
    const { usage, writes } = tracking({ onError: (error) => told.push(error) });
    for (const round of [1, 2]) {
      for (let i = 0; i < 10_000; i++) usage.observer(allowed(`key_${i}`, later(round)));
      await vi.advanceTimersByTimeAsync(0);
      expect(writes).toHaveLength(round);
    }
    usage.observer(allowed("another", later(3)));
    await vi.advanceTimersByTimeAsync(5_000);
    expect(writes[2]).toEqual({ another: later(3) });
    expect(told).toEqual([]);
  });

  test("never, without a date; that is told", async () => {
    const told: [unknown, WriteReport][] = [];
    const { usage, writes } = tracking({ onError: (...all) => told.push(all) });
    usage.observer(allowed("a", new Date(Number.NaN)));
    usage.observer(allowed("b", later(1)));
    usage.observer(allowed("b", new Date(Number.NaN)));
    expect(told).toEqual([[expect.any(DroppedError), { pending: 0, dropped: 1 }]]);
    await usage.flush();
    expect(writes).toEqual([{ b: later(1) }]);
    expect(told.at(-1)).toEqual([expect.any(DroppedError), { pending: 0, dropped: 2 }]);
  });

  test("early, when 10,000 keys were used", async () => {
    const { usage, writes } = tracking();
    for (let i = 0; i < 9_999; i++) usage.observer(allowed(`key_${i}`, START));
    for (let i = 0; i < 9_999; i++) usage.observer(allowed(`key_${i}`, later(1)));
    expect(writes).toEqual([]);
    usage.observer(allowed("key_9999", START));
    await sleep(1);
    expect(writes.map((write) => Object.keys(write).length)).toEqual([10_000]);
    expect(writes[0]?.key_0).toEqual(later(1));
  });

  test("no more than 10,000 wait while a write is under way or the store is down", async () => {
    let fail: (error: unknown) => void = () => {};
    const { usage, writes } = tracking({}, (write) =>
      write === 1
        ? new Promise((_, reject) => {
            fail = reject;
          })
        : undefined,
    );
    for (let i = 0; i < 25_000; i++) usage.observer(allowed(`key_${i}`, START));
    await sleep(1);
    expect(writes).toHaveLength(1);
    fail(new Error("down"));
    await sleep(1);
    await usage.flush();
    expect(writes).toHaveLength(2);
    for (const write of writes) expect(Object.keys(write)).toHaveLength(10_000);
    // A key that is waiting already is still moved forward.
    for (let i = 0; i < 3; i++) usage.observer(allowed("key_1", later(i)));
    await usage.flush();
    expect(writes[2]).toEqual({ key_1: later(2) });
  });

  test("when it is closed, and by no timer afterwards", async () => {
    vi.useFakeTimers();
    const { usage, writes } = tracking({ interval: "1000ms" });
    usage.observer(allowed("a", later(1)));
    await usage.close();
    expect(writes).toEqual([{ a: later(1) }]);
    expect(vi.getTimerCount()).toBe(0);
    await usage.close();
    expect(writes).toHaveLength(1);
  });

  test("closing waits for the write that is under way, then writes the rest", async () => {
    let end = () => {};
    const { usage, writes } = tracking({ closeTimeout: "60000ms" }, (write) =>
      write === 1
        ? new Promise<void>((resolve) => {
            end = resolve;
          })
        : undefined,
    );
    usage.observer(allowed("a", later(1)));
    const first = usage.flush();
    usage.observer(allowed("b", later(2)));
    let closed = false;
    const closing = usage.close().then(() => {
      closed = true;
    });
    await sleep(5);
    expect([closed, writes.length]).toEqual([false, 1]);
    end();
    await Promise.all([first, closing]);
    expect(writes).toEqual([{ a: later(1) }, { b: later(2) }]);
  });
});
