import { KeyInputError } from "../errors.js";

/** Reads an optional moment in the future: a Date, or an RFC 3339 string with an offset. */
export function readExpiry(path: string, value: unknown, now: Date): Date | null {
  const date = readDate(path, value);
  if (date === null) return null;
  if (date.getUTCFullYear() > 9999) throw new KeyInputError(path, "must be before the year 10000");
  if (date.getTime() <= now.getTime()) throw new KeyInputError(path, "must be in the future");
  return date;
}

/** Reads an optional moment between 1970 and now: a Date, or an RFC 3339 string with an offset. */
export function readPastDate(path: string, value: unknown, now: Date): Date | null {
  const date = readDate(path, value);
  if (date === null) return null;
  if (date.getTime() < 0) throw new KeyInputError(path, "must not be before 1970");
  if (date.getTime() > now.getTime()) throw new KeyInputError(path, "must not be in the future");
  return date;
}

function readDate(path: string, value: unknown): Date | null {
  if (value === undefined || value === null) return null;
  const date = value instanceof Date ? new Date(value) : parseDateTime(path, value);
  if (Number.isNaN(date.getTime())) throw new KeyInputError(path, "must be a valid Date");
  return date;
}

// RFC 3339, section 5.6; the offset is required.
const DATE_TIME = /^(\d{4})-(\d{2})-(\d{2})T(\d{2}):(\d{2}):(\d{2})(\.\d{1,9})?(Z|[+-](\d{2}):(\d{2}))$/i;

function parseDateTime(path: string, value: unknown): Date {
  const match = typeof value === "string" ? DATE_TIME.exec(value) : null;
  if (match === null) {
    throw new KeyInputError(
      path,
      "must be a Date or a date and time with an offset, such as 2030-01-31T12:00:00Z",
    );
  }
  const [, year, month, day, hour, minute, second] = match.map(Number) as number[];
  const [offsetHour, offsetMinute] = [Number(match[9] ?? 0), Number(match[10] ?? 0)];
  const daysInMonth = new Date(Date.UTC(year as number, month as number, 0)).getUTCDate();
  // The Date constructor moves February 30 to March 2.
  const exists =
    isBetween(month, 1, 12) &&
    isBetween(day, 1, daysInMonth) &&
    isBetween(hour, 0, 23) &&
    isBetween(minute, 0, 59) &&
    isBetween(second, 0, 59) &&
    isBetween(offsetHour, 0, 23) &&
    isBetween(offsetMinute, 0, 59);
  if (!exists) throw new KeyInputError(path, "must be an existing date and time");
  return new Date(match[0].toUpperCase());
}

function isBetween(value: number | undefined, min: number, max: number): boolean {
  return value !== undefined && value >= min && value <= max;
}
