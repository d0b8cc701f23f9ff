import { isPromiseLike } from "./awaitable.js";

/** What {@link withTimeout} settles with. */
export interface TimeoutCallbacks<T, R> {
  /** Creates the error for a promise that is still pending after the time limit. */
  readonly onTimeout: () => Error;
  /** Converts the reason of a promise that rejects in time. By default the reason is not changed. */
  readonly onRejected?: (reason: unknown) => unknown;
  /**
   * Converts the result, and may throw. Use it for values that are not trusted: resolving with one reads its `then` again,
   * which may be a function now.
   */
  readonly onFulfilled?: ((value: T) => R) | undefined;
}

/**
 * Waits for a promise for at most `timeoutMs` milliseconds. A later result is ignored.
 *
 * The promise may be any thenable. As with `await`, only the first call of its callbacks counts, an exception in
 * `then()` is a rejection, and a value that is a thenable is awaited too; the limit covers the whole chain.
 */
export function withTimeout<T, R = T>(
  promise: PromiseLike<T>,
  timeoutMs: number,
  {
    onTimeout,
    onRejected = (reason) => reason,
    onFulfilled = (value) => value as unknown as R,
  }: TimeoutCallbacks<T, R>,
): Promise<R> {
  return new Promise((resolve, reject) => {
    let isSettled = false;
    const settle = (): boolean => {
      if (isSettled) return false;
      isSettled = true;
      clearTimeout(timer);
      return true;
    };
    const timer = setTimeout(() => {
      if (settle()) reject(onTimeout());
    }, timeoutMs);
    const fail = (reason: unknown): void => {
      if (settle()) reject(onRejected(reason));
    };

    const follow = (thenable: PromiseLike<T>): void => {
      try {
        if (isNativePromise(thenable)) thenable.then(fulfil, fail);
        else followOnce(thenable, fulfil, fail);
      } catch (error) {
        fail(error);
      }
    };
    const fulfil = (value: T | PromiseLike<T>): void => {
      if (isSettled) return;
      try {
        if (isPromiseLike(value)) follow(value);
        else {
          const result = onFulfilled(value);
          if (settle()) resolve(result);
        }
      } catch (error) {
        fail(error); // reading `then` may throw
      }
    };
    follow(promise);
  });
}

/** Whether a value has the `then` of promises, which calls one callback once. */
function isNativePromise(value: object): boolean {
  return Object.getPrototypeOf(value) === Promise.prototype && !Object.hasOwn(value, "then");
}

/** Calls `then()`, and only the first of its callbacks, once. A query builder may run, and throw, in `then()`. */
function followOnce<T>(
  thenable: PromiseLike<T>,
  onFulfilled: (value: T) => void,
  onRejected: (reason: unknown) => void,
): void {
  let isCalled = false;
  const once =
    <V>(callback: (value: V) => void) =>
    (value: V): void => {
      if (isCalled) return;
      isCalled = true;
      callback(value);
    };
  const rejectOnce = once(onRejected);
  try {
    thenable.then(once(onFulfilled), rejectOnce);
  } catch (error) {
    rejectOnce(error);
  }
}

/** Resolves when `promise` settles, or after `milliseconds`. Never rejects. */
export function settledWithin(promise: Promise<unknown>, milliseconds: number): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, milliseconds);
    const settle = () => {
      clearTimeout(timer);
      resolve();
    };
    promise.then(settle, settle);
  });
}
