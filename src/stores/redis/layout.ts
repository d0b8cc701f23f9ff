import { type Duration, readDuration } from "../../internal/duration.js";
import { readPrefix } from "../../internal/redis-client.js";
import { checkOptions } from "../../internal/validate.js";
import { type ListPosition, StoreError } from "../../kit.js";
import { encodeTime } from "../record-codec.js";

/** Options of `redisStore`. */
export interface RedisStoreOptions {
  /**
   * The hash tag that the names of all Redis keys of this store begin with; `"keybearer"` by default. 1 to 64
   * characters of `A-Z a-z 0-9 _ . : -`.
   */
  readonly prefix?: string;
  /**
   * How long the record of a revoked key is kept, such as `"90d"`; by default until it is purged. Applies to keys that
   * are revoked from now on. The audit trail is kept.
   */
  readonly deleteRevokedAfter?: Duration;
}

/** The names of the Redis keys of a store. They share a hash tag, and so one slot of a cluster. */
export interface Layout {
  /** Sorted set: the positions of all keys. The scripts derive other names from this one. */
  readonly keys: string;
  /**
   * A key that never exists. A script that declares it fails as long as a cluster migrates the slot; otherwise, the node
   * that imports the slot would create keys that are still on the other node.
   */
  readonly none: string;
  /** Sorted set: the positions of all audit entries, each followed by the entry. */
  readonly trail: string;
  /** String: the record of a key. */
  record(hash: string): string;
  /** String: the hash of the key with this id. */
  id(id: string): string;
  /** Sorted set: the positions of the keys of an owner. */
  owner(ownerId: string): string;
  /** Sorted set: the positions of the keys that a key created. */
  madeBy(id: string): string;
  /** Sorted set: the positions of the audit entries of a key. */
  trailOfKey(keyId: string): string;
  /** Sorted set: the positions of the audit entries of an owner. */
  trailOfOwner(ownerId: string): string;
  /** Sorted set: the positions of the audit entries of an actor. */
  trailOfActor(actor: string): string;
}

/** The options of a store, checked. */
export interface Settings {
  readonly layout: Layout;
  readonly deleteRevokedAfterMs: number | undefined;
}

const DEFAULT_PREFIX = "keybearer";

/** @throws TypeError if an option is unknown or invalid. */
export function readSettings(where: string, given: RedisStoreOptions = {}): Settings {
  const { prefix = DEFAULT_PREFIX, deleteRevokedAfter } = checkOptions(where, given, [
    "prefix",
    "deleteRevokedAfter",
  ]);
  return {
    layout: createLayout(baseOf(readPrefix(where, prefix))),
    deleteRevokedAfterMs:
      deleteRevokedAfter === undefined
        ? undefined
        : readDuration(where, "deleteRevokedAfter", deleteRevokedAfter, { max: "36500d" }),
  };
}

function baseOf(prefix: string): string {
  return `{${prefix}}:`;
}

function createLayout(base: string): Layout {
  return {
    keys: `${base}keys`,
    none: `${base}none`,
    trail: `${base}audit`,
    record: (hash) => `${base}key:${escapeString(hash)}`,
    id: (id) => `${base}id:${escapeString(id)}`,
    owner: (ownerId) => `${base}owner:${escapeString(ownerId)}`,
    madeBy: (id) => `${base}made:${escapeString(id)}`,
    trailOfKey: (keyId) => `${base}audit:key:${escapeString(keyId)}`,
    trailOfOwner: (ownerId) => `${base}audit:owner:${escapeString(ownerId)}`,
    trailOfActor: (actor) => `${base}audit:actor:${escapeString(actor)}`,
  };
}

/**
 * Escapes a string as in JSON, without the quotes. The result has no line breaks, and differs for different strings:
 * UTF-8 would encode all lone surrogates as the same replacement character.
 */
export function escapeString(text: string): string {
  return UNESCAPED.test(text) ? text : JSON.stringify(text).slice(1, -1);
}

// Strings that JSON does not escape, such as hashes: testing them is faster than encoding them.
const UNESCAPED = /^[\w:.-]*$/;

// Enough for the latest Date, 8.64e15.
const TIME_DIGITS = 16;
const POSITION = /^(\d{16}):(.*)$/s;

/**
 * Encodes the position of an item in a list as a string that sorts by time and then id. All members of a sorted set
 * have the same score, so Redis sorts them by their bytes.
 */
export function encodePosition({ at, id }: ListPosition): string {
  return `${String(at.getTime()).padStart(TIME_DIGITS, "0")}:${escapeString(id)}`;
}

/**
 * Encodes the position of an item to be written.
 *
 * @throws StoreError if the time is before 1970, which would not sort.
 */
export function encodeNewPosition(position: ListPosition): string {
  if (encodeTime(position.at) < 0) throw new StoreError("redisStore cannot store times before 1970");
  return encodePosition(position);
}

/** Decodes a position. Returns `undefined` for any other string. */
export function decodePosition(text: string): ListPosition | undefined {
  const match = POSITION.exec(text);
  if (match === null) return undefined;
  try {
    return { at: new Date(Number(match[1])), id: JSON.parse(`"${match[2]}"`) };
  } catch {
    return undefined;
  }
}
