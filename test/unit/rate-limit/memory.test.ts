import fc from "fast-check";
import { afterEach, describe, expect, it, vi } from "vitest";
import { memoryLimits, type TakeResult } from "../../../src/rate-limit/index.js";
import { stoppedClock } from "../core/fixtures.js";

afterEach(() => vi.restoreAllMocks());

const take = (store: ReturnType<typeof memoryLimits>, key: string, cost = 1, limit = 3, windowMs = 60_000) =>
  store.take([{ key, limit, windowMs }], cost) as TakeResult;

/** A reference implementation of anchored windows. */
function model() {
  const counted = new Map<string, { begin: number; sum: number }>();
  return (
    time: number,
    counters: { key: string; limit: number; windowMs: number }[],
    cost: number,
  ): TakeResult => {
    const windows = counters.map((counter) => {
      const found = counted.get(counter.key);
      const runs = found !== undefined && time < found.begin + counter.windowMs;
      return { ...counter, begin: runs ? found.begin : time, sum: runs ? found.sum : 0 };
    });
    const allowed = cost === 0 || windows.every(({ sum, limit }) => sum + cost <= limit);
    for (const window of windows) {
      if (!allowed || cost === 0) continue;
      window.sum += cost;
      counted.set(window.key, window);
    }
    return {
      allowed,
      states: windows.map(({ begin, sum, windowMs }) => ({ used: sum, resetMs: begin + windowMs - time })),
    };
  };
}

describe("memoryLimits", () => {
  it("matches a reference implementation for random sequences", () => {
    const WINDOWS = [
      { limit: 3, windowMs: 100 },
      { limit: 5, windowMs: 250 },
      { limit: 9, windowMs: 1000 },
    ];
    const step = fc.record({
      wait: fc.oneof(fc.nat(60), fc.constantFrom(0, 99, 100, 101, 250, 1000)),
      cost: fc.oneof(fc.constant(1), fc.nat(6)),
      key: fc.nat(2),
      windows: fc.subarray([0, 1, 2], { minLength: 1 }),
    });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 80 }), (steps) => {
        const clock = stoppedClock();
        const store = memoryLimits({ clock: clock.now, max: 100 });
        const expected = model();
        let time = clock.now().getTime();
        for (const { wait, cost, key, windows } of steps) {
          time += wait;
          clock.set(time);
          const requested = windows.map((index) => ({
            key: `${key} ${index}`,
            ...(WINDOWS[index] as { limit: number; windowMs: number }),
          }));
          expect(store.take(requested, cost)).toEqual(expected(time, requested, cost));
        }
      }),
      { numRuns: 500 },
    );
  });

  it("ends a window under steady traffic", () => {
    const clock = stoppedClock();
    const store = memoryLimits({ clock: clock.now });
    let allowed = 0;
    for (let second = 0; second < 600; second++) {
      clock.set(clock.now().getTime() + 1000);
      if (take(store, "steady", 1, 10).allowed) allowed++;
    }
    expect(allowed).toBe(100);
  });

  it("supports windows longer than the longest timer", async () => {
    const store = memoryLimits();
    const quarter = 90 * 86_400_000;
    expect(take(store, "quota", 1, 1, quarter).allowed).toBe(true);
    await new Promise((resolve) => setTimeout(resolve, 10));
    expect(take(store, "quota", 1, 1, quarter).allowed).toBe(false);
  });

  it("ends windows when the clock jumps ahead, and after one length when it is set back", () => {
    const clock = stoppedClock();
    const store = memoryLimits({ clock: clock.now });
    const begin = clock.now().getTime();
    for (let i = 0; i < 3; i++) take(store, "a");
    clock.set(begin - 86_400_000);
    expect(take(store, "a")).toEqual({ allowed: false, states: [{ used: 3, resetMs: 60_000 }] });
    clock.set(begin - 86_400_000 + 59_999);
    expect(take(store, "a").allowed).toBe(false);
    clock.set(begin - 86_400_000 + 60_000);
    expect(take(store, "a").allowed).toBe(true);
    clock.set(begin + 86_400_000);
    expect(take(store, "a")).toEqual({ allowed: true, states: [{ used: 1, resetMs: 60_000 }] });
  });

  it("ignores changes of the system clock", () => {
    vi.useFakeTimers({ toFake: ["Date"], now: 0 });
    try {
      const store = memoryLimits();
      for (let i = 0; i < 3; i++) take(store, "a");
      for (const time of [1e12, 0, 1e15]) {
        vi.setSystemTime(time);
        expect(take(store, "a").allowed).toBe(false);
      }
    } finally {
      vi.useRealTimers();
    }
  });

  it("evicts the least recently used counters and warns once", () => {
    const warn = vi.spyOn(process, "emitWarning").mockImplementation(() => {});
    const clock = stoppedClock();
    const store = memoryLimits({ max: 1000, clock: clock.now });
    for (let i = 0; i < 3; i++) take(store, "mine");
    for (let i = 0; i < 50_000; i++) {
      take(store, `other ${i}`);
      if (i % 500 === 0) expect(take(store, "mine").allowed).toBe(false); // used, so it stays
    }
    expect(store.size).toBe(1000);
    expect(warn).toHaveBeenCalledOnce();
    expect(warn.mock.calls[0]?.[1]).toMatchObject({ code: "KEYBEARER_COUNTERS_EVICTED" });
    for (let i = 0; i < 1000; i++) take(store, `more ${i}`);
    expect(take(store, "mine").allowed).toBe(true);
  });

  it("does not warn about evicted windows that have ended", () => {
    const warn = vi.spyOn(process, "emitWarning").mockImplementation(() => {});
    const clock = stoppedClock();
    const store = memoryLimits({ max: 100, clock: clock.now });
    for (let i = 0; i < 100; i++) take(store, `old ${i}`);
    clock.set(clock.now().getTime() + 60_000);
    for (let i = 0; i < 100; i++) take(store, `new ${i}`);
    expect(warn).not.toHaveBeenCalled();
  });

  it.each([0, 99, 1.5, "1000", 10_000_001, null])("rejects max: %j", (max) => {
    expect(() => memoryLimits({ max: max as number })).toThrow('"max"');
  });

  it("rejects unknown and invalid options", () => {
    expect(() => memoryLimits({ size: 5 } as never)).toThrow('"size"');
    expect(() => memoryLimits({ clock: 5 } as never)).toThrow('"clock"');
  });
});
