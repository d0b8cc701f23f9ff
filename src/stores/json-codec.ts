import { deepFreeze } from "../internal/freeze.js";
import { createSharedCache } from "../internal/shared-cache.js";
import { type KeyRecord, StoreError } from "../kit.js";
import {
  createKeyDecoder,
  createListParser,
  encodeTime,
  isJsonObject,
  parseJson,
  type StoredFormat,
  toStringList,
} from "./record-codec.js";

/** The members of a record in the order in which they are written, with what is written. */
const MEMBERS: Readonly<Record<keyof KeyRecord, "json" | "time">> = {
  id: "json",
  hash: "json",
  version: "json",
  ownerId: "json",
  environment: "json",
  start: "json",
  name: "json",
  scopes: "json",
  ipAllowlist: "json",
  rateLimit: "json",
  metadata: "json",
  createdAt: "time",
  updatedAt: "time",
  expiresAt: "time",
  lastUsedAt: "time",
  disabledAt: "time",
  revokedAt: "time",
  revokedReason: "json",
  rotatedAt: "time",
  replacedBy: "json",
  replaces: "json",
  // Not in records of version 0.1. Scripts add them at the end.
  disabledBy: "json",
  rotationRoot: "json",
  createdBy: "json",
  createdByKey: "json",
};

/**
 * Encodes a record as a JSON object with one member per line. A Redis script can replace a member without parsing, and
 * no number passes through Lua, which would round it.
 *
 * @throws TypeError if a date is invalid, or JSON cannot represent the metadata.
 */
export function encodeKey(record: KeyRecord): string {
  const names = Object.keys(MEMBERS) as (keyof KeyRecord)[];
  const lines = names.map((name) => `"${name}":${encodeMember(name, record[name])}`);
  return `{${lines.join("\n,")}\n}`;
}

/** Encodes one member of a record. */
export function encodeMember(name: keyof KeyRecord, value: unknown): string {
  if (value === null || value === undefined) return "null";
  return MEMBERS[name] === "time" ? String(encodeTime(value as Date)) : JSON.stringify(value);
}

// Parsed rows take about four times the length of their text.
const MAX_CACHED_CHARACTERS = 4 * 1_024 * 1_024;
const MAX_CACHED_LENGTH = 4_096;

/** Creates a parser for {@link createRecordDecoder} that caches: parsing takes most of the time of a lookup. */
export function createRowParser(): (text: unknown) => unknown {
  const rows = createSharedCache<unknown>(MAX_CACHED_CHARACTERS);
  return (text) => {
    if (typeof text !== "string" || text.length > MAX_CACHED_LENGTH) return parseJson(text);
    const cached = rows.get(text);
    if (cached !== undefined) return cached;
    const row = deepFreeze(parseJson(text));
    if (isJsonObject(row)) rows.set(text, row, String(row.ownerId), text.length);
    return row;
  };
}

/** Creates the function that decodes records. It throws a StoreError for anything that is not one. */
export function createRecordDecoder(
  parse: (text: unknown) => unknown = parseJson,
): (text: unknown) => KeyRecord {
  const parseList = createListParser("ownerId");
  const decode = createKeyDecoder({
    ...jsonFormat(Object.keys(MEMBERS) as (keyof KeyRecord)[]),
    list: (cell, row) => (Array.isArray(cell) ? parseList(JSON.stringify(cell), row) : undefined),
  });
  return (text) => {
    const row = parse(text);
    if (!isJsonObject(row)) throw new StoreError("The record of a key cannot be read");
    return decode(row);
  };
}

/** The format of parsed JSON objects. */
export function jsonFormat<Member extends string>(members: readonly Member[]): StoredFormat<Member> {
  return {
    names: Object.fromEntries(members.map((member) => [member, member])) as Record<Member, Member>,
    label: "member",
    integer: (cell) => cell,
    list: toStringList,
    object: (cell) => cell,
  };
}
