import { RateLimiterMemory, RateLimiterUnion } from "rate-limiter-flexible";
import { describe, expect, test } from "vitest";
import { StoreError } from "../../../src/index.js";
import { type Counter, type FlexibleLimiter, flexibleLimits } from "../../../src/rate-limit/index.js";
import { sleep, thrownBy } from "../../unit/core/fixtures.js";

/** A limiter that keeps a diary, and does what a test wants in between. */
function scripted(before: (call: string) => unknown = () => {}) {
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
  test("a request without room writes nothing", async () => {
    const { limiter, calls } = scripted();
    const store = flexibleLimits(limiter);
    await store.take([counter("a", 1)], 1);
    calls.length = 0;
    expect((await store.take([counter("b", 5), counter("a", 1)], 1)).allowed).toBe(false);
    expect((await store.take([counter("b", 5), counter("a", 1)], 0)).allowed).toBe(true);
    expect(calls).toEqual([]);
  });

  test("what was taken is given back when others came first", async () => {
    const { limiter, calls, used } = scripted();
    const store = flexibleLimits(limiter);
    const results = await Promise.all([1, 2].map(() => store.take([counter("a", 5), counter("b", 1)], 1)));
    expect(results.map(({ allowed }) => allowed)).toEqual([true, false]);
    expect(results[1]?.standings.map(({ used }) => used)).toEqual([1, 1]);
    expect(calls.filter((call) => call === "reward")).toHaveLength(2);
    expect(used()).toEqual([1, 1]);
  });

  test("and when a window cannot be counted, which refuses", async () => {
    let taken = 0;
    const { limiter, used } = scripted((call) => {
      if (call === "penalty" && ++taken === 2) throw new Error("down");
    });
    const store = flexibleLimits(limiter);
    expect(await thrownBy(() => store.take([counter("a", 5), counter("b", 5)], 2))).toMatchObject({
      message: "down",
    });
    expect(used()).toEqual([0]);
  });

  test("what cannot be given back stays taken, and refuses", async () => {
    const { limiter, used } = scripted((call) => {
      if (call === "reward") throw new Error("down");
    });
    const store = flexibleLimits(limiter);
    const results = await Promise.allSettled([1, 2].map(() => store.take([counter("a", 1)], 1)));
    expect(results.map(({ status }) => status)).toEqual(["fulfilled", "rejected"]);
    expect(used()).toEqual([2]);
  });

  test("a return that comes after the window's end is no present to the next one", async () => {
    const { limiter, used } = scripted((call) => (call === "reward" ? sleep(350) : undefined));
    const store = flexibleLimits(limiter);
    const one = counter("a", 1, 300);
    const results = await Promise.all([1, 2].map(() => store.take([one], 1)));
    expect(results.map(({ allowed }) => allowed)).toEqual([true, false]);
    expect(used()).toEqual([0]);
    const next = await Promise.all([1, 2].map(() => store.take([one], 1)));
    expect(next.filter(({ allowed }) => allowed)).toHaveLength(1);
  });

  test("in the last tenth of a window, or its last second, nothing is given back", async () => {
    let taken = 0;
    const { limiter, calls, used } = scripted((call) => {
      if (call === "penalty" && ++taken === 2) return sleep(2750);
    });
    const store = flexibleLimits(limiter);
    const results = await Promise.all([1, 2].map(() => store.take([counter("a", 1, 3000)], 1)));
    expect(results.map(({ allowed }) => allowed)).toEqual([true, false]);
    expect(calls).not.toContain("reward");
    expect(used()).toEqual([2]);
  });

  const NONSENSE = [undefined, {}, { consumedPoints: "x", msBeforeNext: 1 }, { consumedPoints: 1 }];
  test.each(NONSENSE)("an answer that is no count is a failure: %j", async (answer) => {
    const limiter = { ...scripted().limiter, penalty: async () => answer as never };
    expect(await thrownBy(() => flexibleLimits(limiter).take([counter("a", 1)], 1))).toBeInstanceOf(
      StoreError,
    );
  });

  test("numbers that come as texts are numbers", async () => {
    const { limiter } = scripted();
    const penalty = async () => ({ consumedPoints: "7" as never, msBeforeNext: 1000 });
    const store = flexibleLimits({ ...limiter, penalty });
    expect(await store.take([counter("a", 9)], 7)).toEqual({
      allowed: true,
      standings: [{ used: 7, resetMs: 1000 }],
    });
  });

  test("refuses what does not count, and what does so in memory", () => {
    const memory = new RateLimiterMemory({ points: 1, duration: 1 });
    expect(() => flexibleLimits(memory)).toThrow("memoryLimits");
    expect(() => flexibleLimits(new RateLimiterUnion(memory) as never)).toThrow(
      '"limiter" must have a method get()',
    );
    expect(() => flexibleLimits(undefined as never)).toThrow('"limiter"');
  });
});
