/** A value, or a promise of it. */
export type Awaitable<T> = T | PromiseLike<T>;

/** The methods of an interface, each of which returns a promise. */
export type Promised<T> = {
  readonly [Name in keyof T]: T[Name] extends (...args: infer Args) => infer Result
    ? (...args: Args) => Promise<Awaited<Result>>
    : never;
};

/** Whether a value is a promise or another thenable. Other values need no `await`, which would cost a microtask. */
export function isPromiseLike<T>(value: T | PromiseLike<T>): value is PromiseLike<T> {
  return typeof (value as { then?: unknown } | null | undefined)?.then === "function";
}

/** Calls `next` with the value: synchronously if it is not a promise, otherwise when the promise fulfils. */
export function mapAwaitable<T, U>(value: Awaitable<T>, next: (value: T) => U): U | Promise<Awaited<U>> {
  return isPromiseLike(value) ? (Promise.resolve(value).then(next) as Promise<Awaited<U>>) : next(value);
}

/**
 * Rejects a promise where a callback must return its result synchronously. The promise's own rejection is ignored,
 * because an unhandled rejection would end the process.
 *
 * @throws TypeError if `result` is a promise; the message begins with `subject`.
 */
export function rejectPromise(subject: string, result: unknown): void {
  if (!isPromiseLike(result)) return;
  result.then(undefined, () => {});
  throw new TypeError(`${subject} must return its result synchronously; received a promise`);
}
