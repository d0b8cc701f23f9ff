import {
  type AuditEntry,
  CHANGEABLE_MEMBERS,
  type KeyChange,
  type KeyHash,
  type KeyRecord,
  StoreError,
} from "../../kit.js";
import {
  createAuditDecoder,
  createKeyDecoder,
  createListParser,
  encodeTime,
  parseJson,
  type StoredFormat,
  type StoredRow,
} from "../record-codec.js";
import {
  AUDIT_COLUMNS,
  type AuditRow,
  type ColumnKind,
  type Columns,
  KEY_COLUMNS,
  type KeyRow,
} from "./schema.js";

/** The row of a new key. */
export function encodeKey(record: KeyRecord): KeyRow {
  return encodeMembers(record, KEY_COLUMNS, Object.keys(KEY_COLUMNS) as (keyof KeyRecord)[]) as KeyRow;
}

/** The columns that a change sets. */
export function encodeChange(change: KeyChange): Partial<KeyRow> {
  const given = CHANGEABLE_MEMBERS.filter((member) => change[member] !== undefined);
  return encodeMembers(change, KEY_COLUMNS, given);
}

/** The column of a new hash. */
export function encodeHash(hash: KeyHash): string {
  return encodeString(hash, "hash", MAX_BYTES.word);
}

/** The row of an audit entry. */
export function encodeAudit(entry: AuditEntry): AuditRow {
  return encodeMembers(entry, AUDIT_COLUMNS, Object.keys(AUDIT_COLUMNS) as (keyof AuditEntry)[]) as AuditRow;
}

/** Creates the function that decodes rows of the key table. */
export function createRowDecoder(): (row: StoredRow) => KeyRecord {
  return createKeyDecoder(formatOf(KEY_COLUMNS));
}

/**
 * Whether every database can store a string unchanged. PostgreSQL rejects NUL characters, and lone surrogates have no
 * UTF-8 encoding.
 */
export function isStorable(text: string): boolean {
  return !/\0|\p{Cs}/u.test(text);
}

// Some databases truncate longer values, and all of them limit the size of an index entry. 1,020 bytes hold the longest
// id that a manager accepts.
const MAX_BYTES = { word: 1_020, text: 2 ** 24 - 1 };

const encodeJson = (value: unknown, column: string) =>
  encodeString(JSON.stringify(value), column, MAX_BYTES.text);

const ENCODERS: Record<ColumnKind, (value: never, column: string) => unknown> = {
  word: (value, column) => encodeString(value, column, MAX_BYTES.word),
  text: (value, column) => encodeString(value, column, MAX_BYTES.text),
  integer: (value) => value,
  time: encodeTime,
  json: encodeJson,
  list: encodeJson,
};

function encodeMembers<Member extends string>(
  members: { readonly [M in Member]?: unknown },
  columns: Columns<Member>,
  names: readonly Member[],
): Record<string, unknown> {
  const row: Record<string, unknown> = {};
  for (const name of names) {
    const [column, kind] = columns[name];
    const value = members[name] ?? null;
    row[column] = value === null ? null : ENCODERS[kind](value as never, column);
  }
  return row;
}

function encodeString(text: unknown, column: string, maxBytes: number): string {
  if (typeof text !== "string") throw new StoreError(`The column "${column}" must be a string`);
  if (Buffer.byteLength(text) > maxBytes) {
    throw new StoreError(`The column "${column}" must be at most ${maxBytes} bytes`);
  }
  if (!isStorable(text)) {
    throw new StoreError(`The column "${column}" cannot store NUL characters or lone surrogates`);
  }
  return text;
}

/** The format of a table with these columns. */
function formatOf<Member extends string>(columns: Columns<Member>): StoredFormat<Member> {
  const columnOf = ([member, [column]]: [string, Columns[string]]) => [member, column];
  const names = Object.fromEntries(Object.entries<Columns[string]>(columns).map(columnOf));
  const parseList = createListParser(names.ownerId);
  return {
    names,
    label: "column",
    integer: toNumber,
    list: (cell, row) => (typeof cell === "string" ? parseList(cell, row) : undefined),
    object: (cell) => (typeof cell === "string" ? parseJson(cell) : undefined),
  };
}

/** Drivers return a 64-bit integer as a number, a bigint or a string of digits. */
function toNumber(value: unknown): unknown {
  const isEncoded = typeof value === "bigint" || (typeof value === "string" && /^-?\d{1,16}$/.test(value));
  return isEncoded ? Number(value) : value;
}

/** Decodes a row of the audit table. */
export const decodeAudit: (row: StoredRow) => AuditEntry = createAuditDecoder(formatOf(AUDIT_COLUMNS));
