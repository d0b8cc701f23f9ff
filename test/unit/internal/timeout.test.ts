import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { settledWithin, withTimeout } from "../../../src/internal/timeout.js";

/** Creates an object with this `then`. */
function thenable<T>(
  then: (resolve: (value: unknown) => void, reject: (reason: unknown) => void) => unknown,
) {
  return { then } as unknown as PromiseLike<T>;
}

const late = new Error("too late");
const failure = new Error("failed");
const never = new Promise<never>(() => {});
const unhandled: unknown[] = [];
const note = (reason: unknown) => unhandled.push(reason);

beforeEach(() => {
  unhandled.length = 0;
  process.on("unhandledRejection", note);
  vi.useFakeTimers();
});
afterEach(async () => {
  expect(vi.getTimerCount()).toBe(0);
  vi.useRealTimers();
  await new Promise((resolve) => setTimeout(resolve, 2));
  process.off("unhandledRejection", note);
  expect(unhandled).toEqual([]);
});

describe("withTimeout", () => {
  const wait = <T>(promise: PromiseLike<T>) => {
    const result = withTimeout(promise, 100, { onTimeout: () => late });
    result.catch(() => {});
    return result;
  };

  /** What the promise does within the time limit, and no earlier than that if it hangs. */
  async function outcome(promise: PromiseLike<unknown>): Promise<unknown> {
    let settled: unknown = "pending";
    const set = (value: unknown) => {
      settled = value;
    };
    wait(promise).then(set, set);
    await vi.advanceTimersByTimeAsync(99);
    if (settled !== "pending") return settled;
    await vi.advanceTimersByTimeAsync(1);
    return settled;
  }

  it("passes on the value or the rejection of a promise, and clears the timer", async () => {
    await expect(wait(Promise.resolve(7))).resolves.toBe(7);
    await expect(wait(Promise.reject(failure))).rejects.toBe(failure);
    expect(vi.getTimerCount()).toBe(0);
  });

  it("converts the reason of a rejection", async () => {
    const onRejected = (reason: unknown) => ({ reason });
    const result = withTimeout(Promise.reject(failure), 100, { onTimeout: () => late, onRejected });
    await expect(result).rejects.toEqual({ reason: failure });
  });

  it("rejects after the time limit and ignores a later result", async () => {
    expect(await outcome(never)).toBe(late);
    let fail: (reason: unknown) => void = () => {};
    const pending = new Promise((_, reject) => {
      fail = reject;
    });
    expect(await outcome(pending)).toBe(late);
    fail(failure);
    await vi.advanceTimersByTimeAsync(0);
  });

  it("calls then() of a lazy promise at once, and only once", () => {
    const then = vi.fn((resolve: (value: unknown) => void) => resolve(7));
    const result = wait(thenable(then));
    expect(then).toHaveBeenCalledOnce();
    return expect(result).resolves.toBe(7);
  });

  it("awaits a promise or thenable that a thenable fulfils with", async () => {
    expect(await outcome(thenable((resolve) => resolve(Promise.resolve(7))))).toBe(7);
    expect(await outcome(thenable((resolve) => resolve(thenable((next) => next(7)))))).toBe(7);
    expect(await outcome(thenable((resolve) => resolve(Promise.reject(failure))))).toBe(failure);
  });

  it("applies the time limit to a pending promise that a thenable fulfils with", async () => {
    expect(await outcome(thenable((resolve) => resolve(never)))).toBe(late);
    expect(await outcome(thenable((resolve) => resolve(thenable(() => {}))))).toBe(late);
    const endless = thenable((resolve) => setTimeout(() => resolve(endless), 10));
    expect(await outcome(endless)).toBe(late);
    await vi.advanceTimersByTimeAsync(10);
    expect(vi.getTimerCount()).toBe(0); // the chain is not followed any further
  });

  it("uses the first call of the callbacks only", async () => {
    const twice = thenable((resolve, reject) => {
      resolve(never);
      resolve(7);
      reject(failure);
    });
    expect(await outcome(twice)).toBe(late);
    const rejectedFirst = thenable((resolve, reject) => {
      reject(failure);
      resolve(7);
    });
    expect(await outcome(rejectedFirst)).toBe(failure);
  });

  it("treats an exception in then() as a rejection, unless a callback was called before", async () => {
    const throws = () => {
      throw failure;
    };
    expect(await outcome(thenable(throws))).toBe(failure);
    expect(await outcome(thenable((resolve) => resolve(thenable(throws))))).toBe(failure);
    const fulfilThenThrow = (value: unknown) =>
      thenable((resolve) => {
        resolve(value);
        throw failure;
      });
    expect(await outcome(fulfilThenThrow(7))).toBe(7);
    expect(await outcome(fulfilThenThrow(never))).toBe(late);
  });

  it("treats a value without a readable then as a rejection", async () => {
    // biome-ignore lint/suspicious/noThenProperty: a getter that throws
    const value = Object.defineProperty({}, "then", {
      get() {
        throw failure;
      },
    });
    expect(await outcome(thenable((resolve) => resolve(value)))).toBe(failure);
    expect(await outcome({} as PromiseLike<unknown>)).toBeInstanceOf(TypeError);
  });
});

describe("settledWithin", () => {
  it("resolves when the promise fulfils or rejects, and clears the timer", async () => {
    for (const promise of [Promise.resolve(7), Promise.reject(failure)]) {
      await expect(settledWithin(promise, 100)).resolves.toBeUndefined();
    }
  });

  it("resolves after the time limit", async () => {
    const done = vi.fn();
    void settledWithin(never, 100).then(done);
    await vi.advanceTimersByTimeAsync(99);
    expect(done).not.toHaveBeenCalled();
    await vi.advanceTimersByTimeAsync(1);
    expect(done).toHaveBeenCalledOnce();
  });
});
