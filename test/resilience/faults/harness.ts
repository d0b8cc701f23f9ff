import { afterEach, beforeEach, expect, vi } from "vitest";
import type { StoreMethod } from "../../../src/testing/faulty-store.js";
import type { FaultKind } from "../../../src/testing/index.js";
import { settled } from "../../unit/cache/fixtures.js";

/** Beside the time limit of whatever is asked. */
export const GRACE_MS = 50;
export const TIMEOUT_MS = 250;
const STEP_MS = 50;

/** What a store, or anything else that is waited for, can do wrong. */
export const FAULTS: Readonly<Record<string, FaultKind>> = {
  throws: { fault: "throw" },
  rejects: { fault: "reject" },
  hangs: { fault: "hang" },
  "is late": { fault: "delay", ms: 10_000 },
  "loses the acknowledgement": { fault: "lose" },
  "answers another's": { fault: "foreign" },
  "answers the half": { fault: "partial" },
  "answers a number": { fault: "answer", answer: 42 },
  "answers an empty object": { fault: "answer", answer: {} },
  "answers a list of lists": { fault: "answer", answer: [[]] },
  "answers a function": { fault: "answer", answer: () => () => true },
};

/** Every fault of every method that is called, and one of each other; a method that is new has to be put down. */
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

/** Closes something when the test is over, before it is looked for what was left behind. */
export function atEnd(close: () => unknown): void {
  closers.push(close);
}

/** Time stands still but for `within`, and no test leaves a timer, a listener or a rejection behind. */
export function withoutTrace(): void {
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
      await vi.advanceTimersByTimeAsync(20_000); // what was late has come by now
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

/** What comes of it, if that takes so many milliseconds at most; else `"still waiting"`, as a rejection. */
export async function within<T>(ms: number, work: () => Promise<T>): Promise<T> {
  let isOver = false;
  const promise = work().finally(() => {
    isOver = true;
  });
  promise.catch(() => {});
  await settled();
  for (let passed = 0; passed < ms && !isOver; passed += STEP_MS) {
    await vi.advanceTimersByTimeAsync(STEP_MS);
    await settled();
  }
  if (!isOver) throw new Error("still waiting");
  return promise;
}

let inThreads = 0;

/** The same, while which the time of `atLast` stands still: other threads do it, at the speed of the machine. */
export function untimed<A extends unknown[], T>(
  work: (...args: A) => Promise<T>,
): (...args: A) => Promise<T> {
  return (...args) => {
    inThreads += 1;
    return work(...args).finally(() => {
      inThreads -= 1;
    });
  };
}

/** What comes of it within so many milliseconds, without those of what is `untimed`. */
export async function atLast<T>(ms: number, work: () => Promise<T>): Promise<T> {
  let isOver = false;
  const promise = work().finally(() => {
    isOver = true;
  });
  promise.catch(() => {});
  await settled();
  for (let passed = 0; passed < ms && !isOver; await settled()) {
    if (inThreads > 0) continue;
    await vi.advanceTimersByTimeAsync(STEP_MS);
    passed += STEP_MS;
  }
  if (!isOver) throw new Error("still waiting");
  return promise;
}

/** The error that it is rejected with within so many milliseconds; `undefined` when it is not. */
export function failure(ms: number, work: () => Promise<unknown>): Promise<unknown> {
  return within(ms, work).then(
    () => undefined,
    (error: unknown) => error ?? new Error("nothing"),
  );
}
