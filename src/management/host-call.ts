import type { Awaitable } from "../internal/awaitable.js";
import { withStoreTimeout } from "../kit.js";

// The store timeout of a manager.
const TIMEOUT_MS = 10_000;

/**
 * Calls a function of the host with a time limit. What it throws is rethrown unchanged, because it may be an
 * `HttpProblem`. `subject` begins the message of the StoreError after a timeout.
 */
export async function callHost<T>(subject: string, call: () => Awaitable<T>): Promise<T> {
  const outcome = Promise.allSettled([call()]);
  const [settled] = await withStoreTimeout(outcome, TIMEOUT_MS, subject);
  if (settled.status === "rejected") throw settled.reason;
  return settled.value as T;
}
