import { type Awaitable, isPromiseLike } from "../internal/awaitable.js";
import { toStoreError, withStoreTimeout } from "../kit.js";

/**
 * Calls a callback or a store of the host, and converts the result with `read`.
 *
 * @throws StoreError if the call fails or takes longer than `timeoutMs` milliseconds; the message begins with `subject`.
 */
export function boundedCall<T, R = T>(
  call: () => Awaitable<T>,
  timeoutMs: number,
  subject: string,
  read: (value: T) => R = (value) => value as unknown as R,
): R | Promise<R> {
  try {
    const result = call();
    return isPromiseLike(result) ? withStoreTimeout(result, timeoutMs, subject, read) : read(result);
  } catch (error) {
    throw toStoreError(error, subject);
  }
}

// The thread pool may be busy with other work, such as hashing passwords.
const CRYPTO_TIMEOUT_MS = 5_000;

/** Waits for work of the thread pool, such as a signature. An error or a timeout becomes a `StoreError`. */
export function withCryptoTimeout<T>(work: Promise<T>, subject: string): Promise<T> {
  return withStoreTimeout(work, CRYPTO_TIMEOUT_MS, subject);
}
