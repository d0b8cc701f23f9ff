import { describe, expect, test } from "vitest";
import { defineScopes } from "../../../../src/index.js";
import { scopes } from "../fixtures.js";

describe("defineScopes", () => {
  test("returns the frozen names in the order of definition", () => {
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

  test("copies the definitions, so that later changes have no effect", () => {
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
    ["no characters", ""],
    ["a control character", "a\nb"],
    ["a letter outside ASCII", "ä"],
    ["129 characters", "a".repeat(129)],
  ])("rejects a name with %s", (_, name) => {
    expect(() => defineScopes({ [name]: {} })).toThrow(`${JSON.stringify(name)} is not a valid scope name`);
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
    ["a string as implies", { a: { implies: "b" }, b: {} }, /"implies"/],
    ["null as a definition", { a: null }, /options object/],
  ])("rejects %s", (_, definitions, message) => {
    const define = () => defineScopes(definitions as never);
    expect(define).toThrow(TypeError);
    expect(define).toThrow(message);
  });

  test.each([[null], ["a"], [["a"]], [undefined]])("rejects %j as definitions", (definitions) => {
    expect(() => defineScopes(definitions as never)).toThrow(
      /^defineScopes: expected an object of scope definitions; received (null|a string|an array|undefined)$/,
    );
  });

  test("accepts names of up to 128 visible ASCII characters, except quote, backslash and asterisk", () => {
    const visible = Array.from({ length: 94 }, (_, index) => String.fromCharCode(33 + index));
    const names = ["a".repeat(128), visible.filter((character) => !'"\\*'.includes(character)).join("")];
    expect(defineScopes(Object.fromEntries(names.map((name) => [name, {}]))).names).toEqual(names);
  });

  test.each([
    ["of itself", { a: { implies: ["a"] } }, /form the cycle a -> a$/],
    ["of two", { a: { implies: ["b"] }, b: { implies: ["a"] } }, /cycle a -> b -> a/],
    [
      "that starts after the first scope",
      { a: { implies: ["b"] }, b: { implies: ["c"] }, c: { implies: ["b"] } },
      /cycle b -> c -> b$/,
    ],
    ["through a wildcard", { "a:x": {}, "a:y": { implies: ["*"] }, "a:z": { implies: ["a:*"] } }, /cycle/],
  ])("rejects a cycle %s", (_, definitions, message) => {
    expect(() => defineScopes(definitions as never)).toThrow(message);
  });

  test("a wildcard matches whole segments before the colon", () => {
    const own = defineScopes({ "car:all": { implies: ["car:*"] }, "car:read": {}, "cargo:read": {} });
    expect(own.holds(["car:all"], "car:read")).toBe(true);
    expect(own.holds(["car:all"], "cargo:read")).toBe(false);
  });

  test("accepts names of Object.prototype members", () => {
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
  ])("%j includes %s: %s", (granted, scope, expected) => {
    expect(scopes.holds(granted, scope)).toBe(expected);
  });

  test("a planned scope is never held, neither by grant nor by implication", () => {
    expect(scopes.holds(["fleet:admin"], "reports:read")).toBe(false);
    expect(scopes.holds(["reports:read"], "reports:read")).toBe(false);
    expect(scopes.isGrantable("reports:read")).toBe(false);
    expect(scopes.isGrantable("vehicles:read")).toBe(true);
  });

  test("an implied planned scope implies no other scope", () => {
    const own = defineScopes({ a: { implies: ["b"] }, b: { status: "planned", implies: ["c"] }, c: {} });
    expect(own.holds(["a"], "c")).toBe(false);
    expect(own.explain(["a"], "c")).toEqual({ granted: false, missing: ["c"], via: {} });
  });

  test("a wildcard may match only the scope that defines it", () => {
    expect(defineScopes({ admin: { implies: ["*"] } }).holds(["admin"], "admin")).toBe(true);
    expect(defineScopes({ "a:all": { implies: ["a:*"] } }).holds(["a:all"], "a:all")).toBe(true);
    expect(() => defineScopes({ "a:all": { implies: ["b:*"] } })).toThrow('"b:*"');
  });

  test("a granted planned scope implies no other scope", () => {
    const own = defineScopes({ "new:all": { status: "planned", implies: ["old:read"] }, "old:read": {} });
    expect(own.holds(["new:all"], "old:read")).toBe(false);
    expect(own.explain(["new:all"], "old:read")).toEqual({ granted: false, missing: ["old:read"], via: {} });
  });

  test("follows each implication once, even if many paths lead to a scope", () => {
    const layers = 60; // 2^60 paths
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
  const INVALID = "expected a scope, an array of scopes or { anyOf: [scopes] }";
  const EMPTY = "the array of scopes is empty; omit it to accept any valid key";

  test.each([
    ["an empty array", [], EMPTY],
    ["an empty anyOf", { anyOf: [] }, EMPTY],
    ["an undefined scope", "vehicles:delete", 'scope "vehicles:delete" is not defined'],
    [
      "an undefined scope in an array",
      ["vehicles:read", "vehicles:delete"],
      'scope "vehicles:delete" is not defined',
    ],
    ["an undefined scope in anyOf", { anyOf: ["vehicles:read", "nope"] }, 'scope "nope" is not defined'],
    ["null", null, INVALID],
    ["a number", 7, INVALID],
    ["an object without anyOf", {}, INVALID],
    ["a string as anyOf", { anyOf: "vehicles:read" }, INVALID],
    [
      "anyOf with another member",
      { anyOf: ["vehicles:read"], allOf: [] },
      'unknown option "allOf"; known options are anyOf',
    ],
    ["undefined in an array", [undefined], "scope undefined is not defined"],
    ["an empty string", "", 'scope "" is not defined'],
  ])("rejects %s", (_, required, message) => {
    const error = new TypeError(`requirement: ${message}`);
    expect(() => scopes.assertRequirement(required as never)).toThrow(error);
    expect(() => scopes.explain(["fleet:admin"], required as never)).toThrow(error);
  });

  test("accepts undefined for any valid key, except in explain", () => {
    expect(() => scopes.assertRequirement(undefined)).not.toThrow();
    expect(() => scopes.explain([], undefined as never)).toThrow(
      new TypeError("requirement: expected a scope, an array of scopes or { anyOf }; received undefined"),
    );
  });
});

describe("explain", () => {
  test("an array requires all scopes and lists the missing ones", () => {
    expect(scopes.explain(["vehicles:write"], ["vehicles:read", "drivers:read"])).toEqual({
      granted: false,
      missing: ["drivers:read"],
      via: { "vehicles:read": ["vehicles:write", "vehicles:read"] },
    });
  });

  test("anyOf requires one scope, and lists all as missing if none is held", () => {
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

  test("returns no path through a planned scope, even if it is shorter", () => {
    const own = defineScopes({
      a: { implies: ["b", "d"] },
      b: { status: "planned", implies: ["c"] },
      d: { implies: ["e"] },
      e: { implies: ["c"] },
      c: {},
    });
    expect(own.explain(["a"], "c").via).toEqual({ c: ["a", "d", "e", "c"] });
  });

  test("returns the shortest path", () => {
    const own = defineScopes({ a: { implies: ["b", "c"] }, b: { implies: ["c"] }, c: {} });
    expect(own.explain(["a"], "c").via).toEqual({ c: ["a", "c"] });
    expect(own.explain(["a", "c"], "c").via).toEqual({ c: ["c"] });
  });
});
