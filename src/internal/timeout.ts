/** What a timeout rejects with. */
export interface TimeoutErrors {
  /** Creates the error for a promise that is still pending after the time limit. */
  readonly onTimeout: () => Error;
  /** Converts the reason of a promise that rejects in time; by default the reason stays as it is. */
  readonly onRejected?: (reason: unknown) => unknown;
}

/** Waits for a promise for at most `timeoutMs` milliseconds. A later result is ignored. */
export function withTimeout<T>(
  promise: PromiseLike<T>,
  timeoutMs: number,
  { onTimeout, onRejected = (reason) => reason }: TimeoutErrors,
): Promise<T> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(onTimeout()), timeoutMs);
    const settle = (finish: () => void) => {
      clearTimeout(timer);
      finish();
    };
    try {
      promise.then(
        (value) => settle(() => resolve(value)),
        (reason) => settle(() => reject(onRejected(reason))),
      );
    } catch (error) {
      settle(() => reject(onRejected(error))); // a query builder may run, and throw, in then()
    }
  });
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
