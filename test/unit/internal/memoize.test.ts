import { expect, test } from "vitest";
import { memoize } from "../../../src/internal/memoize.js";

/** Upper case, of texts without a question mark, and the texts that it was worked out for. */
function shouting(most: number) {
  const worked: string[] = [];
  const shout = memoize((text) => {
    worked.push(text);
    return text.includes("?") ? undefined : text.toUpperCase();
  }, most);
  return { shout, worked };
}

test("what was worked out is remembered", () => {
  const { shout, worked } = shouting(2);
  expect(["a", "b", "a", "b"].map(shout)).toEqual(["A", "B", "A", "B"]);
  expect(worked).toEqual(["a", "b"]);
});

test("what has no result is asked for again", () => {
  const { shout, worked } = shouting(2);
  expect([shout("?"), shout("?")]).toEqual([undefined, undefined]);
  expect(worked).toEqual(["?", "?"]);
});

test("what has no result drives nothing out", () => {
  const { shout, worked } = shouting(2);
  for (const text of ["a", "b", "?1", "?2", "?3", "?4", "?5"]) shout(text);
  worked.length = 0;
  expect([shout("a"), shout("b")]).toEqual(["A", "B"]);
  expect(worked).toEqual([]);
});

test("it forgets what has not been asked for of late, and nothing else", () => {
  const { shout, worked } = shouting(2);
  for (const text of ["a", "b", "c", "a"]) expect(shout(text)).toBe(text.toUpperCase());
  expect(worked).toEqual(["a", "b", "c"]); // "a" has moved to the recent ones
  expect([shout("d"), shout("b")]).toEqual(["D", "B"]);
  expect(worked).toEqual(["a", "b", "c", "d", "b"]);
  expect(shout("a")).toBe("A");
  expect(worked).toEqual(["a", "b", "c", "d", "b"]);
});

test("it never remembers more than twice as many as it is told to", () => {
  const { shout, worked } = shouting(3);
  const texts = Array.from({ length: 50 }, (_, index) => `t${index}`);
  texts.map(shout);
  worked.length = 0;
  [...texts].reverse().slice(0, 6).map(shout);
  expect(worked.length).toBeLessThanOrEqual(3); // at least the last three were remembered
  worked.length = 0;
  texts.slice(0, 44).map(shout);
  expect(worked).toHaveLength(44);
});
