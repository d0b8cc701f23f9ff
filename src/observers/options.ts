import { type Duration, readDuration } from "../internal/duration.js";
import { checkFunction } from "../internal/validate.js";

/** How things stand when something went wrong behind an observer. */
export interface WriteReport {
  /** How many are still unwritten, and will be tried again. */
  readonly pending: number;
  /** How many were lost for good, in all, since the observer was made. */
  readonly dropped: number;
}

/** Options that every observer with a store behind it has. */
export interface WriteBehindOptions {
  /**
   * Told of every write that failed, with the store's error; and, with a {@link DroppedError}, of what is lost:
   * when that begins, and how much it was once the store has caught up. What it throws is ignored.
   */
  readonly onError?: (error: unknown, report: WriteReport) => unknown;
  /** How long one call of the store may take, in milliseconds: 10,000 by default. Then it has failed. */
  readonly storeTimeout?: Duration;
  /** How long `close()` may try to write what is left, in milliseconds: 5,000 by default. */
  readonly closeTimeout?: Duration;
}

/**
 * Something is lost for good: there was no room for it, it came after `close()`, it could not be read, or the
 * store refused it alone and took others.
 *
 * @example
 * const onError = (error: unknown, { pending, dropped }: WriteReport) =>
 *   log[error instanceof DroppedError ? "error" : "warn"]({ error, pending, dropped });
 */
export class DroppedError extends Error {
  override readonly name: "DroppedError" = "DroppedError";
  readonly code: "KEYBEARER_DROPPED" = "KEYBEARER_DROPPED";
}

/** The checked {@link WriteBehindOptions}. */
export interface WriteBehindSettings {
  readonly onError: WriteBehindOptions["onError"];
  readonly storeTimeoutMs: number;
  readonly closeTimeoutMs: number;
}

/** @throws TypeError if `onError` is not a function or a timeout is not a duration. */
export function readWriteBehind(where: string, options: WriteBehindOptions): WriteBehindSettings {
  const { onError, storeTimeout = "10s", closeTimeout = "5s" } = options;
  checkFunction(where, "onError", onError);
  return {
    onError,
    storeTimeoutMs: readDuration(where, "storeTimeout", storeTimeout),
    closeTimeoutMs: readDuration(where, "closeTimeout", closeTimeout),
  };
}
