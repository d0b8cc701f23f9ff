import { memoize } from "../../internal/memoize.js";
import {
  type AuditEntry,
  CHANGEABLE_MEMBERS,
  type KeyChange,
  type KeyRecord,
  StoreError,
} from "../../kit.js";
import {
  createAuditDecoder,
  createKeyDecoder,
  encodeTime,
  isJsonObject,
  parseJson,
  type StoredFormat,
  toStringList,
} from "../record-codec.js";
import { decodePosition, encodeNewPosition } from "./layout.js";

/** The members of a record in the order in which they are written. */
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
};

/**
 * Encodes a record as a JSON object with one member per line. A script can replace a member without parsing, and no
 * number passes through Lua, which would round it.
 */
export function encodeKey(record: KeyRecord): string {
  const names = Object.keys(MEMBERS) as (keyof KeyRecord)[];
  const lines = names.map((name) => `"${name}":${encodeMember(name, record[name])}`);
  return `{${lines.join("\n,")}\n}`;
}

/** Encodes a change: the name of each member, followed by its JSON. */
export function encodeChange(change: KeyChange): string[] {
  const given = CHANGEABLE_MEMBERS.filter((name) => change[name] !== undefined);
  return given.flatMap((name) => [name, encodeMember(name, change[name])]);
}

function encodeMember(name: keyof KeyRecord, value: unknown): string {
  if (value === null || value === undefined) return "null";
  return MEMBERS[name] === "time" ? String(encodeTime(value as Date)) : JSON.stringify(value);
}

/** Encodes an audit entry: its position in the trail, and the rest as JSON. */
export function encodeAudit(entry: AuditEntry): { readonly position: string; readonly body: string } {
  const { action, keyId, ownerId, actor, details } = entry;
  return {
    position: encodeNewPosition(entry),
    body: JSON.stringify({ action, keyId, ownerId, actor: actor ?? null, details }),
  };
}

const MAX_CACHED_LISTS = 500;

/** Creates the function that decodes records. It throws a StoreError for anything that is not one. */
export function createRecordDecoder(): (text: unknown) => KeyRecord {
  // Equal lists share one frozen array, because a verifier compiles each allowlist array once.
  const share = memoize((json) => toStringList(parseJson(json)), MAX_CACHED_LISTS);
  const decode = createKeyDecoder({
    ...FORMAT,
    listReader: (member) => (row) => {
      const value = row[member];
      return Array.isArray(value) ? share(JSON.stringify(value)) : value;
    },
  });
  return (text) => {
    const row = parseJson(text);
    if (!isJsonObject(row)) throw new StoreError("The record of a key cannot be read");
    return decode(row);
  };
}

/** Decodes a member of a trail. @throws StoreError if it is not an audit entry. */
export function decodeAudit(text: unknown): AuditEntry {
  const [position = "", body] = typeof text === "string" ? text.split("\n", 2) : [];
  const { at, id } = decodePosition(position) ?? {};
  return decodeEntry({ ...(parseJson(body) as object), id, at: at?.getTime() });
}

const FORMAT: StoredFormat = {
  reader: (member) => (row) => row[member],
  listReader: (member) => (row) => toStringList(row[member]),
  label: (member) => `member "${member}"`,
};

const decodeEntry = createAuditDecoder(FORMAT);
