const MILLISECONDS = {
  ms: 1,
  s: 1_000,
  m: 60_000,
  h: 3_600_000,
  d: 86_400_000,
} as const;

// A century, so that a date and a duration always add up to a date.
const MOST = 36_500 * MILLISECONDS.d;

/**
 * A length of time with its unit: `"500ms"`, `"30s"`, `"15m"`, `"24h"`, `"90d"`. Bare numbers are refused,
 * because seconds and milliseconds look alike.
 */
export type Duration = `${number}${keyof typeof MILLISECONDS}`;

/** What a duration looks like, for an error. */
export const DURATION_FORM: string = 'must be a duration such as "30s", "15m", "24h" or "90d", up to 36500d';

/** Reads a {@link Duration} as milliseconds; `undefined` for anything else, and for more than a century. */
export function milliseconds(value: unknown): number | undefined {
  const match = typeof value === "string" ? /^(\d{1,12})(ms|s|m|h|d)$/.exec(value) : null;
  const result = match ? Number(match[1]) * MILLISECONDS[match[2] as keyof typeof MILLISECONDS] : Number.NaN;
  return result <= MOST ? result : undefined;
}
