import { type Duration, parseDuration } from "../../internal/duration.js";
import { checkOptions } from "../../internal/validate.js";
import { StoreError } from "../../kit.js";

/** Options of `redisStore`. */
export interface RedisStoreOptions {
  /**
   * What the names of all keys of this store begin with, in braces: `keybearer` by default. 1 to 64 of
   * `A-Z a-z 0-9 _ . : -`.
   */
  readonly prefix?: string;
  /**
   * After this time the record of a revoked key is gone by itself: `"90d"`. By default it stays until it is
   * removed. It counts for keys that are revoked from now on. The audit trail stays in any case.
   */
  readonly forgetRevokedAfter?: Duration;
}

/** The names of the keys of one store. They share a hash tag, and so lie in one slot of a cluster. */
export interface Layout {
  /** Sorted set: the place of every key. The scripts derive all other names from this one. */
  readonly keys: string;
  /** Sorted set: the place of every audit entry, and behind it the entry. */
  readonly trail: string;
  /** String: the record of a key. */
  record(hash: string): string;
  /** String: the hash of the key of this id. */
  id(id: string): string;
  /** Sorted set: the places of the keys of one owner. */
  owner(ownerId: string): string;
  /** Sorted set: the places of the audit entries of one key. */
  trailOfKey(keyId: string): string;
  /** Sorted set: the places of the audit entries of one owner. */
  trailOfOwner(ownerId: string): string;
}

/** The options, read. */
export interface Settings {
  readonly layout: Layout;
  /** Milliseconds. */
  readonly forgetAfter: number | undefined;
}

const DEFAULT_PREFIX = "keybearer";
const PREFIX = /^[A-Za-z0-9_.:-]{1,64}$/;

/** @throws TypeError for an option that is unknown or cannot be used. */
export function readSettings(where: string, given: RedisStoreOptions = {}): Settings {
  const { prefix = DEFAULT_PREFIX, forgetRevokedAfter } = checkOptions(where, given, [
    "prefix",
    "forgetRevokedAfter",
  ]);
  if (typeof prefix !== "string" || !PREFIX.test(prefix)) {
    throw new TypeError(`${where}: "prefix" must be 1 to 64 of A-Z a-z 0-9 _ . : -`);
  }
  const forgetAfter = parseDuration(forgetRevokedAfter);
  if (forgetRevokedAfter !== undefined && !forgetAfter) {
    throw new TypeError(`${where}: "forgetRevokedAfter" must be a duration such as "90d", and not 0`);
  }
  return { layout: createLayout(`{${prefix}}:`), forgetAfter };
}

function createLayout(base: string): Layout {
  return {
    keys: `${base}keys`,
    trail: `${base}audit`,
    record: (hash) => `${base}key:${nameOf(hash)}`,
    id: (id) => `${base}id:${nameOf(id)}`,
    owner: (ownerId) => `${base}owner:${nameOf(ownerId)}`,
    trailOfKey: (keyId) => `${base}audit:key:${nameOf(keyId)}`,
    trailOfOwner: (ownerId) => `${base}audit:owner:${nameOf(ownerId)}`,
  };
}

/**
 * A text as a part of a name, as it stands between the quotes of JSON. It has no line ends, and no two texts
 * share one: in UTF-8 itself, all that is not well-formed would become the same replacement character.
 */
export function nameOf(text: string): string {
  return JSON.stringify(text).slice(1, -1);
}

// Enough for the latest Date, 8.64e15.
const TIME_DIGITS = 16;
const PLACE = /^(\d{16}):(.*)$/s;

/**
 * The place of an item in a list, as a text that sorts by time and then id. All members of a sorted set have
 * one score, and so are sorted by their bytes.
 */
export function placeOf(at: Date, id: string): string {
  return `${String(at.getTime()).padStart(TIME_DIGITS, "0")}:${nameOf(id)}`;
}

/** The place of an item that is to be written. @throws StoreError for a time that has none. */
export function placeToWrite(at: Date, id: string): string {
  if (writeTime(at) < 0) throw new StoreError("redisStore sorts by times from 1970 on");
  return placeOf(at, id);
}

/** Reads a place; `undefined` for what is none. */
export function readPlace(place: string): { readonly at: Date; readonly id: string } | undefined {
  const match = PLACE.exec(place);
  if (match === null) return undefined;
  try {
    return { at: new Date(Number(match[1])), id: JSON.parse(`"${match[2]}"`) };
  } catch {
    return undefined;
  }
}

/** Milliseconds since 1970. @throws TypeError for anything that is not a valid Date. */
export function writeTime(date: Date): number {
  const time = date instanceof Date ? date.getTime() : Number.NaN;
  if (Number.isNaN(time)) throw new TypeError("A date of a key record is not a valid Date");
  return time;
}
