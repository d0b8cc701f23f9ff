import { withTimeout } from "../internal/timeout.js";
import { emit, type Observer, StoreError } from "../kit.js";

const TIMEOUT_MS = 250;

/** Publishes the change of a key. Never rejects; resolves within 250 ms. Emits `background.failed` if it failed. */
export async function publishWithin(
  publish: () => Promise<void>,
  keyId: string,
  observers: readonly Observer[],
): Promise<void> {
  try {
    await withTimeout((async () => publish())(), TIMEOUT_MS, {
      onTimeout: () => new StoreError(`The invalidation bus did not respond within ${TIMEOUT_MS} ms`),
    });
  } catch (cause) {
    const error = new StoreError("A changed key could not be invalidated in other processes", cause);
    emit(observers, { type: "background.failed", at: new Date(), task: "invalidate", keyId, error });
  }
}

/** A promise that is settled from outside. A rejection that nobody awaits is ignored. */
export function deferred(): {
  readonly promise: Promise<void>;
  resolve(): void;
  reject(error: Error): void;
} {
  let resolve = () => {};
  let reject: (error: Error) => void = () => {};
  const promise = new Promise<void>((onResolve, onReject) => {
    resolve = onResolve;
    reject = onReject;
  });
  promise.catch(() => {});
  return { promise, resolve, reject };
}
