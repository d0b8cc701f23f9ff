import { describe, expect, test } from "vitest";
import { frozenRequirement, isAnyOf, meets, requiredScopes } from "../../../../src/core/keys/requirement.js";
import { scopes } from "../fixtures.js";

describe("meets", () => {
  const granted = ["vehicles:write"];

  test.each<[unknown, boolean]>([
    [undefined, true],
    ["vehicles:read", true],
    ["drivers:read", false],
    [["vehicles:read", "vehicles:write"], true],
    [["vehicles:read", "drivers:read"], false],
    [{ anyOf: ["drivers:read", "vehicles:read"] }, true],
    [{ anyOf: ["drivers:read", "fleet:admin"] }, false],
    [[], false], // rejected earlier; never met
    [{ anyOf: [] }, false],
  ])("%j is met: %s", (required, expected) => {
    expect(meets(scopes, granted, required as never)).toBe(expected);
  });
});

test("requiredScopes returns the names of a requirement", () => {
  expect(requiredScopes(undefined)).toEqual([]);
  expect(requiredScopes("a")).toEqual(["a"]);
  expect(requiredScopes(["a", "b"])).toEqual(["a", "b"]);
  expect(requiredScopes({ anyOf: ["a", "b"] })).toEqual(["a", "b"]);
});

test("frozenRequirement returns a frozen copy", () => {
  expect(frozenRequirement(undefined)).toBeUndefined();
  expect(frozenRequirement("a")).toBe("a");
  const list = ["a", "b"];
  const any = { anyOf: list };
  const [frozenList, frozenAny] = [frozenRequirement(list), frozenRequirement(any)];
  list[0] = "c";
  any.anyOf = [];
  expect(frozenList).toEqual(["a", "b"]);
  expect(frozenAny).toEqual({ anyOf: ["a", "b"] });
  for (const part of [frozenList, frozenAny, (frozenAny as { anyOf: object }).anyOf]) {
    expect(Object.isFrozen(part)).toBe(true);
  }
});

test("requiredScopes rejects what is not a requirement", () => {
  for (const required of [7, {}, { anyOf: "a" }]) {
    expect(() => requiredScopes(required as never)).toThrow(
      new TypeError("requirement: expected a scope, an array of scopes or { anyOf: [scopes] }"),
    );
  }
});

test("isAnyOf recognises the form { anyOf }", () => {
  expect([undefined, "a", ["a"], { anyOf: ["a"] }].map((required) => isAnyOf(required as never))).toEqual([
    false,
    false,
    false,
    true,
  ]);
});
