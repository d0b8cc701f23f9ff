import { type Duration, readDuration } from "../internal/duration.js";
import { checkFunction } from "../internal/validate.js";
import type { Observer } from "../kit.js";

/** An observer that writes to a store in the background, created by `lastUsed` or `auditLog`. */
export interface WriteBehindObserver {
  /** For the `observers` of a verifier. */
  readonly observer: Observer;
  /** Writes everything that is pending. Rejects if the store fails; the values stay pending and are retried. */
  flush(): Promise<void>;
  /**
   * Stops accepting events and writes everything that is pending. Retries for up to `closeTimeout` while the store
   * fails, then rejects. Can be called again. A caller may ignore the rejection: it is passed to `onError`, or is the
   * process warning `KEYBEARER_UNWRITTEN`.
   */
  close(): Promise<void>;
}

/** The state of an observer when `onError` is called. */
export interface WriteReport {
  /** The number of values that are not written yet and will be retried. */
  readonly pending: number;
  /** The number of values lost since the observer was created. */
  readonly dropped: number;
}

/** Options of every observer that writes to a store. */
export interface WriteBehindOptions {
  /**
   * Called with the store's error for every write that fails, and with a {@link DroppedError} when values are lost:
   * when that begins, and with the total once the store has recovered. What it throws is ignored.
   */
  readonly onError?: (error: unknown, report: WriteReport) => unknown;
  /** The time limit of one store call, after which it has failed; `"10s"` by default. */
  readonly storeTimeout?: Duration;
  /** How long `close()` tries to write what is pending; `"5s"` by default. */
  readonly closeTimeout?: Duration;
}

/**
 * Values are lost: the queue was full, the observer was closed, a date was invalid, or the store rejected a value alone
 * while it accepted others.
 *
 * @example
 * const onError = (error: unknown, { pending, dropped }: WriteReport) =>
 *   log[error instanceof DroppedError ? "error" : "warn"]({ error, pending, dropped });
 */
export class DroppedError extends Error {
  override readonly name: "DroppedError" = "DroppedError";
  readonly code: "KEYBEARER_DROPPED" = "KEYBEARER_DROPPED";
}

/** Checked options. */
export interface WriteBehindSettings {
  readonly onError: WriteBehindOptions["onError"];
  readonly intervalMs: number;
  readonly storeTimeoutMs: number;
  readonly closeTimeoutMs: number;
}

/** The names of the options that {@link readWriteBehind} reads. */
export const WRITE_BEHIND_OPTIONS = ["interval", "onError", "storeTimeout", "closeTimeout"] as const;

/** @throws TypeError if `onError` is not a function or another option is not a duration. */
export function readWriteBehind(
  where: string,
  options: WriteBehindOptions & { readonly interval?: Duration },
  defaultInterval: Duration,
): WriteBehindSettings {
  const { onError, interval = defaultInterval, storeTimeout = "10s", closeTimeout = "5s" } = options;
  checkFunction(where, "onError", onError);
  return {
    onError,
    intervalMs: readDuration(where, "interval", interval),
    storeTimeoutMs: readDuration(where, "storeTimeout", storeTimeout),
    closeTimeoutMs: readDuration(where, "closeTimeout", closeTimeout),
  };
}
