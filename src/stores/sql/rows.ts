import {
  type AuditAction,
  type AuditEntry,
  type KeyChange,
  type KeyHash,
  type KeyMetadata,
  type KeyRecord,
  type RateLimit,
  StoreError,
} from "../../kit.js";
import {
  AUDIT_COLUMNS,
  type AuditRow,
  type ColumnKind,
  type Columns,
  KEY_COLUMNS,
  type KeyRow,
} from "./schema.js";

/** A row as a driver answers it. */
export type RawRow = Readonly<Record<string, unknown>>;

// Everything else of a key is fixed, or has a writer of its own. Of this type, so that none can be left out.
const CHANGEABLE: Readonly<Record<keyof KeyChange, true>> = {
  name: true,
  ipAllowlist: true,
  rateLimit: true,
  metadata: true,
  updatedAt: true,
  expiresAt: true,
  disabledAt: true,
  revokedAt: true,
  revokedReason: true,
  rotatedAt: true,
  replacedBy: true,
  replaces: true,
};

/** The row of a new key. */
export function writeKey(record: KeyRecord): KeyRow {
  return writeMembers(record, KEY_COLUMNS, Object.keys(KEY_COLUMNS) as (keyof KeyRecord)[]) as KeyRow;
}

/** The columns that a change touches. */
export function writeChange(change: KeyChange): Partial<KeyRow> {
  const members = Object.keys(CHANGEABLE) as (keyof KeyChange)[];
  return writeMembers(
    change,
    KEY_COLUMNS,
    members.filter((member) => change[member] !== undefined),
  );
}

/** The hash that a key moves to. */
export function writeHash(hash: KeyHash): string {
  return writeText(hash, "hash", MAX_BYTES.word);
}

/** The row of an audit entry. */
export function writeAudit(entry: AuditEntry): AuditRow {
  return writeMembers(entry, AUDIT_COLUMNS, Object.keys(AUDIT_COLUMNS) as (keyof AuditEntry)[]) as AuditRow;
}

/**
 * Whether every database can keep a text, and find it again: PostgreSQL has no NUL characters, and half of a
 * surrogate pair has no bytes in UTF-8.
 */
export function isStorable(text: string): boolean {
  return !/\0|\p{Cs}/u.test(text);
}

/**
 * A moment as it is stored: it sorts and compares as a number, in every database alike.
 *
 * @throws TypeError for anything that is not a valid Date.
 */
export function writeTime(date: Date): number {
  const time = date instanceof Date ? date.getTime() : Number.NaN;
  if (Number.isNaN(time)) throw new TypeError("A date of a key record is not a valid Date");
  return time;
}

/**
 * Makes the function that turns rows into records. What it cannot read it refuses: an expiry or an allowlist
 * that is damaged must never pass for none.
 *
 * It throws a StoreError that names the key and the column.
 */
export function createKeyReader(): (row: RawRow) => KeyRecord {
  const readList = createListReader();
  return (row) => {
    const ipAllowlist = text(row, "ip_allowlist");
    return {
      id: required(row, "id"),
      hash: required(row, "hash") as KeyHash,
      version: integer(row, "version"),
      ownerId: required(row, "owner_id"),
      environment: text(row, "environment"),
      start: required(row, "start"),
      name: text(row, "name"),
      scopes: readList(row, "scopes", required(row, "scopes")),
      ipAllowlist: ipAllowlist === null ? null : readList(row, "ip_allowlist", ipAllowlist),
      rateLimit: readRateLimit(row),
      metadata: json(row, "metadata", isObject) as KeyMetadata | null,
      createdAt: moment(row, "created_at"),
      updatedAt: moment(row, "updated_at"),
      expiresAt: momentOrNull(row, "expires_at"),
      lastUsedAt: momentOrNull(row, "last_used_at"),
      disabledAt: momentOrNull(row, "disabled_at"),
      revokedAt: momentOrNull(row, "revoked_at"),
      revokedReason: text(row, "revoked_reason"),
      rotatedAt: momentOrNull(row, "rotated_at"),
      replacedBy: text(row, "replaced_by"),
      replaces: text(row, "replaces"),
    };
  };
}

/** Turns a row of the audit table into its entry. @throws StoreError for one that cannot be read. */
export function readAudit(row: RawRow): AuditEntry {
  return {
    id: required(row, "id"),
    at: moment(row, "at"),
    action: required(row, "action") as AuditAction,
    keyId: required(row, "key_id"),
    ownerId: required(row, "owner_id"),
    actor: text(row, "actor"),
    details: json(row, "details", isObject) ?? refuse(row, "details"),
  };
}

// Some databases cut off what is too long for a column, and all have a limit for what an index holds. 1,020
// bytes are the longest id that a manager takes, and more.
const MAX_BYTES = { word: 1_020, text: 2 ** 24 - 1 };

const WRITERS: Record<ColumnKind, (value: never, column: string) => unknown> = {
  word: (value, column) => writeText(value, column, MAX_BYTES.word),
  text: (value, column) => writeText(value, column, MAX_BYTES.text),
  integer: (value) => value,
  time: writeTime,
  json: (value, column) => writeText(JSON.stringify(value), column, MAX_BYTES.text),
};

function writeMembers<Member extends string>(
  members: { readonly [M in Member]?: unknown },
  columns: Columns<Member>,
  names: readonly Member[],
): Record<string, unknown> {
  const row: Record<string, unknown> = {};
  for (const name of names) {
    const [column, kind] = columns[name];
    const value = members[name] ?? null;
    row[column] = value === null ? null : WRITERS[kind](value as never, column);
  }
  return row;
}

function writeText(text: unknown, column: string, mostBytes: number): string {
  if (typeof text !== "string") throw new StoreError(`The column "${column}" holds texts only`);
  if (Buffer.byteLength(text) > mostBytes)
    throw new StoreError(`The column "${column}" holds at most ${mostBytes} bytes`);
  if (!isStorable(text))
    throw new StoreError(`The column "${column}" cannot hold NUL characters or lone surrogates`);
  return text;
}

const MAX_LISTS = 1_000;

/**
 * Reads lists so that equal texts share one frozen list: a verifier compiles an allowlist once for as long as
 * it meets the same one.
 */
function createListReader(): (row: RawRow, column: string, value: string) => readonly string[] {
  const known = new Map<string, readonly string[]>();
  return (row, column, value) => {
    const shared = known.get(value);
    if (shared !== undefined) return shared;
    const list = parse(value);
    if (!Array.isArray(list) || !list.every((item) => typeof item === "string")) return refuse(row, column);
    if (known.size >= MAX_LISTS) known.delete(known.keys().next().value as string);
    known.set(value, Object.freeze(list));
    return list;
  };
}

function readRateLimit(row: RawRow): RateLimit | null {
  const value = json(row, "rate_limit", isObject);
  if (value === null) return null;
  const { limit, windowSeconds } = value;
  return Number.isFinite(limit) && Number.isFinite(windowSeconds)
    ? { limit: limit as number, windowSeconds: windowSeconds as number }
    : refuse(row, "rate_limit");
}

function text(row: RawRow, column: string): string | null {
  const value = row[column];
  return value === null || typeof value === "string" ? value : refuse(row, column);
}

function required(row: RawRow, column: string): string {
  return text(row, column) ?? refuse(row, column);
}

/** Drivers answer a 64-bit integer as a number, a bigint or its digits. */
function integer(row: RawRow, column: string): number {
  const value = row[column];
  if (typeof value === "number" && Number.isSafeInteger(value)) return value;
  const readable = typeof value === "bigint" || (typeof value === "string" && /^-?\d{1,16}$/.test(value));
  const number = readable ? Number(value) : Number.NaN;
  return Number.isSafeInteger(number) ? number : refuse(row, column);
}

function moment(row: RawRow, column: string): Date {
  const date = new Date(integer(row, column));
  return Number.isNaN(date.getTime()) ? refuse(row, column) : date;
}

function momentOrNull(row: RawRow, column: string): Date | null {
  return row[column] === null ? null : moment(row, column);
}

function json<T>(row: RawRow, column: string, accepts: (value: unknown) => value is T): T | null {
  const value = text(row, column);
  if (value === null) return null;
  const parsed = parse(value);
  return accepts(parsed) ? parsed : refuse(row, column);
}

function parse(value: string): unknown {
  try {
    return JSON.parse(value);
  } catch {
    // Told by the caller, without the text: it may be anything.
    return undefined;
  }
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function refuse(row: RawRow, column: string): never {
  const whose = typeof row.id === "string" ? ` of ${JSON.stringify(row.id)}` : "";
  throw new StoreError(`The column "${column}"${whose} cannot be read`);
}
