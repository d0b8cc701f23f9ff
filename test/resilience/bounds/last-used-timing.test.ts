import { describe, expect, it, vi } from "vitest";
import { DroppedError, type WriteReport } from "../../../src/observers/index.js";
import { allowed, cleanUpAfterEach, later, START, sleep, tracking } from "../../unit/observers/fixtures.js";

cleanUpAfterEach();

describe("lastUsed writes", () => {
  it("once per interval, and not without a use", async () => {
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

  it("a first use within a second, batched with others", async () => {
    vi.useFakeTimers();
    const { usage, writes } = tracking();
    usage.observer(allowed("a", later(1)));
    await vi.advanceTimersByTimeAsync(999);
    usage.observer(allowed("b", later(999)));
    expect(writes).toEqual([]);
    await vi.advanceTimersByTimeAsync(1);
    expect(writes).toEqual([{ a: later(1), b: later(999) }]);
  });

  it("each key once a minute, with its latest use", async () => {
    vi.useFakeTimers();
    const { usage, writes } = tracking();
    usage.observer(allowed("a", later(0)));
    await vi.advanceTimersByTimeAsync(1_000);
    usage.observer(allowed("a", later(6_000)));
    await vi.advanceTimersByTimeAsync(20_000);
    usage.observer(allowed("b", later(25_000)));
    await vi.advanceTimersByTimeAsync(9_000);
    usage.observer(allowed("a", later(30_000)));
    expect(writes).toEqual([{ a: later(0) }, { b: later(25_000) }]);
    await vi.advanceTimersByTimeAsync(30_999);
    expect(writes).toHaveLength(2);
    await vi.advanceTimersByTimeAsync(1);
    expect(writes[2]).toEqual({ a: later(30_000) });
    await vi.advanceTimersByTimeAsync(600_000);
    expect(writes).toHaveLength(3);
    usage.observer(allowed("a", later(700_000)));
    await vi.advanceTimersByTimeAsync(5_000);
    expect(writes).toHaveLength(4);
  });

  it.each([1, 50, 900])("at most once a second for %i keys in steady use", async (keys) => {
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
      expect(times.length).toBeGreaterThanOrEqual(9); // 900 keys are used every 90 seconds each
      for (const [i, time] of times.slice(1).entries())
        expect(time - (times[i] ?? 0)).toBeGreaterThan(59_900);
    }
    expect(writes.length).toBeLessThanOrEqual(minutes * 60);
  });

  it("by the monotonic clock, not the system clock", async () => {
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
    expect(writes).toHaveLength(3); // the store ignores it, because touch only moves forward
  });

  it("some keys more often if there are more than 10,000, and loses none", async () => {
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

  it("earlier than the interval if the queue is full", async () => {
    vi.useFakeTimers();
    const reports: unknown[] = [];
    const { usage, writes } = tracking({ onError: (error) => reports.push(error) });
    for (const round of [1, 2]) {
      for (let i = 0; i < 10_000; i++) usage.observer(allowed(`key_${i}`, later(round)));
      await vi.advanceTimersByTimeAsync(0);
      expect(writes).toHaveLength(round);
    }
    usage.observer(allowed("another", later(3)));
    await vi.advanceTimersByTimeAsync(5_000);
    expect(writes[2]).toEqual({ another: later(3) });
    expect(reports).toEqual([]);
  });

  it("no use with an invalid date, and reports it", async () => {
    const reports: [unknown, WriteReport][] = [];
    const { usage, writes } = tracking({ onError: (...all) => reports.push(all) });
    usage.observer(allowed("a", new Date(Number.NaN)));
    usage.observer(allowed("b", later(1)));
    usage.observer(allowed("b", new Date(Number.NaN)));
    expect(reports).toEqual([[expect.any(DroppedError), { pending: 0, dropped: 1 }]]);
    await usage.flush();
    expect(writes).toEqual([{ b: later(1) }]);
    expect(reports.at(-1)).toEqual([expect.any(DroppedError), { pending: 0, dropped: 2 }]);
  });

  it("at once when 10,000 keys were used", async () => {
    const { usage, writes } = tracking();
    for (let i = 0; i < 9_999; i++) usage.observer(allowed(`key_${i}`, START));
    for (let i = 0; i < 9_999; i++) usage.observer(allowed(`key_${i}`, later(1)));
    expect(writes).toEqual([]);
    usage.observer(allowed("key_9999", START));
    await sleep(1);
    expect(writes.map((write) => Object.keys(write).length)).toEqual([10_000]);
    expect(writes[0]?.key_0).toEqual(later(1));
  });

  it("at most 10,000 pending keys after a failed write", async () => {
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
    // A pending key still moves forward.
    for (let i = 0; i < 3; i++) usage.observer(allowed("key_1", later(i)));
    await usage.flush();
    expect(writes[2]).toEqual({ key_1: later(2) });
  });

  it("pending uses when it is closed, and leaves no timer", async () => {
    vi.useFakeTimers();
    const { usage, writes } = tracking({ interval: "1000ms" });
    usage.observer(allowed("a", later(1)));
    await usage.close();
    expect(writes).toEqual([{ a: later(1) }]);
    expect(vi.getTimerCount()).toBe(0);
    await usage.close();
    expect(writes).toHaveLength(1);
  });

  it("the rest after the write in progress when it is closed", async () => {
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
