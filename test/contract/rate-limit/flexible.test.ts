import { RateLimiterMemory, RateLimiterUnion } from "rate-limiter-flexible";
import { describe, expect, it } from "vitest";
import { StoreError } from "../../../src/index.js";
import { type Counter, type FlexibleLimiter, flexibleLimits } from "../../../src/rate-limit/index.js";
import { sleep, thrownBy } from "../../unit/core/fixtures.js";

/** A limiter that records its calls and calls `before` first. */
function recordingLimiter(before: (call: string) => unknown = () => {}) {
  const counts = new Map<string, { consumedPoints: number; ends: number }>();
  const calls: string[] = [];
  const change = async (name: string, key: string, points: number, customDuration: number) => {
    calls.push(name);
    await before(name);
    const found = counts.get(key);
    const runs = found !== undefined && found.ends > performance.now();
    const count = runs ? found : { consumedPoints: 0, ends: performance.now() + customDuration * 1000 };
    count.consumedPoints += points;
    counts.set(key, count);
    return { consumedPoints: count.consumedPoints, msBeforeNext: count.ends - performance.now() };
  };
  const limiter: FlexibleLimiter = {
    async get(key) {
      await before("get");
      const found = counts.get(key);
      return found === undefined
        ? null
        : { consumedPoints: found.consumedPoints, msBeforeNext: found.ends - performance.now() };
    },
    penalty: (key, points, { customDuration }) => change("penalty", key, points, customDuration),
    reward: (key, points, { customDuration }) => change("reward", key, -points, customDuration),
  };
  return { limiter, calls, used: () => [...counts.values()].map(({ consumedPoints }) => consumedPoints) };
}

const counter = (key: string, limit: number, windowMs = 60_000): Counter => ({ key, limit, windowMs });

describe("flexibleLimits", () => {
  it("writes nothing for a request without room", async () => {
    const { limiter, calls } = recordingLimiter();
    const store = flexibleLimits(limiter);
    await store.take([counter("a", 1)], 1);
    calls.length = 0;
    expect((await store.take([counter("b", 5), counter("a", 1)], 1)).allowed).toBe(false);
    expect((await store.take([counter("b", 5), counter("a", 1)], 0)).allowed).toBe(true);
    expect(calls).toEqual([]);
  });

  it("returns counts if concurrent requests were faster", async () => {
    const { limiter, calls, used } = recordingLimiter();
    const store = flexibleLimits(limiter);
    const results = await Promise.all([1, 2].map(() => store.take([counter("a", 5), counter("b", 1)], 1)));
    expect(results.map(({ allowed }) => allowed)).toEqual([true, false]);
    expect(results[1]?.states.map(({ used }) => used)).toEqual([1, 1]);
    expect(calls.filter((call) => call === "reward")).toHaveLength(2);
    expect(used()).toEqual([1, 1]);
  });

  it("returns counts and rejects if a window fails", async () => {
    let taken = 0;
    const { limiter, used } = recordingLimiter((call) => {
      if (call === "penalty" && ++taken === 2) throw new Error("down");
    });
    const store = flexibleLimits(limiter);
    expect(await thrownBy(() => store.take([counter("a", 5), counter("b", 5)], 2))).toMatchObject({
      message: "down",
    });
    expect(used()).toEqual([0]);
  });

  it("rejects if a return fails", async () => {
    const { limiter, used } = recordingLimiter((call) => {
      if (call === "reward") throw new Error("down");
    });
    const store = flexibleLimits(limiter);
    const results = await Promise.allSettled([1, 2].map(() => store.take([counter("a", 1)], 1)));
    expect(results.map(({ status }) => status)).toEqual(["fulfilled", "rejected"]);
    expect(used()).toEqual([2]);
  });

  it("does not add a late return to the next window", async () => {
    const { limiter, used } = recordingLimiter((call) => (call === "reward" ? sleep(350) : undefined));
    const store = flexibleLimits(limiter);
    const one = counter("a", 1, 300);
    const results = await Promise.all([1, 2].map(() => store.take([one], 1)));
    expect(results.map(({ allowed }) => allowed)).toEqual([true, false]);
    expect(used()).toEqual([0]);
    const next = await Promise.all([1, 2].map(() => store.take([one], 1)));
    expect(next.filter(({ allowed }) => allowed)).toHaveLength(1);
  });

  it("returns nothing in the last tenth or the last second of a window", async () => {
    let taken = 0;
    const { limiter, calls, used } = recordingLimiter((call) => {
      if (call === "penalty" && ++taken === 2) return sleep(2750);
    });
    const store = flexibleLimits(limiter);
    const results = await Promise.all([1, 2].map(() => store.take([counter("a", 1, 3000)], 1)));
    expect(results.map(({ allowed }) => allowed)).toEqual([true, false]);
    expect(calls).not.toContain("reward");
    expect(used()).toEqual([2]);
  });

  const INVALID = [undefined, {}, { consumedPoints: "x", msBeforeNext: 1 }, { consumedPoints: 1 }];
  it.each(INVALID)("rejects an invalid count: %j", async (count) => {
    const limiter = { ...recordingLimiter().limiter, penalty: async () => count as never };
    expect(await thrownBy(() => flexibleLimits(limiter).take([counter("a", 1)], 1))).toBeInstanceOf(
      StoreError,
    );
  });

  it("accepts numbers as strings", async () => {
    const { limiter } = recordingLimiter();
    const penalty = async () => ({ consumedPoints: "7" as never, msBeforeNext: 1000 });
    const store = flexibleLimits({ ...limiter, penalty });
    expect(await store.take([counter("a", 9)], 7)).toEqual({
      allowed: true,
      states: [{ used: 7, resetMs: 1000 }],
    });
  });

  it("rejects combined limiters and RateLimiterMemory", () => {
    const memory = new RateLimiterMemory({ points: 1, duration: 1 });
    expect(() => flexibleLimits(memory)).toThrow("memoryLimits");
    expect(() => flexibleLimits(new RateLimiterUnion(memory) as never)).toThrow(
      '"limiter" must have a method get()',
    );
    expect(() => flexibleLimits(undefined as never)).toThrow('"limiter"');
  });
});
