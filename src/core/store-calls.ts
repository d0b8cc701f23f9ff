import { withTimeout } from "../internal/timeout.js";
import { StoreError } from "./errors.js";

const STORE = "The key store";

/**
 * Waits for the result of a store for at most `timeoutMs` milliseconds, and converts it with `read`. Rejects only with a
 * {@link StoreError}, whose message begins with `subject`.
 */
export function withStoreTimeout<T, R = T>(
  promise: PromiseLike<T>,
  timeoutMs: number,
  subject: string = STORE,
  read?: (value: T) => R,
): Promise<R> {
  return withTimeout(promise, timeoutMs, {
    onFulfilled: read,
    onTimeout: () => new StoreError(`${subject} did not respond within ${timeoutMs} ms`),
    onRejected: (error) => toStoreError(error, subject),
  });
}

/**
 * Converts what a driver threw to a {@link StoreError} that names the kind of the error and never its message, because
 * drivers put statements and parameters into messages. A `StoreError` is returned as it is.
 */
export function toStoreError(error: unknown, subject: string = STORE): StoreError {
  if (isStoreError(error)) return error;
  const kind = kindOf(error);
  return new StoreError(`${subject} failed${kind && ` (${kind})`}`, error);
}

function isStoreError(error: unknown): error is StoreError {
  try {
    return error instanceof StoreError;
  } catch {
    return false; // a Proxy may throw from instanceof
  }
}

// The names and codes that drivers use. No secret and no hash has this form.
const NAME = /^[A-Z][A-Za-z_]{0,39}$/;
const CODE = /^(?:[A-Z][A-Z0-9_]{0,39}|[0-9A-Z]{5})$/;

function kindOf(error: unknown): string {
  try {
    const { name, code } = (error ?? {}) as { name?: unknown; code?: unknown };
    const matches = (value: unknown, pattern: RegExp) => typeof value === "string" && pattern.test(value);
    return [matches(name, NAME) && name, matches(code, CODE) && code].filter(Boolean).join(" ");
  } catch {
    return ""; // reading a member may throw
  }
}
