import { afterEach, describe, expect, test, vi } from "vitest";
import { isPromiseLike, rejectPromise } from "../../../src/internal/awaitable.js";
import {
  checkFunction,
  checkMethods,
  checkOptions,
  checkTimeout,
  describe as kindOf,
  rejectUndefined,
} from "../../../src/internal/validate.js";
import { warn } from "../../../src/internal/warn.js";

afterEach(() => vi.restoreAllMocks());

describe("checkOptions", () => {
  test("quotes the first member that nobody reads, and says which are known", () => {
    expect(() => checkOptions("thing", { a: 1, c: 2 }, ["a", "b"])).toThrow(
      new TypeError('thing: unknown option "c"; known options are a, b'),
    );
    expect(() => checkOptions("thing", { a: undefined }, ["a"])).not.toThrow();
    expect(() => checkOptions("thing", { toString: 1 }, ["a"])).toThrow(TypeError);
  });

  test("answers a copy of what the object has itself", () => {
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

  test.each([[undefined], [null], [[]], ["a"], [7], [() => {}]])("%j is no options object", (value) => {
    expect(() => checkOptions("thing", value as never, ["a"])).toThrow(
      /^thing: expected an options object, got /,
    );
  });
});

test("refuseUndefined lets an option be absent, not empty", () => {
  const refuse = (options: { a?: unknown }) => rejectUndefined("thing", options, "a");
  expect(() => refuse({ a: undefined })).toThrow(
    new TypeError('thing: "a" is undefined; leave it out if it is not meant to be in force'),
  );
  for (const options of [{}, { a: null }, { a: 0 }, Object.create({ a: undefined })]) {
    expect(() => refuse(options)).not.toThrow();
  }
});

test("checkTimeout takes what a timer can wait", () => {
  for (const value of [0.5, 1, 2 ** 31 - 1]) {
    expect(() => checkTimeout("thing", "timeoutMs", value)).not.toThrow();
  }
  for (const value of [0, -1, 2 ** 31, Number.NaN, Number.POSITIVE_INFINITY, "250", undefined, null]) {
    expect(() => checkTimeout("thing", "timeoutMs", value)).toThrow(
      new TypeError('thing: "timeoutMs" must be a number of milliseconds above 0'),
    );
  }
});

test("checkFunction and checkMethods name the option", () => {
  expect(() => checkFunction("thing", "clock", 7)).toThrow(
    new TypeError('thing: "clock" must be a function, got a value of type number'),
  );
  for (const clock of [undefined, () => {}]) {
    expect(() => checkFunction("thing", "clock", clock)).not.toThrow();
  }
  for (const [store, missing] of [
    [{ a() {} }, "b"],
    [{ a: 1, b() {} }, "a"],
    [null, "a"],
    [undefined, "a"],
    ["text", "a"],
  ] as const) {
    expect(() => checkMethods("thing", "store", store, ["a", "b"])).toThrow(
      new TypeError(`thing: "store" must have a method ${missing}()`),
    );
  }
  expect(() => checkMethods("thing", "store", Object.create({ a() {} }), ["a"])).not.toThrow();
});

test("a wrong value is named by its kind, never printed", () => {
  expect([null, undefined, [1], "hunter2", 7, {}, () => {}].map(kindOf)).toEqual([
    "null",
    "undefined",
    "an array",
    "a value of type string",
    "a value of type number",
    "a value of type object",
    "a value of type function",
  ]);
});

test("isPromiseLike", () => {
  // biome-ignore lint/suspicious/noThenProperty: what is asked about
  const thenables = [Promise.resolve(), { then: () => {} }];
  expect(thenables.map((value: unknown) => isPromiseLike(value))).toEqual([true, true]);
  // biome-ignore lint/suspicious/noThenProperty: what is asked about
  expect([null, undefined, 7, "then", {}, { then: 7 }].map((value: unknown) => isPromiseLike(value))).toEqual(
    Array(6).fill(false),
  );
});

test("refusePromise takes any answer that is there, and drops what a promise comes to", () => {
  for (const answer of [undefined, null, 7, "then", {}]) rejectPromise("it", answer);
  for (const promise of [Promise.resolve(), Promise.reject(new Error("nobody waits for it"))]) {
    expect(() => rejectPromise("it", promise)).toThrow(
      new TypeError("it must answer at once, not a promise"),
    );
  }
});

test("warnings have a type and a code", () => {
  const emit = vi.spyOn(process, "emitWarning").mockImplementation(() => {});
  warn("KEYBEARER_TEST", "text");
  expect(emit).toHaveBeenCalledWith("text", { type: "KeybearerWarning", code: "KEYBEARER_TEST" });
});

test("where nobody takes warnings, they are none", () => {
  const { process } = globalThis;
  try {
    for (const other of [undefined, {}]) {
      Object.defineProperty(globalThis, "process", { value: other, configurable: true, writable: true });
      expect(() => warn("KEYBEARER_TEST", "text")).not.toThrow();
    }
  } finally {
    Object.defineProperty(globalThis, "process", { value: process, configurable: true, writable: true });
  }
});
