import { createHash } from "node:crypto";
import { DURATION_FORMAT, type Duration, readDuration } from "../internal/duration.js";
import { checkOptions, describe, readInteger } from "../internal/validate.js";
import { type RateLimit, type RateLimitSubject, StoreError } from "../kit.js";
import type { Counter } from "./store.js";

/** A limit on the requests, or their cost, in a window of time. */
export interface RateWindow {
  /** The name in `RateLimit` and `RateLimit-Policy`: 1 to 64 of `A-Z a-z 0-9 _ . : -`. */
  readonly name: string;
  /**
   * Which requests are counted together: those of one key and the keys that it replaced in rotations; of all keys of an owner in one environment; or of all keys
   * of an owner.
   */
  readonly per: "key" | "environment" | "owner";
  /** The most requests, or cost, in one window. */
  readonly limit: number;
  /** The length of a window, in whole seconds: `"1m"`, `"30d"`. */
  readonly window: Duration;
}

/** A checked {@link RateWindow}, or the limit of a key. */
export interface ActiveWindow extends RateLimit {
  readonly name: string;
  readonly per: RateWindow["per"];
}

/** The name of the window for the `rateLimit` of a key. */
const KEY_WINDOW = "key";

// From narrow to wide: each one includes the requests of the one before.
const GROUPS: readonly RateWindow["per"][] = ["key", "environment", "owner"];

const MAX_SECONDS = 36_500 * 86_400; // a century, which every store can count in milliseconds
const MAX_WINDOWS = 16;

/** @throws TypeError if the array, or a member of a window, is invalid. */
export function readWindows(where: string, given: unknown, useKeyLimit: boolean): readonly ActiveWindow[] {
  if (!Array.isArray(given)) {
    throw new TypeError(`${where}: "windows" must be an array; received ${describe(given)}`);
  }
  if (given.length > MAX_WINDOWS) {
    throw new TypeError(
      `${where}: "windows" must have at most ${MAX_WINDOWS} entries; received ${given.length}`,
    );
  }
  const windows = given.map((window, index) => readWindow(where, `windows[${index}]`, window));
  for (const [index, { name, per }] of windows.entries()) {
    if (windows.findIndex((other) => other.name === name) !== index) {
      throw new TypeError(`${where}: "windows[${index}].name" must be unique; received "${name}" again`);
    }
    if (useKeyLimit && name === KEY_WINDOW && per !== "key") {
      throw new TypeError(
        `${where}: "windows[${index}].per" must be "key", because a key's own limit replaces the window "key"`,
      );
    }
  }
  return GROUPS.flatMap((per) => windows.filter((window) => window.per === per));
}

function readWindow(where: string, path: string, given: RateWindow): ActiveWindow {
  const options = checkOptions(`${where}: "${path}"`, given, ["name", "per", "limit", "window"]);
  const { name, per, limit, window } = options;
  if (typeof name !== "string" || !/^[A-Za-z0-9_.:-]{1,64}$/.test(name)) {
    throw new TypeError(`${where}: "${path}.name" must be 1 to 64 characters of A-Z a-z 0-9 _ . : -`);
  }
  if (!GROUPS.includes(per)) {
    throw new TypeError(`${where}: "${path}.per" must be one of "key", "environment", "owner"`);
  }
  readInteger(where, `${path}.limit`, limit, 1, Number.MAX_SAFE_INTEGER);
  const windowSeconds = readWindowSeconds(where, `${path}.window`, window);
  return Object.freeze({ name, per, limit, windowSeconds });
}

/**
 * Converts the length of a window to seconds.
 *
 * @throws TypeError if `value` is not a duration of whole seconds, at least one.
 */
export function readWindowSeconds(where: string, name: string, value: unknown): number {
  if (typeof value === "number") {
    throw new TypeError(
      `${where}: "${name}" ${DURATION_FORMAT}; received the number ${value}, write "${value}s" for seconds`,
    );
  }
  const seconds = readDuration(where, name, value, { min: "1s", max: "36500d" }) / 1_000;
  if (Number.isInteger(seconds)) return seconds;
  throw new TypeError(`${where}: "${name}" must be whole seconds; received "${value}"`);
}

/**
 * Adds the limit of a key, which replaces a window of the same name.
 *
 * @throws StoreError if the limit is invalid: a damaged limit must not mean no limit.
 */
export function withKeyLimit(
  windows: readonly ActiveWindow[],
  rateLimit: RateLimitSubject["rateLimit"],
): readonly ActiveWindow[] {
  if (rateLimit === null || rateLimit === undefined) return windows;
  const { limit, windowSeconds } = rateLimit;
  if (!isPositiveInteger(limit) || !isPositiveInteger(windowSeconds)) {
    throw new StoreError('The "rateLimit" of a key is invalid');
  }
  const own: ActiveWindow = { name: KEY_WINDOW, per: "key", limit, windowSeconds };
  return [own, ...windows.filter(({ name }) => name !== KEY_WINDOW)];
}

function isPositiveInteger(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 1;
}

/**
 * Returns the counter of a window for one key. A successor continues the counter of the key that it replaced. Its name includes the length of the window, so a new length starts a new
 * counter. The owner is a Redis Cluster hash tag, so all counters of an owner are on one node.
 */
export function counterOf(window: ActiveWindow, subject: RateLimitSubject): Counter {
  const { id, ownerId, environment, rotationRoot } = subject;
  const { name, per, limit, windowSeconds } = window;
  const seconds = Math.min(windowSeconds, MAX_SECONDS);
  const key = `{${encodeSegment(ownerId)}}:${encodeSegment(name)}:${seconds}:${per}`;
  const member =
    per === "key" ? (rotationRoot ?? id) : per === "environment" ? (environment ?? "") : undefined;
  return {
    key: member === undefined ? key : `${key}:${encodeSegment(member)}`,
    limit,
    windowMs: seconds * 1000,
  };
}

const PLAIN = /^[A-Za-z0-9._~-]{1,200}$/;

/** Encodes any string as at most 200 characters without colons and braces; no two strings become the same. */
function encodeSegment(value: string): string {
  if (PLAIN.test(value)) return value;
  // encodeURIComponent throws on lone surrogates, which JSON escapes.
  const encoded = encodeURIComponent(JSON.stringify(value).slice(1, -1));
  return encoded.length <= 200 ? encoded : `@${createHash("sha256").update(encoded).digest("hex")}`;
}
