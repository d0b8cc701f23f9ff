import { inspect } from "node:util";
import { describe, expect, test } from "vitest";
import { toStoreError, withStoreTimeout } from "../../../src/core/store-calls.js";
import {
  AuthError,
  KeyConflictError,
  KeyInputError,
  KeyNotFoundError,
  KeyStateError,
  StoreError,
} from "../../../src/index.js";
import { thrownBy } from "./fixtures.js";

describe("AuthError", () => {
  const error = new AuthError("rate_limited", "Too many.", { "Retry-After": "1" }, { reason: "x" });

  test("is a frozen Error with code, status, headers and details", () => {
    expect(error).toBeInstanceOf(Error);
    expect(error).toMatchObject({ name: "AuthError", code: "rate_limited", status: 429 });
    for (const part of [error, error.headers, error.details]) expect(Object.isFrozen(part)).toBe(true);
  });

  test("has a body of message, code and requestId, followed by the details", () => {
    const body = error.toBody("id-1");
    expect(body).toEqual({ message: "Too many.", code: "rate_limited", requestId: "id-1", reason: "x" });
    expect(Object.keys(body)).toEqual(["message", "code", "requestId", "reason"]);
    const overlapping = new AuthError(
      "invalid_key",
      "m",
      {},
      { code: "ok", message: "", requestId: "", more: 1 },
    );
    expect(overlapping.toBody("id-1")).toEqual({
      message: "m",
      code: "invalid_key",
      requestId: "id-1",
      more: 1,
    });
  });

  test("copies headers and details", () => {
    const headers = { A: "1" };
    const own = new AuthError("invalid_key", "m", headers);
    headers.A = "2";
    expect(own.headers).toEqual({ A: "1" });
  });
});

describe("other errors", () => {
  test.each([
    [new StoreError("m"), Error, "StoreError", "KEYBEARER_STORE_ERROR"],
    [new KeyInputError("expiresAt", "is not a date"), TypeError, "KeyInputError", "KEYBEARER_INVALID_INPUT"],
    [new KeyNotFoundError(), Error, "KeyNotFoundError", "KEYBEARER_KEY_NOT_FOUND"],
    [new KeyStateError("m"), Error, "KeyStateError", "KEYBEARER_KEY_STATE"],
    [new KeyConflictError("m"), Error, "KeyConflictError", "KEYBEARER_KEY_CONFLICT"],
  ])("%s has a name and a stable code", (error, parent, name, code) => {
    expect(error).toBeInstanceOf(parent);
    expect(error).toMatchObject({ name, code });
    expect(error.stack).toContain(error.message);
  });

  test("KeyNotFoundError has a message", () => {
    expect(new KeyNotFoundError().message).toBe("No key has this id");
  });

  test("KeyInputError has the path and the problem as members", () => {
    const error = new KeyInputError("ipAllowlist[2]", "is not a network");
    expect(error).toMatchObject({ path: "ipAllowlist[2]", problem: "is not a network" });
    expect(error.message).toBe("ipAllowlist[2] is not a network");
  });
});

describe("StoreError", () => {
  const driverError = Object.assign(new Error("select * from keys where hash = 'deadbeef'"), {
    name: "QueryError",
    code: "ECONNREFUSED",
    parameters: ["deadbeef"],
  });

  test("keeps the error of the driver, but not as `cause`, which loggers follow", () => {
    const error = new StoreError("m", driverError);
    expect(error.driverError).toBe(driverError);
    expect("cause" in error).toBe(false);
    expect(Object.keys(error)).toEqual(["name", "code"]);
    expect(new StoreError("m").driverError).toBeUndefined();
  });

  test("does not print the error of the driver with util.inspect, JSON or String", () => {
    const error = new StoreError("m", driverError);
    for (const text of [inspect(error, { depth: 9 }), JSON.stringify(error), String(error), error.stack]) {
      expect(text).not.toContain("deadbeef");
    }
    expect(inspect({ nested: [error] }, { depth: 9, showHidden: true, getters: true })).not.toContain(
      "deadbeef",
    );
    expect(inspect(error)).toBe(error.stack);
    Object.defineProperty(error, "stack", { value: undefined });
    expect(inspect(error)).toBe("StoreError: m");
  });

  test("toStoreError names the kind of an error and not its message", () => {
    const error = toStoreError(driverError);
    expect(error).toBeInstanceOf(StoreError);
    expect(error.message).toBe("The key store failed (QueryError ECONNREFUSED)");
    expect(error.driverError).toBe(driverError);
    expect(toStoreError(error)).toBe(error);
  });

  test.each([
    [undefined, "The key store failed"],
    [null, "The key store failed"],
    ["password=deadbeef", "The key store failed"],
    [7, "The key store failed"],
    [{ name: "deadbeef or 1=1", code: 42 }, "The key store failed"],
    [{ name: "a".repeat(65), code: "23505" }, "The key store failed (23505)"],
  ])("toStoreError converts %j to: %s", (thrown, message) => {
    expect(toStoreError(thrown).message).toBe(message);
  });
});

describe("withStoreTimeout", () => {
  const slow = "The thing did not respond within 20 ms";

  test("returns the value, or rejects with a StoreError in time", async () => {
    expect(await withStoreTimeout(Promise.resolve(7), 20, "The thing")).toBe(7);
    expect(await thrownBy(() => withStoreTimeout(new Promise(() => {}), 20, "The thing"))).toEqual(
      new StoreError(slow),
    );
    const error = await thrownBy(() =>
      withStoreTimeout(Promise.reject(new Error("secret")), 20, "The thing"),
    );
    expect(error).toBeInstanceOf(StoreError);
    expect((error as StoreError).message).toBe("The thing failed (Error)");
  });

  test("rejects with a StoreError if then() throws, and leaves no timer", async () => {
    const timers = () => process.getActiveResourcesInfo().filter((name) => name === "Timeout").length;
    const before = timers();
    const lazy: PromiseLike<number> = {
      // biome-ignore lint/suspicious/noThenProperty: a lazy query builder
      then: () => {
        throw new Error("driver text");
      },
    };
    const error = await thrownBy(() => withStoreTimeout(lazy, 5_000, "The thing"));
    expect(timers()).toBe(before);
    expect(error).toBeInstanceOf(StoreError);
    expect((error as StoreError).message).not.toContain("driver text");
  });
});
