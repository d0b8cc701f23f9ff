import { describe, expect, test } from "vitest";
import { frozenRequirement, meets, requiredScopes } from "../../../../src/core/keys/scopes.js";
import { defineScopes } from "../../../../src/index.js";
import { scopes } from "../fixtures.js";

describe("defineScopes", () => {
  test("keeps names in the order of definition, frozen", () => {
    expect(scopes.names).toEqual([
      "vehicles:read",
      "vehicles:write",
      "drivers:read",
      "fleet:admin",
      "reports:read",
    ]);
    expect(Object.isFrozen(scopes.names)).toBe(true);
    expect(Object.isFrozen(scopes)).toBe(true);
  });

  test("definitions are copies: later changes to the caller's objects do nothing", () => {
    const implies: "b"[] = ["b"];
    const own = defineScopes({ a: { implies }, b: {}, c: {} });
    (implies as string[]).push("c");
    expect(own.holds(["a"], "c")).toBe(false);
    expect(own.get("a")?.implies).toEqual(["b"]);
    expect(Object.isFrozen(own.get("a")?.implies)).toBe(true);
  });

  test.each([
    ["a space", "a b"],
    ["a quote", 'a"b'],
    ["a backslash", "a\\b"],
    ["the wildcard", "*"],
    ["a wildcard inside", "a:*"],
    ["no character", ""],
    ["a control character", "a\nb"],
    ["another alphabet", "ä"],
    ["129 characters", "a".repeat(129)],
  ])("refuses a name with %s", (_, name) => {
    expect(() => defineScopes({ [name]: {} })).toThrow(`${JSON.stringify(name)} is not a scope name`);
  });

  test.each([
    ["an undefined scope", { a: { implies: ["b"] } }, /"a" implies "b", which is not defined$/],
    ["an undefined scope of undefined:a", { "undefined:a": { implies: ["b"] } }, /"undefined:a" implies "b"/],
    [
      "a misspelt member",
      { a: { audits: true } },
      /^defineScopes: scope "a": unknown option "audits"; known options are description, implies, status, audit$/,
    ],
    ["a wildcard that matches nothing", { a: { implies: ["x:*"] } }, /"x:\*"/],
    ["an unknown member", { a: { imply: [] } }, /"imply"/],
    ["an unknown status", { a: { status: "beta" } }, /"status"/],
    ["a list that is none", { a: { implies: "b" }, b: {} }, /"implies"/],
    ["a definition that is none", { a: null }, /options object/],
  ])("refuses %s", (_, definitions, message) => {
    const define = () => defineScopes(definitions as never);
    expect(define).toThrow(TypeError);
    expect(define).toThrow(message);
  });

  test.each([[null], ["a"], [["a"]], [undefined]])("refuses %j as definitions", (definitions) => {
    expect(() => defineScopes(definitions as never)).toThrow(
      new TypeError("defineScopes: expected an object of scope definitions"),
    );
  });

  test("a name may have 128 characters, and all that ASCII prints but four", () => {
    const visible = Array.from({ length: 94 }, (_, index) => String.fromCharCode(33 + index));
    const names = ["a".repeat(128), visible.filter((character) => !'"\\*'.includes(character)).join("")];
    expect(defineScopes(Object.fromEntries(names.map((name) => [name, {}]))).names).toEqual(names);
  });

  test.each([
    ["of itself", { a: { implies: ["a"] } }, /cycle a -> a/],
    ["of two", { a: { implies: ["b"] }, b: { implies: ["a"] } }, /cycle a -> b -> a/],
    [
      "behind a tail",
      { a: { implies: ["b"] }, b: { implies: ["c"] }, c: { implies: ["b"] } },
      /cycle b -> c -> b$/,
    ],
    ["through a wildcard", { "a:x": {}, "a:y": { implies: ["*"] }, "a:z": { implies: ["a:*"] } }, /cycle/],
  ])("refuses a cycle %s", (_, definitions, message) => {
    expect(() => defineScopes(definitions as never)).toThrow(message);
  });

  test("a stem stops at the colon", () => {
    const own = defineScopes({ "car:all": { implies: ["car:*"] }, "car:read": {}, "cargo:read": {} });
    expect(own.holds(["car:all"], "car:read")).toBe(true);
    expect(own.holds(["car:all"], "cargo:read")).toBe(false);
  });

  test("names of Object.prototype are names like others", () => {
    const own = defineScopes({ constructor: {}, toString: { implies: ["constructor"] }, ["__proto__"]: {} });
    expect(own.holds(["toString"], "constructor")).toBe(true);
    expect(own.holds(["__proto__"], "__proto__")).toBe(true);
    expect(own.explain(["__proto__"], "__proto__").via).toHaveProperty(["__proto__"], ["__proto__"]);
    expect(scopes.holds(["constructor"], "constructor")).toBe(false);
    expect(scopes.get("toString")).toBeUndefined();
    expect(scopes.isGrantable("hasOwnProperty")).toBe(false);
  });
});

describe("holds", () => {
  test.each([
    [["vehicles:read"], "vehicles:read", true],
    [["vehicles:write"], "vehicles:read", true],
    [["vehicles:read"], "vehicles:write", false],
    [["fleet:admin"], "drivers:read", true],
    [[], "vehicles:read", false],
    [["vehicles"], "vehicles:read", false],
    [["vehicles:*"], "vehicles:read", false],
    [["*"], "vehicles:read", false],
    [["VEHICLES:READ"], "vehicles:read", false],
    [[" vehicles:read"], "vehicles:read", false],
    [["vehicles:readonly"], "vehicles:read", false],
    [["undefined:scope"], "undefined:scope", false],
  ])("%j, %s: %s", (granted, scope, expected) => {
    expect(scopes.holds(granted, scope)).toBe(expected);
  });

  test("a planned scope is held by nobody, not even by implication or grant", () => {
    expect(scopes.holds(["fleet:admin"], "reports:read")).toBe(false);
    expect(scopes.holds(["reports:read"], "reports:read")).toBe(false);
    expect(scopes.isGrantable("reports:read")).toBe(false);
    expect(scopes.isGrantable("vehicles:read")).toBe(true);
  });

  test("a planned scope passes nothing on", () => {
    const own = defineScopes({ a: { implies: ["b"] }, b: { status: "planned", implies: ["c"] }, c: {} });
    expect(own.holds(["a"], "c")).toBe(false);
    expect(own.explain(["a"], "c")).toEqual({ granted: false, missing: ["c"], via: {} });
  });

  test("a wildcard may find nothing but its own scope", () => {
    expect(defineScopes({ admin: { implies: ["*"] } }).holds(["admin"], "admin")).toBe(true);
    expect(defineScopes({ "a:all": { implies: ["a:*"] } }).holds(["a:all"], "a:all")).toBe(true);
    expect(() => defineScopes({ "a:all": { implies: ["b:*"] } })).toThrow('"b:*"');
  });

  test("a planned scope in a stored grant brings nothing that it implies", () => {
    const own = defineScopes({ "new:all": { status: "planned", implies: ["old:read"] }, "old:read": {} });
    expect(own.holds(["new:all"], "old:read")).toBe(false);
    expect(own.explain(["new:all"], "old:read")).toEqual({ granted: false, missing: ["old:read"], via: {} });
  });

  test("implications that part and meet again, layer by layer, are each followed once", () => {
    const layers = 60; // 2^60 ways
    const own = defineScopes(
      Object.fromEntries(
        Array.from({ length: layers }, (_, layer) => layer).flatMap((layer) => {
          const implies = layer + 1 < layers ? [`a${layer + 1}`, `b${layer + 1}`] : [];
          return [
            [`a${layer}`, { implies }],
            [`b${layer}`, { implies }],
          ];
        }),
      ),
    );
    expect(own.holds(["a0"], `b${layers - 1}`)).toBe(true);
    expect(own.explain(["a0"], `b${layers - 1}`).via).toMatchObject({
      [`b${layers - 1}`]: expect.objectContaining({ length: layers }),
    });
  });
});

describe("requirements", () => {
  const NO_LIST = "expected a scope, a list of scopes or { anyOf: [scopes] }";
  const EMPTY = "an empty list asks for nothing; leave it out to let any valid key pass";

  test.each([
    ["an empty list", [], EMPTY],
    ["an empty anyOf", { anyOf: [] }, EMPTY],
    ["an undefined scope", "vehicles:delete", 'scope "vehicles:delete" is not defined'],
    [
      "an undefined scope in a list",
      ["vehicles:read", "vehicles:delete"],
      'scope "vehicles:delete" is not defined',
    ],
    ["an undefined scope in anyOf", { anyOf: ["vehicles:read", "nope"] }, 'scope "nope" is not defined'],
    ["null", null, NO_LIST],
    ["a number", 7, NO_LIST],
    ["an object without anyOf", {}, NO_LIST],
    ["anyOf that is a text", { anyOf: "vehicles:read" }, NO_LIST],
    [
      "anyOf beside something else",
      { anyOf: ["vehicles:read"], allOf: [] },
      'unknown option "allOf"; known options are anyOf',
    ],
    ["a hole in a list", [undefined], "scope undefined is not defined"],
    ["an empty text", "", 'scope "" is not defined'],
  ])("%s is a TypeError", (_, required, message) => {
    const error = new TypeError(`requirement: ${message}`);
    expect(() => scopes.assertRequirement(required as never)).toThrow(error);
    expect(() => scopes.explain(["fleet:admin"], required as never)).toThrow(error);
  });

  test("none at all asks for any valid key, but cannot be explained", () => {
    expect(() => scopes.assertRequirement(undefined)).not.toThrow();
    expect(() => scopes.explain([], undefined as never)).toThrow(
      new TypeError("requirement: expected a scope, a list of scopes or { anyOf }"),
    );
  });
});

describe("explain", () => {
  test("a list needs all of it, and the missing ones are named", () => {
    expect(scopes.explain(["vehicles:write"], ["vehicles:read", "drivers:read"])).toEqual({
      granted: false,
      missing: ["drivers:read"],
      via: { "vehicles:read": ["vehicles:write", "vehicles:read"] },
    });
  });

  test("anyOf needs one; all are missing when none is held", () => {
    const required = { anyOf: ["vehicles:write", "drivers:read"] } as const;
    expect(scopes.explain(["drivers:read"], required)).toEqual({
      granted: true,
      missing: [],
      via: { "drivers:read": ["drivers:read"] },
    });
    expect(scopes.explain(["vehicles:read"], required)).toEqual({
      granted: false,
      missing: ["vehicles:write", "drivers:read"],
      via: {},
    });
  });

  test("takes no way through a planned scope, though it were shorter", () => {
    const own = defineScopes({
      a: { implies: ["b", "d"] },
      b: { status: "planned", implies: ["c"] },
      d: { implies: ["e"] },
      e: { implies: ["c"] },
      c: {},
    });
    expect(own.explain(["a"], "c").via).toEqual({ c: ["a", "d", "e", "c"] });
  });

  test("takes the shortest way", () => {
    const own = defineScopes({ a: { implies: ["b", "c"] }, b: { implies: ["c"] }, c: {} });
    expect(own.explain(["a"], "c").via).toEqual({ c: ["a", "c"] });
    expect(own.explain(["a", "c"], "c").via).toEqual({ c: ["c"] });
  });
});

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
    [[], false], // refused before; should it get here, it lets nobody in
    [{ anyOf: [] }, false],
  ])("%j: %s", (required, expected) => {
    expect(meets(scopes, granted, required as never)).toBe(expected);
  });
});

test("the names in a requirement", () => {
  expect(requiredScopes(undefined)).toEqual([]);
  expect(requiredScopes("a")).toEqual(["a"]);
  expect(requiredScopes(["a", "b"])).toEqual(["a", "b"]);
  expect(requiredScopes({ anyOf: ["a", "b"] })).toEqual(["a", "b"]);
});

test("a frozen requirement asks for the same, and is out of the caller's reach", () => {
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
