import { expect, it } from "vitest";
import { deepFreeze } from "../../../src/internal/freeze.js";

it("freezes objects and arrays at every depth and returns the same object", () => {
  const value = { list: [{ deep: { deeper: [1] } }] };
  expect(deepFreeze(value)).toBe(value);
  for (const part of [value, value.list, value.list[0], value.list[0]?.deep, value.list[0]?.deep.deeper]) {
    expect(Object.isFrozen(part)).toBe(true);
  }
});

it("does not freeze dates", () => {
  const frozen = deepFreeze({ at: new Date(5) });
  expect(Object.isFrozen(frozen)).toBe(true);
  expect(Object.isFrozen(frozen.at)).toBe(false);
  expect(frozen.at).toEqual(new Date(5));
});

it("returns primitives", () => {
  for (const value of [7, "a", true, null, undefined]) expect(deepFreeze(value)).toBe(value);
});
