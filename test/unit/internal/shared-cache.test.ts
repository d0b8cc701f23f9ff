import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { createSharedCache, weightOf } from "../../../src/internal/shared-cache.js";

/** Creates a cache, and fills it with `count` entries of an owner, named `<owner>0` and so on. */
function filled(max: number, owner: string, count: number) {
  const removed: string[] = [];
  const cache = createSharedCache<number>(max, (key) => removed.push(key));
  const fill = (name: string, from: number, to: number) => {
    for (let index = from; index < to; index++) cache.set(`${name}${index}`, index, name);
  };
  const keys = (name: string, to: number) =>
    Array.from({ length: to }, (_, index) => `${name}${index}`).filter(
      (key) => cache.peek(key) !== undefined,
    );
  fill(owner, 0, count);
  return { cache, removed, fill, keys };
}

describe("createSharedCache", () => {
  it("lets one owner use all the room", () => {
    const { keys } = filled(32, "a", 32);
    expect(keys("a", 32)).toHaveLength(32);
  });

  it("evicts the least recently used entry of an owner that is alone", () => {
    const { cache, keys, removed } = filled(4, "a", 4);
    cache.get("a0");
    cache.peek("a1"); // not a use
    cache.set("a4", 4, "a");
    expect(removed).toEqual(["a1"]);
    expect(keys("a", 5)).toEqual(["a0", "a2", "a3", "a4"]);
  });

  it("does not let an owner above its share evict others, however many entries it adds", () => {
    const { fill, keys } = filled(32, "b", 3);
    fill("a", 0, 10_000);
    expect(keys("b", 3)).toEqual(["b0", "b1", "b2"]);
    expect(keys("a", 10_000)).toHaveLength(29);
  });

  it("gives room of an owner above its share to one below it", () => {
    const { fill, keys } = filled(32, "a", 32);
    fill("b", 0, 100);
    expect(keys("b", 100)).toEqual(["b98", "b99"]); // its share of 32 is 2
    expect(keys("a", 32)).toHaveLength(30);
  });

  it("counts weights, and keeps nothing that is heavier than the maximum", () => {
    const { cache, keys } = filled(10, "a", 10);
    cache.set("heavy", 1, "b", 7);
    expect(keys("a", 10)).toEqual(["a7", "a8", "a9"]);
    cache.set("a9", 0, "a", 11);
    expect(keys("a", 10)).toEqual(["a7", "a8"]);
    cache.set("a0", 0, "a", 1);
    expect([cache.get("heavy"), keys("a", 10)]).toEqual([1, ["a0", "a7", "a8"]]);
  });

  it("calls onRemove for replaced, deleted and cleared entries", () => {
    const { cache, removed } = filled(10, "a", 4);
    cache.set("a0", 7, "b");
    cache.delete("a1");
    cache.delete("unknown");
    expect([cache.get("a0"), cache.get("a1"), removed]).toEqual([7, undefined, ["a0", "a1"]]);
    cache.clear();
    expect([...removed].sort()).toEqual(["a0", "a0", "a1", "a2", "a3"]);
    expect(cache.get("a2")).toBeUndefined();
  });

  it("agrees with a list in order of use (property)", () => {
    const command = fc.record({
      does: fc.constantFrom("set", "set", "get", "delete"),
      owner: fc.constantFrom("a", "b", "c"),
      key: fc.integer({ min: 0, max: 11 }).map(String),
      weight: fc.integer({ min: 1, max: 5 }),
    });
    fc.assert(
      fc.property(fc.array(command, { maxLength: 200 }), fc.integer({ min: 4, max: 40 }), (commands, max) => {
        const cache = createSharedCache<string>(max);
        let model: { key: string; owner: string; weight: number }[] = [];
        const sum = (list: typeof model) => list.reduce((total, { weight }) => total + weight, 0);
        for (const { does, owner, key, weight } of commands) {
          const known = model.find((entry) => entry.key === key);
          if (does === "delete") cache.delete(key);
          if (does === "get") expect(cache.get(key)).toBe(known?.owner);
          if (does === "set") cache.set(key, owner, owner, weight);
          if (does === "get" && known === undefined) continue;
          model = model.filter((entry) => entry.key !== key);
          if (does === "get" && known !== undefined) model.push(known);
          if (does !== "set" || weight > max) continue;
          while (sum(model) + weight > max) {
            const own = model.filter((entry) => entry.owner === owner);
            const isAbove = own.length > 0 && sum(own) + weight > max / 16;
            const victim = isAbove ? own[0] : model[0];
            model = model.filter((entry) => entry !== victim);
          }
          model.push({ key, owner, weight });
        }
        for (let key = 0; key < 12; key++) {
          expect(cache.peek(String(key))).toBe(model.find((entry) => entry.key === String(key))?.owner);
        }
      }),
    );
  });
});

describe("weightOf", () => {
  it.each([
    [1, [undefined, null]],
    [1, [["10.0.0.0/8"], { plan: "gold" }]],
    [3, ["x".repeat(2_048)]],
    [Number.POSITIVE_INFINITY, [{ big: 1n }]],
  ])("is %s", (weight, values) => {
    expect(weightOf(...values)).toBe(weight);
  });
});
