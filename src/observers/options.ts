import { checkTimeout } from "../index.js";

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
  readonly storeTimeoutMs?: number;
  /** How long `close()` may try to write what is left, in milliseconds: 5,000 by default. */
  readonly closeTimeoutMs?: number;
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

/**
 * @throws TypeError when `onError` is no function, or one of the times (these, and those of
 *   {@link WriteBehindOptions}) no number of milliseconds that a timer can wait.
 */
export function checkWriteBehind(where: string, options: WriteBehindOptions, times: readonly string[]): void {
  for (const name of ["storeTimeoutMs", "closeTimeoutMs", ...times]) {
    const value = (options as Readonly<Record<string, unknown>>)[name];
    if (value !== undefined) checkTimeout(where, name, value);
  }
  if (options.onError !== undefined && typeof options.onError !== "function") {
    throw new TypeError(`${where}: "onError" must be a function`);
  }
}
