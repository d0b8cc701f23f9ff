const UNITS: readonly (readonly [unit: Intl.RelativeTimeFormatUnit, seconds: number])[] = [
  ["year", 31_536_000],
  ["month", 2_592_000],
  ["day", 86_400],
  ["hour", 3_600],
  ["minute", 60],
];

/** Formats a date relative to now, such as "3 days ago" or "in 2 months". */
export function formatRelative(date: Date, now: number = Date.now()): string {
  const seconds = (date.getTime() - now) / 1_000;
  const format = new Intl.RelativeTimeFormat("en");
  for (const [unit, length] of UNITS) {
    if (Math.abs(seconds) >= length) return format.format(Math.trunc(seconds / length), unit);
  }
  return seconds <= 0 ? "just now" : "in less than a minute";
}

/** Formats a date as ISO 8601, to the second. */
export function formatDate(date: Date): string {
  return date.toISOString().replace(/\.\d{3}Z$/, "Z");
}
