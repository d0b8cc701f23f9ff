import { type Awaitable, isPromiseLike, withinTime } from "../index.js";

/** Asks code of the host. Whatever goes wrong, or takes too long, becomes a StoreError: answer 503. */
export function ask<T>(question: () => Awaitable<T>, timeoutMs: number, what: string): Awaitable<T> {
  try {
    const answer = question();
    return isPromiseLike(answer) ? withinTime(answer, timeoutMs, what) : answer;
  } catch (error) {
    return withinTime(Promise.reject(error), timeoutMs, what);
  }
}
