import { DURATION_FORMAT, parseDuration } from "../../internal/duration.js";
import { deepFreeze } from "../../internal/freeze.js";
import { quoteAscii, redactName } from "../../internal/redact.js";
import { describe } from "../../internal/validate.js";
import { KeyInputError } from "../errors.js";
import type { KeyFormat } from "../keys/format.js";
import type { KeyMetadata, RateLimit } from "../keys/record.js";
import type { Scopes } from "../keys/scopes.js";
import { cidrProblem } from "../requests/cidr.js";

// Readers of what a manager is given: each answers a clean copy, or throws a KeyInputError with the member's
// name. The bounds keep a record small enough to be read on every request.
const MAX_NAME = 255;
const MAX_ID = 255;
const MAX_CIDRS = 1_000;
const MAX_METADATA_BYTES = 16_384;
const MAX_METADATA_MEMBERS = 100;
const MAX_IN_A_PAGE = 1_000;

/** An id that the host chose: an owner, an actor. */
export function readId(path: string, value: unknown): string {
  const text = readLine(path, value, MAX_ID);
  if (text === "") throw new KeyInputError(path, "must not be empty");
  return text;
}

/** A text for people on one line, or `null`. */
export function readText(path: string, value: unknown): string | null {
  return value === undefined || value === null ? null : readLine(path, value, MAX_NAME);
}

export function readScopes(path: string, value: unknown, scopes: Scopes): readonly string[] {
  if (!Array.isArray(value))
    throw new KeyInputError(path, `must be a list of scopes, got ${describe(value)}`);
  for (const [index, name] of value.entries()) {
    if (typeof name !== "string" || scopes.get(name) === undefined) {
      throw new KeyInputError(`${path}[${index}]`, `is not a defined scope${quote(name)}`);
    }
    if (!scopes.isGrantable(name)) {
      throw new KeyInputError(`${path}[${index}]`, `is planned and cannot be granted yet${quote(name)}`);
    }
  }
  return Object.freeze([...new Set<string>(value)]);
}

export function readAllowlist(path: string, value: unknown): readonly string[] | null {
  if (value === undefined || value === null) return null;
  if (!Array.isArray(value))
    throw new KeyInputError(path, `must be a list of networks, got ${describe(value)}`);
  if (value.length > MAX_CIDRS) throw new KeyInputError(path, `must have at most ${MAX_CIDRS} networks`);
  for (const [index, entry] of value.entries()) {
    const problem = cidrProblem(entry);
    if (problem !== undefined) throw new KeyInputError(`${path}[${index}]`, problem);
  }
  return Object.freeze([...value]);
}

export function readRateLimit(path: string, value: unknown): RateLimit | null {
  if (value === undefined || value === null) return null;
  checkInput(path, value, ["limit", "windowSeconds"]);
  const { limit, windowSeconds } = value as Partial<RateLimit>;
  for (const [member, number] of [
    ["limit", limit],
    ["windowSeconds", windowSeconds],
  ] as const) {
    if (!Number.isSafeInteger(number) || (number as number) < 1) {
      throw new KeyInputError(`${path}.${member}`, "must be a whole number above 0");
    }
  }
  return Object.freeze({
    limit: limit as number,
    windowSeconds: windowSeconds as number,
  });
}

/** JSON values by name, copied; nothing that JSON would drop or change without a word. */
export function readMetadata(path: string, value: unknown): KeyMetadata | null {
  if (value === undefined || value === null) return null;
  if (!isPlainObject(value)) throw new KeyInputError(path, `must be an object, got ${describe(value)}`);
  const members = Object.keys(value).length;
  if (members > MAX_METADATA_MEMBERS) {
    throw new KeyInputError(path, `must have at most ${MAX_METADATA_MEMBERS} members, got ${members}`);
  }
  checkJson(path, value, 0);
  const text = JSON.stringify(value);
  if (Buffer.byteLength(text) > MAX_METADATA_BYTES) {
    throw new KeyInputError(path, `must be at most ${MAX_METADATA_BYTES} bytes of JSON`);
  }
  return deepFreeze(JSON.parse(text));
}

/**
 * A moment in the future: a Date, or RFC 3339 with an offset, of a day that the calendar has.
 */
export function readExpiry(path: string, value: unknown, now: Date): Date | null {
  if (value === undefined || value === null) return null;
  const date = value instanceof Date ? new Date(value) : parseDate(path, value);
  if (Number.isNaN(date.getTime())) throw new KeyInputError(path, "is not a date");
  if (date.getUTCFullYear() > 9999) throw new KeyInputError(path, "must be before the year 10000");
  if (date.getTime() <= now.getTime()) throw new KeyInputError(path, "must be in the future");
  return date;
}

/** A moment that is over: a Date, or RFC 3339 with an offset, from 1970 on. */
export function readPast(path: string, value: unknown, now: Date): Date | null {
  if (value === undefined || value === null) return null;
  const date = value instanceof Date ? new Date(value) : parseDate(path, value);
  if (Number.isNaN(date.getTime())) throw new KeyInputError(path, "is not a date");
  if (date.getTime() < 0) throw new KeyInputError(path, "must not be before 1970");
  if (date.getTime() > now.getTime()) throw new KeyInputError(path, "must not be in the future");
  return date;
}

/** Reads a length of time as milliseconds. */
export function readInputDuration(path: string, value: unknown): number {
  const result = parseDuration(value);
  if (result === undefined) throw new KeyInputError(path, DURATION_FORMAT);
  return result;
}

/** An unknown member is refused: a misspelt overlap would cut clients off, a misspelt allowlist would be none. */
export function checkInput(where: string, input: unknown, known: readonly string[]): void {
  if (typeof input !== "object" || input === null || Array.isArray(input)) {
    throw new KeyInputError(where, `needs an object, got ${describe(input)}`);
  }
  const unknown = Object.keys(input).find((name) => !known.includes(name));
  if (unknown !== undefined) {
    throw new KeyInputError(
      redactName(unknown),
      `is not a member that ${where} knows; it knows ${known.join(", ")}`,
    );
  }
}

export function readOptions<T extends object>(where: string, options: T, ...more: string[]): T {
  checkInput(where, options, ["actor", ...more]);
  return options;
}

/** @throws KeyInputError for a filter that is there but undefined: it would list the keys of everybody. */
export function checkFilter(where: string, query: object, known: readonly string[]): void {
  checkInput(where, query, known);
  for (const [name, value] of Object.entries(query)) {
    if (typeof value !== "string" && name !== "limit") {
      throw new KeyInputError(name, `must be a text, got ${describe(value)}; leave it out to list all`);
    }
  }
}

/** How many items a page may have. */
export function readLimit(limit: unknown = 50): number {
  if (!Number.isInteger(limit) || (limit as number) < 1 || (limit as number) > MAX_IN_A_PAGE) {
    throw new KeyInputError("limit", `must be a whole number from 1 to ${MAX_IN_A_PAGE}`);
  }
  return limit as number;
}

/** One of the format's environments; `null` for a format without any, unless the host names one. */
export function readEnvironment(value: unknown, { environments }: KeyFormat): string | null {
  if (environments === undefined) {
    if (value === undefined || value === null) return null;
    return readId("environment", value);
  }
  if (value === undefined && environments.length === 1) return environments[0] as string;
  if (typeof value !== "string" || !environments.includes(value)) {
    throw new KeyInputError("environment", `must be one of ${environments.join(", ")}`);
  }
  return value;
}

// RFC 3339, section 5.6; an offset is part of it.
const DATE_TIME = /^(\d{4})-(\d{2})-(\d{2})T(\d{2}):(\d{2}):(\d{2})(\.\d{1,9})?(Z|[+-](\d{2}):(\d{2}))$/i;

function parseDate(path: string, value: unknown): Date {
  const match = typeof value === "string" ? DATE_TIME.exec(value) : null;
  if (match === null) {
    throw new KeyInputError(
      path,
      "must be a Date or a date and time with an offset, such as 2030-01-31T12:00:00Z",
    );
  }
  const [, year, month, day, hour, minute, second] = match.map(Number) as number[];
  const [offsetHour, offsetMinute] = [Number(match[9] ?? 0), Number(match[10] ?? 0)];
  const lastDay = new Date(Date.UTC(year as number, month as number, 0)).getUTCDate();
  const real =
    inside(month, 1, 12) &&
    inside(day, 1, lastDay) &&
    inside(hour, 0, 23) &&
    inside(minute, 0, 59) &&
    inside(second, 0, 59) &&
    inside(offsetHour, 0, 23) &&
    inside(offsetMinute, 0, 59);
  if (!real) throw new KeyInputError(path, "is not a real date and time");
  return new Date(match[0].toUpperCase());
}

function inside(value: number | undefined, least: number, most: number): boolean {
  return value !== undefined && value >= least && value <= most;
}

function readLine(path: string, value: unknown, most: number): string {
  if (typeof value !== "string") throw new KeyInputError(path, `must be a text, got ${describe(value)}`);
  if (value.length > most) throw new KeyInputError(path, `must have at most ${most} characters`);
  // They forge log lines, turn what people read around, or cannot be stored.
  if (/[\p{Cc}\p{Zl}\p{Zp}\p{Cs}\u202a-\u202e\u2066-\u2069]/u.test(value))
    throw new KeyInputError(path, "must not have control characters");
  return value;
}

function checkJson(path: string, value: unknown, depth: number): void {
  if (typeof value === "string") {
    checkStorable(path, value);
    return;
  }
  if (value === null || typeof value === "boolean" || Number.isFinite(value)) return;
  if (depth > 8) throw new KeyInputError(path, "is nested too deeply");
  if (Array.isArray(value)) {
    for (const [index, item] of value.entries()) checkJson(`${path}[${index}]`, item, depth + 1);
  } else if (isPlainObject(value)) {
    for (const [name, member] of Object.entries(value)) {
      if (name === "__proto__") throw new KeyInputError(path, "must not have a member __proto__");
      checkStorable(path, name);
      checkJson(`${path}.${redactName(name)}`, member, depth + 1);
    }
  } else throw new KeyInputError(path, `must hold JSON values only, got ${describe(value)}`);
}

/** NUL and lone surrogates are JSON, but not what every database can keep in one. */
function checkStorable(path: string, text: string): void {
  if (/\0|\p{Cs}/u.test(text))
    throw new KeyInputError(path, "must not have NUL characters or lone surrogates");
}

function isPlainObject(value: unknown): value is Record<string, unknown> {
  if (typeof value !== "object" || value === null || Array.isArray(value)) return false;
  const prototype = Object.getPrototypeOf(value);
  return prototype === null || prototype === Object.prototype;
}

// A secret in the wrong place would be told to whoever reads errors. No word is as long, with a digit in it.
const LIKE_A_SECRET = /(?=[A-Za-z]{0,23}[0-9])[A-Za-z0-9]{24}/;

function quote(name: unknown): string {
  return typeof name === "string" && name.length <= 128 && !LIKE_A_SECRET.test(name)
    ? `: ${quoteAscii(name)}`
    : "";
}
