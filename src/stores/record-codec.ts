import { createSharedCache } from "../internal/shared-cache.js";
import {
  type AuditAction,
  type AuditEntry,
  type KeyHash,
  type KeyRecord,
  KeyStateError,
  type RateLimit,
  StoreError,
} from "../kit.js";

/** A stored record or audit entry, by column or member. */
export type StoredRow = Readonly<Record<string, unknown>>;

/** How a database stores the members of records and audit entries. */
export interface StoredFormat<Member extends string> {
  /** The name of each member in a row. */
  readonly names: Readonly<Record<Member, string>>;
  /** What has these names, for error messages, such as `column`. */
  readonly label: string;
  /** Converts an integer. Returns any other value if it cannot be read. */
  integer(cell: unknown): unknown;
  /** Converts an array of strings. Returns `undefined` if it cannot be read. Equal arrays may be the same frozen one. */
  list(cell: unknown, row: StoredRow): readonly string[] | undefined;
  /** Converts a JSON object. Returns any other value if it cannot be read. */
  object(cell: unknown): unknown;
}

/**
 * Creates the function that decodes stored keys. A value that cannot be read is an error, because a damaged expiry or
 * allowlist must not count as absent.
 *
 * @throws StoreError that names the key and the member.
 */
export function createKeyDecoder(format: StoredFormat<keyof KeyRecord>): (row: StoredRow) => KeyRecord {
  const { names } = format;
  const readers = createReaders(format);
  const { string, stringOrNull, addedOrNull, integer, date, dateOrNull } = readers;
  const { list, listOrNull, objectOrNull, rateLimitOrNull } = readers;
  // The members that a verifier reads come first, so that they share cache lines.
  // This runs for every lookup. Each cell is accessed here, where its name is always the same, which is fast.
  return (row) => ({
    id: string(row[names.id], row, "id"),
    hash: string(row[names.hash], row, "hash") as KeyHash,
    ownerId: string(row[names.ownerId], row, "ownerId"),
    environment: stringOrNull(row[names.environment], row, "environment"),
    scopes: list(row[names.scopes], row, "scopes"),
    ipAllowlist: listOrNull(row[names.ipAllowlist], row, "ipAllowlist"),
    rateLimit: rateLimitOrNull(row[names.rateLimit], row, "rateLimit"),
    expiresAt: dateOrNull(row[names.expiresAt], row, "expiresAt"),
    disabledAt: dateOrNull(row[names.disabledAt], row, "disabledAt"),
    // Absent in JSON of earlier versions, which has no createdByKey either. Otherwise it was lost.
    suspendedAt:
      row[names.suspendedAt] === undefined && row[names.createdByKey] === undefined
        ? null
        : dateOrNull(row[names.suspendedAt], row, "suspendedAt"),
    revokedAt: dateOrNull(row[names.revokedAt], row, "revokedAt"),
    rotatedAt: dateOrNull(row[names.rotatedAt], row, "rotatedAt"),
    rotationRoot: addedOrNull(row[names.rotationRoot], row, "rotationRoot"),
    createdAt: date(row[names.createdAt], row, "createdAt"),
    version: integer(row[names.version], row, "version"),
    start: string(row[names.start], row, "start"),
    name: stringOrNull(row[names.name], row, "name"),
    metadata: objectOrNull(row[names.metadata], row, "metadata"),
    updatedAt: date(row[names.updatedAt], row, "updatedAt"),
    lastUsedAt: dateOrNull(row[names.lastUsedAt], row, "lastUsedAt"),
    revokedReason: stringOrNull(row[names.revokedReason], row, "revokedReason"),
    replacedBy: stringOrNull(row[names.replacedBy], row, "replacedBy"),
    replaces: stringOrNull(row[names.replaces], row, "replaces"),
    disabledBy: addedOrNull(row[names.disabledBy], row, "disabledBy") as KeyRecord["disabledBy"],
    createdBy: addedOrNull(row[names.createdBy], row, "createdBy"),
    createdByKey: addedOrNull(row[names.createdByKey], row, "createdByKey"),
  });
}

/**
 * Creates the function that decodes stored audit entries.
 *
 * @throws StoreError that names the entry and the member.
 */
export function createAuditDecoder(format: StoredFormat<keyof AuditEntry>): (row: StoredRow) => AuditEntry {
  const { names } = format;
  const { string, stringOrNull, date, object } = createReaders(format);
  return (row) => ({
    id: string(row[names.id], row, "id"),
    at: date(row[names.at], row, "at"),
    action: string(row[names.action], row, "action") as AuditAction,
    keyId: string(row[names.keyId], row, "keyId"),
    ownerId: string(row[names.ownerId], row, "ownerId"),
    actor: stringOrNull(row[names.actor], row, "actor"),
    details: object(row[names.details], row, "details"),
  });
}

/** Creates the error for an insert whose `createdByKey` is revoked or missing. */
export function createCreatorError(): KeyStateError {
  return new KeyStateError("The key that would create this key is revoked or does not exist");
}

/**
 * Milliseconds since 1970: how every database stores a date.
 *
 * @throws TypeError if `date` is not a valid Date.
 */
export function encodeTime(date: Date): number {
  const time = date instanceof Date ? date.getTime() : Number.NaN;
  if (Number.isNaN(time)) throw new TypeError("A date of a key record is not a valid Date");
  return time;
}

/** Parses JSON. Returns `undefined` for anything that is not JSON. */
export function parseJson(text: unknown): unknown {
  try {
    return JSON.parse(text as string);
  } catch {
    return undefined; // the caller reports it, without the text
  }
}

/** Returns an array of strings, frozen, or `undefined` for anything else. */
export function toStringList(value: unknown): readonly string[] | undefined {
  const isList = Array.isArray(value) && value.every((item) => typeof item === "string");
  return isList ? Object.freeze(value as string[]) : undefined;
}

const MAX_CACHED_BYTES = 16 * 1_024 * 1_024;
// Estimates, with the text, its strings, and the networks that a verifier compiles.
const BYTES_PER_LIST = 1_024;
const BYTES_PER_CHARACTER = 5;

/**
 * Creates a parser of JSON arrays of strings in rows with an owner. Equal texts return one frozen array, because a
 * verifier compiles each allowlist array once.
 */
export function createListParser(
  ownerName: string,
): (json: string, row: StoredRow) => readonly string[] | undefined {
  const lists = createSharedCache<readonly string[]>(MAX_CACHED_BYTES);
  return (json, row) => {
    const cached = lists.get(json);
    if (cached !== undefined) return cached;
    const list = toStringList(parseJson(json));
    const bytes = BYTES_PER_LIST + BYTES_PER_CHARACTER * json.length;
    if (list !== undefined) lists.set(json, list, String(row[ownerName]), bytes);
    return list;
  };
}

/** Whether a value is a JSON object. */
export function isJsonObject(value: unknown): value is StoredRow {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** Reads the cell of a member. The row and the member are for the error message. */
type CellReader<Member, T> = (cell: unknown, row: StoredRow, member: Member) => T;

/** Creates the functions that read cells by type. They throw a StoreError for a value of another type. */
function createReaders<Member extends string>(format: StoredFormat<Member>) {
  const unreadable: CellReader<Member, never> = (_, row, member) => {
    const id = row.id;
    const owner = typeof id === "string" ? ` of ${JSON.stringify(id)}` : "";
    throw new StoreError(`The ${format.label} "${format.names[member]}"${owner} cannot be read`);
  };

  const orNull =
    <T>(read: CellReader<Member, T>): CellReader<Member, T | null> =>
    (cell, row, member) =>
      cell === null ? null : read(cell, row, member);

  const string: CellReader<Member, string> = (cell, row, member) =>
    typeof cell === "string" ? cell : unreadable(cell, row, member);

  const integer: CellReader<Member, number> = (cell, row, member) => {
    const value = format.integer(cell);
    return Number.isSafeInteger(value) ? (value as number) : unreadable(cell, row, member);
  };

  const date: CellReader<Member, Date> = (cell, row, member) => {
    const value = new Date(integer(cell, row, member));
    return Number.isNaN(value.getTime()) ? unreadable(cell, row, member) : value;
  };

  const list: CellReader<Member, readonly string[]> = (cell, row, member) =>
    format.list(cell, row) ?? unreadable(cell, row, member);

  const object: CellReader<Member, StoredRow> = (cell, row, member) => {
    const value = format.object(cell);
    return isJsonObject(value) ? value : unreadable(cell, row, member);
  };

  const rateLimit: CellReader<Member, RateLimit> = (cell, row, member) => {
    const { limit, windowSeconds } = object(cell, row, member);
    return Number.isFinite(limit) && Number.isFinite(windowSeconds)
      ? { limit: limit as number, windowSeconds: windowSeconds as number }
      : unreadable(cell, row, member);
  };

  return {
    string,
    stringOrNull: orNull(string),
    /** A member that is absent in JSON of earlier versions. */
    addedOrNull: ((cell, row, member) =>
      cell === undefined || cell === null ? null : string(cell, row, member)) as CellReader<
      Member,
      string | null
    >,
    integer,
    date,
    dateOrNull: orNull(date),
    list,
    listOrNull: orNull(list),
    object,
    objectOrNull: orNull(object),
    rateLimitOrNull: orNull(rateLimit),
  };
}
