import { expect, it } from "vitest";
import { memoize } from "../../../src/internal/memoize.js";

/** Memoizes upper case, which is undefined for strings with a question mark, and records the computed strings. */
function memoizedUpperCase(maxEntries: number) {
  const computed: string[] = [];
  const upperCase = memoize((text) => {
    computed.push(text);
    return text.includes("?") ? undefined : text.toUpperCase();
  }, maxEntries);
  return { upperCase, computed };
}

it("computes each result once", () => {
  const { upperCase, computed } = memoizedUpperCase(2);
  expect(["a", "b", "a", "b"].map(upperCase)).toEqual(["A", "B", "A", "B"]);
  expect(computed).toEqual(["a", "b"]);
});

it("does not cache undefined", () => {
  const { upperCase, computed } = memoizedUpperCase(2);
  expect([upperCase("?"), upperCase("?")]).toEqual([undefined, undefined]);
  expect(computed).toEqual(["?", "?"]);
});

it("evicts no entry for a result that is undefined", () => {
  const { upperCase, computed } = memoizedUpperCase(2);
  for (const text of ["a", "b", "?1", "?2", "?3", "?4", "?5"]) upperCase(text);
  computed.length = 0;
  expect([upperCase("a"), upperCase("b")]).toEqual(["A", "B"]);
  expect(computed).toEqual([]);
});

it("evicts the entries that were not used recently", () => {
  const { upperCase, computed } = memoizedUpperCase(2);
  for (const text of ["a", "b", "c", "a"]) expect(upperCase(text)).toBe(text.toUpperCase());
  expect(computed).toEqual(["a", "b", "c"]); // "a" is recent again
  expect([upperCase("d"), upperCase("b")]).toEqual(["D", "B"]);
  expect(computed).toEqual(["a", "b", "c", "d", "b"]);
  expect(upperCase("a")).toBe("A");
  expect(computed).toEqual(["a", "b", "c", "d", "b"]);
});

it("keeps at most twice the maximum number of entries", () => {
  const { upperCase, computed } = memoizedUpperCase(3);
  const texts = Array.from({ length: 50 }, (_, index) => `t${index}`);
  texts.map(upperCase);
  computed.length = 0;
  [...texts].reverse().slice(0, 6).map(upperCase);
  expect(computed.length).toBeLessThanOrEqual(3); // at least the last three were cached
  computed.length = 0;
  texts.slice(0, 44).map(upperCase);
  expect(computed).toHaveLength(44);
});
