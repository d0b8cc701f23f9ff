import { afterEach, beforeEach, expect, vi } from "vitest";
import type { StoreMethod } from "../../../src/testing/faulty-store.js";
import type { FaultKind } from "../../../src/testing/index.js";
import { settled } from "../../unit/cache/fixtures.js";

/** Allowed on top of the time limit of a call. */
export const GRACE_MS = 50;
export const TIMEOUT_MS = 250;
const STEP_MS = 50;

/** The faults of a store, or of any other callback. */
export const FAULTS: Readonly<Record<string, FaultKind>> = {
  throws: { fault: "throw" },
  rejects: { fault: "reject" },
  hangs: { fault: "hang" },
  "is late": { fault: "delay", delay: "10s" },
  "loses the acknowledgement": { fault: "lose" },
  "returns another key's": { fault: "foreign" },
  "returns partial records": { fault: "partial" },
  "returns a number": { fault: "return", value: 42 },
  "returns an empty object": { fault: "return", value: {} },
  "returns an array of arrays": { fault: "return", value: [[]] },
  "returns a function": { fault: "return", value: () => () => true },
};

/** Returns every fault for each method that is called, and one for each other method. New methods must be listed. */
export function eachCall(called: Readonly<Record<StoreMethod, boolean>>) {
  const all = (Object.keys(called) as StoreMethod[]).flatMap((method) =>
    Object.entries(FAULTS).map(([label, fault]) => ({ method, label, fault, isCalled: called[method] })),
  );
  return all.filter(({ isCalled, label }) => isCalled || label === "throws");
}

const TIMERS = ["setTimeout", "clearTimeout", "setInterval", "clearInterval", "performance"] as const;
const unhandled: unknown[] = [];
const note = (reason: unknown) => unhandled.push(reason);
const listeners = () => process.eventNames().reduce((sum, name) => sum + process.listenerCount(name), 0);
const closers: (() => unknown)[] = [];

/** Closes a resource at the end of the test, before leaks are detected. */
export function closeAtEnd(close: () => unknown): void {
  closers.push(close);
}

/** Fakes timers, and fails a test that leaves a timer, a listener or an unhandled rejection. */
export function detectLeaks(): void {
  let before = 0;
  beforeEach(() => {
    unhandled.length = 0;
    process.on("unhandledRejection", note);
    before = listeners();
    vi.useFakeTimers({ toFake: [...TIMERS] });
  });
  afterEach(async () => {
    try {
      for (const close of closers.splice(0)) await within(10_000, async () => close());
      await vi.advanceTimersByTimeAsync(20_000); // late results arrive
      await settled();
      expect(vi.getTimerCount()).toBe(0);
      expect(listeners()).toBe(before);
      expect(unhandled).toEqual([]);
    } finally {
      vi.useRealTimers();
      process.off("unhandledRejection", note);
    }
  });
}

/** Advances fake time until `work` settles. Rejects with `still waiting` after `ms` milliseconds. */
export async function within<T>(ms: number, work: () => Promise<T>): Promise<T> {
  let isSettled = false;
  const promise = work().finally(() => {
    isSettled = true;
  });
  promise.catch(() => {});
  await settled();
  for (let passed = 0; passed < ms && !isSettled; passed += STEP_MS) {
    await vi.advanceTimersByTimeAsync(STEP_MS);
    await settled();
  }
  if (!isSettled) throw new Error("still waiting");
  return promise;
}

let pendingThreads = 0;

/** Wraps work of other threads, such as cryptography: the time of `atLast` does not advance while it runs. */
export function untimed<A extends unknown[], T>(
  work: (...args: A) => Promise<T>,
): (...args: A) => Promise<T> {
  return (...args) => {
    pendingThreads += 1;
    return work(...args).finally(() => {
      pendingThreads -= 1;
    });
  };
}

/** Does the same as `within`, but does not count the time of `untimed` work. */
export async function atLast<T>(ms: number, work: () => Promise<T>): Promise<T> {
  let isSettled = false;
  const promise = work().finally(() => {
    isSettled = true;
  });
  promise.catch(() => {});
  await settled();
  for (let passed = 0; passed < ms && !isSettled; await settled()) {
    if (pendingThreads > 0) continue;
    await vi.advanceTimersByTimeAsync(STEP_MS);
    passed += STEP_MS;
  }
  if (!isSettled) throw new Error("still waiting");
  return promise;
}

/** Returns the error of `work` within `ms` milliseconds; `undefined` if it fulfils. */
export function failure(ms: number, work: () => Promise<unknown>): Promise<unknown> {
  return within(ms, work).then(
    () => undefined,
    (error: unknown) => error ?? new Error("rejected with undefined"),
  );
}
