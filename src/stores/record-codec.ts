import {
  type AuditAction,
  type AuditEntry,
  type KeyHash,
  type KeyMetadata,
  type KeyRecord,
  type RateLimit,
  StoreError,
} from "../kit.js";

/** A stored record or audit entry, by column or member. */
export type StoredRow = Readonly<Record<string, unknown>>;

/** Reads a member from a row: `null` if it is not set, `undefined` if it is missing or cannot be read. */
export type MemberReader = (row: StoredRow) => unknown;

/** How a database stores the members of records and audit entries. */
export interface StoredFormat {
  /** Creates the reader of a member. Its values are strings, numbers and parsed JSON. */
  reader(member: string): MemberReader;
  /** Creates the reader of an array of strings, which it checks. Equal arrays may be the same frozen one. */
  listReader(member: string): MemberReader;
  /** The name of a member for error messages, such as `column "owner_id"`. */
  label(member: string): string;
}

/**
 * Creates the function that decodes stored keys. A value that cannot be read is an error, because a damaged expiry or
 * allowlist must not count as absent.
 *
 * @throws StoreError that names the key and the member.
 */
export function createKeyDecoder(format: StoredFormat): (row: StoredRow) => KeyRecord {
  const { string, stringOrNull, integer, date, dateOrNull, list, listOrNull, objectOrNull } =
    createDecoders(format);
  // Created once: this runs for every lookup.
  const id = string("id");
  const hash = string("hash");
  const version = integer("version");
  const ownerId = string("ownerId");
  const environment = stringOrNull("environment");
  const start = string("start");
  const name = stringOrNull("name");
  const scopes = list("scopes");
  const ipAllowlist = listOrNull("ipAllowlist");
  const rateLimit = objectOrNull("rateLimit", toRateLimit);
  const metadata = objectOrNull<KeyMetadata>("metadata", (value) => value);
  const createdAt = date("createdAt");
  const updatedAt = date("updatedAt");
  const expiresAt = dateOrNull("expiresAt");
  const lastUsedAt = dateOrNull("lastUsedAt");
  const disabledAt = dateOrNull("disabledAt");
  const revokedAt = dateOrNull("revokedAt");
  const revokedReason = stringOrNull("revokedReason");
  const rotatedAt = dateOrNull("rotatedAt");
  const replacedBy = stringOrNull("replacedBy");
  const replaces = stringOrNull("replaces");

  return (row) => ({
    id: id(row),
    hash: hash(row) as KeyHash,
    version: version(row),
    ownerId: ownerId(row),
    environment: environment(row),
    start: start(row),
    name: name(row),
    scopes: scopes(row),
    ipAllowlist: ipAllowlist(row),
    rateLimit: rateLimit(row),
    metadata: metadata(row),
    createdAt: createdAt(row),
    updatedAt: updatedAt(row),
    expiresAt: expiresAt(row),
    lastUsedAt: lastUsedAt(row),
    disabledAt: disabledAt(row),
    revokedAt: revokedAt(row),
    revokedReason: revokedReason(row),
    rotatedAt: rotatedAt(row),
    replacedBy: replacedBy(row),
    replaces: replaces(row),
  });
}

/**
 * Creates the function that decodes stored audit entries.
 *
 * @throws StoreError that names the entry and the member.
 */
export function createAuditDecoder(format: StoredFormat): (row: StoredRow) => AuditEntry {
  const { string, stringOrNull, date, object } = createDecoders(format);
  const [id, at, action, keyId] = [string("id"), date("at"), string("action"), string("keyId")];
  const [ownerId, actor, details] = [string("ownerId"), stringOrNull("actor"), object("details")];
  return (row) => ({
    id: id(row),
    at: at(row),
    action: action(row) as AuditAction,
    keyId: keyId(row),
    ownerId: ownerId(row),
    actor: actor(row),
    details: details(row),
  });
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

/** Whether a value is a JSON object. */
export function isJsonObject(value: unknown): value is StoredRow {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function toRateLimit({ limit, windowSeconds }: StoredRow): RateLimit | undefined {
  return Number.isFinite(limit) && Number.isFinite(windowSeconds)
    ? { limit: limit as number, windowSeconds: windowSeconds as number }
    : undefined;
}

type Decoder<T> = (row: StoredRow) => T;

/** Creates decoders of members by type. They throw a StoreError for a value of another type. */
function createDecoders({ reader, listReader, label }: StoredFormat) {
  const readId = reader("id");

  const unreadable = (row: StoredRow, member: string): never => {
    const id = readId(row);
    const owner = typeof id === "string" ? ` of ${JSON.stringify(id)}` : "";
    throw new StoreError(`The ${label(member)}${owner} cannot be read`);
  };

  const required =
    <T>(member: string, read: MemberReader, convert: (value: unknown) => T | undefined): Decoder<T> =>
    (row) =>
      convert(read(row)) ?? unreadable(row, member);

  const nullable =
    <T>(member: string, read: MemberReader, convert: (value: unknown) => T | undefined): Decoder<T | null> =>
    (row) => {
      const value = read(row);
      return value === null ? null : (convert(value) ?? unreadable(row, member));
    };

  return {
    string: (member: string) => required(member, reader(member), toStringValue),
    stringOrNull: (member: string) => nullable(member, reader(member), toStringValue),
    integer: (member: string) => required(member, reader(member), toInteger),
    date: (member: string) => required(member, reader(member), toDate),
    dateOrNull: (member: string) => nullable(member, reader(member), toDate),
    list: (member: string) => required(member, listReader(member), toList),
    listOrNull: (member: string) => nullable(member, listReader(member), toList),
    object: (member: string) => required(member, reader(member), toObject),
    objectOrNull: <T>(member: string, convert: (value: StoredRow) => T | undefined) =>
      nullable(member, reader(member), (value) => (isJsonObject(value) ? convert(value) : undefined)),
  };
}

function toStringValue(value: unknown): string | undefined {
  return typeof value === "string" ? value : undefined;
}

function toInteger(value: unknown): number | undefined {
  return Number.isSafeInteger(value) ? (value as number) : undefined;
}

function toDate(value: unknown): Date | undefined {
  const date = new Date(toInteger(value) ?? Number.NaN);
  return Number.isNaN(date.getTime()) ? undefined : date;
}

function toList(value: unknown): readonly string[] | undefined {
  return Array.isArray(value) ? value : undefined;
}

function toObject(value: unknown): StoredRow | undefined {
  return isJsonObject(value) ? value : undefined;
}
