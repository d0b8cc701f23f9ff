import { type Awaitable, isPromiseLike } from "../internal/awaitable.js";
import { withStoreTimeout } from "../kit.js";

/** Asks code of the host. Whatever goes wrong, or takes too long, becomes a StoreError: answer 503. */
export function ask<T>(question: () => Awaitable<T>, timeoutMs: number, what: string): Awaitable<T> {
  try {
    const answer = question();
    return isPromiseLike(answer) ? withStoreTimeout(answer, timeoutMs, what) : answer;
  } catch (error) {
    return withStoreTimeout(Promise.reject(error), timeoutMs, what);
  }
}

// They may have other work before, such as the hashes of passwords: that takes time, and is no fault.
const THREADS_MS = 5_000;

/** Waits for what threads of this process do, as signing. Whatever goes wrong, or never ends, becomes a StoreError. */
export function inThreads<T>(work: Promise<T>, what: string): Promise<T> {
  return withStoreTimeout(work, THREADS_MS, what);
}
