import fc from "fast-check";
import { afterEach, describe, expect, test, vi } from "vitest";
import type { TakeResult } from "../../../src/rate-limit/index.js";
import { memoryLimits } from "../../../src/rate-limit/index.js";
import { stoppedClock } from "../core/fixtures.js";

afterEach(() => vi.restoreAllMocks());

const take = (store: ReturnType<typeof memoryLimits>, key: string, cost = 1, limit = 3, windowMs = 60_000) =>
  store.take([{ key, limit, windowMs }], cost) as TakeResult;

/** What anchored windows are, written down as plainly as possible: every request that was counted, and when. */
function model() {
  const counted = new Map<string, { begin: number; sum: number }>();
  return (
    time: number,
    asked: { key: string; limit: number; windowMs: number }[],
    cost: number,
  ): TakeResult => {
    const windows = asked.map((counter) => {
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
      standings: windows.map(({ begin, sum, windowMs }) => ({ used: sum, resetMs: begin + windowMs - time })),
    };
  };
}

describe("memoryLimits", () => {
  test("does as the model of anchored windows says, whatever the order", () => {
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
          const asked = windows.map((index) => ({
            key: `${key} ${index}`,
            ...(WINDOWS[index] as { limit: number; windowMs: number }),
          }));
          expect(store.take(asked, cost)).toEqual(expected(time, asked, cost));
        }
      }),
      { numRuns: 500 },
    );
  });

  test("in no window is more taken than its limit, and steady traffic does not hold it open", () => {
    const clock = stoppedClock();
    const store = memoryLimits({ clock: clock.now });
    let allowed = 0;
    for (let second = 0; second < 600; second++) {
      clock.set(clock.now().getTime() + 1000);
      if (take(store, "steady", 1, 10).allowed) allowed++;
    }
    expect(allowed).toBe(100);
  });

  test("a window of months is one", async () => {
    const store = memoryLimits();
    const quarter = 90 * 86_400_000;
    expect(take(store, "quota", 1, 1, quarter).allowed).toBe(true);
    await new Promise((resolve) => setTimeout(resolve, 10));
    expect(take(store, "quota", 1, 1, quarter).allowed).toBe(false);
  });

  test("a clock that jumps ahead ends windows; one that is set back holds none open longer than its length", () => {
    const clock = stoppedClock();
    const store = memoryLimits({ clock: clock.now });
    const begin = clock.now().getTime();
    for (let i = 0; i < 3; i++) take(store, "a");
    clock.set(begin - 86_400_000);
    expect(take(store, "a")).toEqual({ allowed: false, standings: [{ used: 3, resetMs: 60_000 }] });
    clock.set(begin - 86_400_000 + 59_999);
    expect(take(store, "a").allowed).toBe(false);
    clock.set(begin - 86_400_000 + 60_000);
    expect(take(store, "a").allowed).toBe(true);
    clock.set(begin + 86_400_000);
    expect(take(store, "a")).toEqual({ allowed: true, standings: [{ used: 1, resetMs: 60_000 }] });
  });

  test("the system's clock can be set without any effect", () => {
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

  test("is bounded: what was not asked for the longest is forgotten, and somebody is told", () => {
    const warn = vi.spyOn(process, "emitWarning").mockImplementation(() => {});
    const clock = stoppedClock();
    const store = memoryLimits({ max: 1000, clock: clock.now });
    for (let i = 0; i < 3; i++) take(store, "mine");
    for (let i = 0; i < 50_000; i++) {
      take(store, `other ${i}`);
      if (i % 500 === 0) expect(take(store, "mine").allowed).toBe(false); // asked for, so it stays
    }
    expect(store.size).toBe(1000);
    expect(warn).toHaveBeenCalledOnce();
    expect(warn.mock.calls[0]?.[1]).toMatchObject({ code: "KEYBEARER_LIMITS_FORGOTTEN" });
    for (let i = 0; i < 1000; i++) take(store, `more ${i}`);
    expect(take(store, "mine").allowed).toBe(true);
  });

  test("nobody is told of windows that have ended", () => {
    const warn = vi.spyOn(process, "emitWarning").mockImplementation(() => {});
    const clock = stoppedClock();
    const store = memoryLimits({ max: 100, clock: clock.now });
    for (let i = 0; i < 100; i++) take(store, `old ${i}`);
    clock.set(clock.now().getTime() + 60_000);
    for (let i = 0; i < 100; i++) take(store, `new ${i}`);
    expect(warn).not.toHaveBeenCalled();
  });

  test.each([0, 99, 1.5, "1000", 10_000_001, null])("refuses to keep %j", (max) => {
    expect(() => memoryLimits({ max: max as number })).toThrow('"max"');
  });

  test("refuses options that nobody reads", () => {
    expect(() => memoryLimits({ size: 5 } as never)).toThrow('"size"');
    expect(() => memoryLimits({ clock: 5 } as never)).toThrow('"clock"');
  });
});
