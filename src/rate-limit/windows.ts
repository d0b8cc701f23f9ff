import { createHash } from "node:crypto";
import { checkOptions, describe } from "../internal/validate.js";
import { type RateLimit, type RateLimitSubject, StoreError } from "../kit.js";
import type { Counter } from "./store.js";

/** So many requests, or so much of their cost, in so many seconds. */
export interface RateWindow extends RateLimit {
  /** On the wire, in `RateLimit` and `RateLimit-Policy`: 1 to 64 of `A-Z a-z 0-9 _ . : -`. */
  readonly name: string;
  /**
   * What is counted together: the requests of one key; of all keys of an owner in one environment; or of all
   * keys of an owner.
   */
  readonly per: "key" | "environment" | "owner";
}

/** The name of the window that a key brings itself. */
export const KEY_WINDOW = "key";

/** From narrow to wide: what a window counts lies within what the next one counts. */
const WIDTHS: readonly RateWindow["per"][] = ["key", "environment", "owner"];

// A century: no longer time can be meant, and every store can count it in milliseconds.
const MAX_SECONDS = 3_153_600_000;

const MAX_WINDOWS = 16;

/** @throws TypeError for windows that cannot work, naming the option. */
export function readWindows(where: string, given: unknown, useKeyLimit: boolean): readonly RateWindow[] {
  if (!Array.isArray(given))
    throw new TypeError(`${where}: "windows" must be a list, got ${describe(given)}`);
  if (given.length > MAX_WINDOWS) throw new TypeError(`${where}: "windows" has more than ${MAX_WINDOWS}`);
  const windows = given.map((window, index) => readWindow(where, `windows[${index}]`, window));
  for (const [index, { name, per }] of windows.entries()) {
    if (windows.findIndex((other) => other.name === name) !== index) {
      throw new TypeError(`${where}: "windows[${index}].name" is taken: ${name}`);
    }
    if (useKeyLimit && name === KEY_WINDOW && per !== "key") {
      throw new TypeError(`${where}: "windows[${index}].per" must be "key": the limit of a key replaces it`);
    }
  }
  return byWidth(windows);
}

function readWindow(where: string, path: string, given: RateWindow): RateWindow {
  const { name, per, limit, windowSeconds } = checkOptions(`${where}: "${path}"`, given, [
    "name",
    "per",
    "limit",
    "windowSeconds",
  ]);
  if (typeof name !== "string" || !/^[A-Za-z0-9_.:-]{1,64}$/.test(name)) {
    throw new TypeError(`${where}: "${path}.name" must be 1 to 64 of A-Z a-z 0-9 _ . : -`);
  }
  if (!WIDTHS.includes(per)) {
    throw new TypeError(`${where}: "${path}.per" must be one of ${WIDTHS.join(", ")}`);
  }
  if (!isCount(limit)) throw new TypeError(`${where}: "${path}.limit" must be a whole number above 0`);
  if (!isCount(windowSeconds) || windowSeconds > MAX_SECONDS) {
    throw new TypeError(
      `${where}: "${path}.windowSeconds" must be a whole number of seconds, from 1 to ${MAX_SECONDS}`,
    );
  }
  return Object.freeze({ name, per, limit, windowSeconds });
}

/**
 * Adds the limit that a key brings itself, in place of a window of that name.
 *
 * @throws StoreError when it cannot be read: it was meant to limit something.
 */
export function withKeyLimit(
  windows: readonly RateWindow[],
  rateLimit: RateLimitSubject["rateLimit"],
): readonly RateWindow[] {
  if (rateLimit === null || rateLimit === undefined) return windows;
  const { limit, windowSeconds } = rateLimit;
  if (!isCount(limit) || !isCount(windowSeconds)) {
    throw new StoreError("The rate limit of a key cannot be read");
  }
  const own: RateWindow = { name: KEY_WINDOW, per: "key", limit, windowSeconds };
  return [own, ...windows.filter(({ name }) => name !== KEY_WINDOW)];
}

function byWidth(windows: readonly RateWindow[]): readonly RateWindow[] {
  return WIDTHS.flatMap((per) => windows.filter((window) => window.per === per));
}

function isCount(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 1;
}

/**
 * The counter of a window for one key. What tells counters apart is in its name: a window of another length is
 * another counter. Whose it is stands in braces, so that a Redis Cluster keeps all counters of an owner together.
 */
export function counterOf(window: RateWindow, { id, ownerId, environment }: RateLimitSubject): Counter {
  const { name, per, limit, windowSeconds } = window;
  const seconds = Math.min(windowSeconds, MAX_SECONDS);
  const key = `{${written(ownerId)}}:${written(name)}:${seconds}:${per}`;
  const member = per === "key" ? id : per === "environment" ? (environment ?? "") : undefined;
  return {
    key: member === undefined ? key : `${key}:${written(member)}`,
    limit,
    windowMs: seconds * 1000,
  };
}

const PLAIN = /^[A-Za-z0-9._~-]{1,200}$/;

/** Writes any text so that no two become the same, without colons and braces. */
function written(text: string): string {
  if (PLAIN.test(text)) return text;
  // JSON writes lone surrogates out, which encodeURIComponent does not take.
  const encoded = encodeURIComponent(JSON.stringify(text).slice(1, -1));
  return encoded.length <= 200 ? encoded : `@${createHash("sha256").update(encoded).digest("hex")}`;
}
