import { describe } from "./validate.js";

const UNITS = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 } as const;

// A century, so that a date plus a duration is always a valid date.
const MAX_DURATION_MS = 36_500 * UNITS.d;

/** The longest delay of a timer; setTimeout fires at once for longer ones. */
export const MAX_TIMER_MS: number = 2 ** 31 - 1;

/**
 * A length of time with its unit: `"500ms"`, `"30s"`, `"15m"`, `"24h"`, `"90d"`. Numbers are rejected, because seconds
 * and milliseconds look alike.
 */
export type Duration = `${number}${keyof typeof UNITS}`;

/** Describes the format of a {@link Duration}, for error messages. */
export const DURATION_FORMAT: string = 'must be a duration such as "250ms", "30s", "15m", "24h" or "90d"';

/** Converts a {@link Duration} to milliseconds. Returns `undefined` for anything else, and for more than a century. */
export function parseDuration(value: unknown): number | undefined {
  const match = typeof value === "string" ? /^(\d{1,12})(ms|s|m|h|d)$/.exec(value) : null;
  const result = match ? Number(match[1]) * UNITS[match[2] as keyof typeof UNITS] : Number.NaN;
  return result <= MAX_DURATION_MS ? result : undefined;
}

/** The bounds of a duration option, both inclusive. */
export interface DurationBounds {
  /** `"1ms"` by default. */
  readonly min?: Duration;
  /** By default the longest delay of a timer, about 24.8 days. */
  readonly max?: Duration;
}

/**
 * Converts a duration option to milliseconds.
 *
 * @throws TypeError if `value` is not a {@link Duration} within the bounds; for a number, the message shows the string
 *   to write instead.
 */
export function readDuration(
  where: string,
  name: string,
  value: unknown,
  { min = "1ms", max }: DurationBounds = {},
): number {
  const result = parseDuration(value);
  const least = parseDuration(min) as number;
  const most = max === undefined ? MAX_TIMER_MS : (parseDuration(max) as number);
  if (result !== undefined && result >= least && result <= most) return result;
  if (typeof value === "number") {
    const example = Number.isFinite(value) && value >= 1 ? `${Math.floor(value)}ms` : "250ms";
    throw new TypeError(
      `${where}: "${name}" ${DURATION_FORMAT}; received the number ${value}, write "${example}"`,
    );
  }
  const bounds = `from "${min}" to ${max === undefined ? "24 days" : `"${max}"`}`;
  const received = result === undefined ? describe(value) : JSON.stringify(value);
  throw new TypeError(`${where}: "${name}" ${DURATION_FORMAT}, ${bounds}; received ${received}`);
}
