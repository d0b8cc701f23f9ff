import { describe, expect, it } from "vitest";
import { isPromiseLike, mapAwaitable, rejectPromise } from "../../../src/internal/awaitable.js";

describe("isPromiseLike", () => {
  it("accepts promises and other thenables", () => {
    // biome-ignore lint/suspicious/noThenProperty: a thenable
    for (const value of [Promise.resolve(), { then: () => {} }])
      expect(isPromiseLike<unknown>(value)).toBe(true);
  });

  it("rejects everything else", () => {
    // biome-ignore lint/suspicious/noThenProperty: not a function, so not a thenable
    for (const value of [null, undefined, 7, "then", {}, { then: 7 }] as unknown[]) {
      expect(isPromiseLike(value)).toBe(false);
    }
  });
});

describe("mapAwaitable", () => {
  it("maps a value synchronously", () => {
    expect(mapAwaitable(2, (value) => value + 1)).toBe(3);
  });

  it("maps the result of a promise or other thenable", async () => {
    const thenable: PromiseLike<number> = {
      // biome-ignore lint/suspicious/noThenProperty: a thenable
      then: (resolve) => Promise.resolve(2).then(resolve),
    };
    for (const value of [Promise.resolve(2), thenable]) {
      const mapped = mapAwaitable<number, number>(value, (result) => result + 1);
      expect(mapped).toBeInstanceOf(Promise);
      expect(await mapped).toBe(3);
    }
  });

  it("passes on rejections and exceptions of the function", async () => {
    const error = new Error("x");
    const fail = () => {
      throw error;
    };
    await expect(mapAwaitable(Promise.reject(error), () => 1)).rejects.toBe(error);
    await expect(mapAwaitable(Promise.resolve(1), fail)).rejects.toBe(error);
    expect(() => mapAwaitable(1, fail)).toThrow(error);
  });
});

describe("rejectPromise", () => {
  it("accepts values that are not promises", () => {
    for (const value of [undefined, null, 7, "then", {}]) {
      expect(() => rejectPromise("check", value)).not.toThrow();
    }
  });

  it("throws for a promise and ignores its rejection", () => {
    for (const promise of [Promise.resolve(), Promise.reject(new Error("ignored"))]) {
      expect(() => rejectPromise("check", promise)).toThrow(
        new TypeError("check must return its result synchronously; received a promise"),
      );
    }
  });
});
