import { describe, expect, it } from "vitest";
import {
  checkBoolean,
  checkFunction,
  checkMethods,
  checkOptions,
  describe as describeValue,
  hasMethod,
  isNonEmptyString,
  readInteger,
  rejectUndefined,
} from "../../../src/internal/validate.js";

describe("checkOptions", () => {
  it("rejects an unknown option and lists the known ones", () => {
    expect(() => checkOptions("thing", { a: 1, c: 2 }, ["a", "b"])).toThrow(
      new TypeError('thing: unknown option "c"; known options are a, b'),
    );
    expect(() => checkOptions("thing", { a: undefined }, ["a"])).not.toThrow();
    expect(() => checkOptions("thing", { toString: 1 }, ["a"])).toThrow(TypeError);
  });

  it("returns a copy of the own members, without a prototype", () => {
    const given = Object.assign(Object.create({ inherited: 1 }), { a: 1, b: undefined });
    const options = checkOptions("thing", given, ["a", "b", "inherited"]);
    expect(options).not.toBe(given);
    expect(Object.getPrototypeOf(options)).toBeNull();
    expect(Object.entries(options)).toEqual([
      ["a", 1],
      ["b", undefined],
    ]);
    expect("inherited" in options).toBe(false);
    given.a = 2;
    expect(options.a).toBe(1);
  });

  it.each([
    [undefined, "undefined"],
    [null, "null"],
    [[], "an array"],
    ["a", "a string"],
    [7, "a number"],
    [() => {}, "a function"],
  ])("rejects %j instead of an options object", (value, received) => {
    expect(() => checkOptions("thing", value as never, ["a"])).toThrow(
      new TypeError(`thing: expected an options object; received ${received}`),
    );
  });
});

describe("rejectUndefined", () => {
  const reject = (options: { a?: unknown }) => rejectUndefined("thing", options, "a");

  it("rejects an option that is present but undefined", () => {
    expect(() => reject({ a: undefined })).toThrow(
      new TypeError('thing: "a" is undefined; omit it to use the default'),
    );
  });

  it("accepts an absent option and other values", () => {
    for (const options of [{}, { a: null }, { a: 0 }, Object.create({ a: undefined })]) {
      expect(() => reject(options)).not.toThrow();
    }
  });
});

describe("checkFunction", () => {
  it("accepts a function or undefined", () => {
    for (const clock of [undefined, () => {}]) {
      expect(() => checkFunction("thing", "clock", clock)).not.toThrow();
    }
  });

  it("rejects other values", () => {
    expect(() => checkFunction("thing", "clock", 7)).toThrow(
      new TypeError('thing: "clock" must be a function; received a number'),
    );
    expect(() => checkFunction("thing", "clock", null)).toThrow(
      new TypeError('thing: "clock" must be a function; received null'),
    );
  });
});

describe("checkBoolean", () => {
  it("accepts a boolean or undefined", () => {
    for (const value of [undefined, true, false]) {
      expect(() => checkBoolean("thing", "enabled", value)).not.toThrow();
    }
  });

  it("rejects other values", () => {
    for (const [value, received] of [
      ["true", "a string"],
      [1, "a number"],
      [null, "null"],
    ] as const) {
      expect(() => checkBoolean("thing", "enabled", value)).toThrow(
        new TypeError(`thing: "enabled" must be true or false; received ${received}`),
      );
    }
  });
});

describe("checkMethods and hasMethod", () => {
  it.each([
    [{ a() {} }, "b"],
    [{ a: 1, b() {} }, "a"],
    [null, "a"],
    [undefined, "a"],
    ["text", "a"],
  ])("name the missing method of %j", (store, missing) => {
    expect(hasMethod(store, missing)).toBe(false);
    expect(() => checkMethods("thing", "store", store, ["a", "b"])).toThrow(
      new TypeError(`thing: "store" must have a method ${missing}()`),
    );
  });

  it("accept inherited methods", () => {
    const store = Object.create({ a() {} });
    expect(hasMethod(store, "a")).toBe(true);
    expect(() => checkMethods("thing", "store", store, ["a"])).not.toThrow();
  });
});

describe("readInteger", () => {
  it("returns an integer within the bounds, which are inclusive", () => {
    for (const value of [-2, 0, 3]) expect(readInteger("thing", "max", value, -2, 3)).toBe(value);
  });

  it.each([
    [-3, "-3"],
    [4, "4"],
    [1.5, "1.5"],
    [Number.NaN, "NaN"],
    [Number.POSITIVE_INFINITY, "Infinity"],
    [true, "true"],
    ["1", "a string"],
    [null, "null"],
    [undefined, "undefined"],
    [[1], "an array"],
  ])("rejects %j", (value, received) => {
    expect(() => readInteger("thing", "max", value, -2, 3)).toThrow(
      new TypeError(`thing: "max" must be an integer from -2 to 3; received ${received}`),
    );
  });
});

describe("isNonEmptyString", () => {
  it("accepts strings of at least one character", () => {
    expect(["a", " ", "", undefined, null, 7, ["a"]].map(isNonEmptyString)).toEqual([
      true,
      true,
      false,
      false,
      false,
      false,
      false,
    ]);
  });
});

describe("describe", () => {
  it("names the type of a value without printing the value", () => {
    expect([null, undefined, [1], "hunter2", "", 7, {}, () => {}, true, 1n].map(describeValue)).toEqual([
      "null",
      "undefined",
      "an array",
      "a string",
      "an empty string",
      "a number",
      "an object",
      "a function",
      "a boolean",
      "a bigint",
    ]);
  });
});
