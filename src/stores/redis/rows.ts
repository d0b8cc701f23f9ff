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
import { placeToWrite, readPlace, writeTime } from "./layout.js";

/** Everything that a record has, in the order in which it is written. */
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

/**
 * A record as a text: an object of JSON with one member in each line. So a script can put another value in
 * place of one without parsing, and no number ever passes through Lua, which would round it when it prints it.
 */
export function writeKey(record: KeyRecord): string {
  const lines = namesOf(MEMBERS).map((name) => `"${name}":${writeMember(name, record[name])}`);
  return `{${lines.join("\n,")}\n}`;
}

/** The members that a change touches: each name, and behind it its JSON. */
export function writeChange(change: KeyChange): string[] {
  const given = namesOf(CHANGEABLE).filter((name) => change[name] !== undefined);
  return given.flatMap((name) => [name, writeMember(name, change[name])]);
}

function namesOf<Name extends string>(members: Readonly<Record<Name, unknown>>): Name[] {
  return Object.keys(members) as Name[];
}

function writeMember(name: keyof KeyRecord, value: unknown): string {
  if (value === null || value === undefined) return "null";
  return MEMBERS[name] === "time" ? String(writeTime(value as Date)) : JSON.stringify(value);
}

/** Where an audit entry stands in the trail, and what stands there. */
export function writeAudit(entry: AuditEntry): { readonly place: string; readonly body: string } {
  const { id, at, action, keyId, ownerId, actor, details } = entry;
  return {
    place: placeToWrite(at, id),
    body: JSON.stringify({ action, keyId, ownerId, actor: actor ?? null, details }),
  };
}

type Row = Readonly<Record<string, unknown>>;

/**
 * Makes the function that turns texts into records. What it cannot read it refuses: an expiry or an allowlist
 * that is damaged must never pass for none, and neither must one that is missing.
 *
 * It throws a StoreError that names the key and the member.
 */
export function createKeyReader(): (text: unknown) => KeyRecord {
  const share = createSharing();
  return (text) => {
    const row = parse(text);
    if (!isObject(row)) throw new StoreError("The record of a key cannot be read");
    return {
      id: required(row, "id"),
      hash: required(row, "hash") as KeyHash,
      version: integer(row, "version"),
      ownerId: required(row, "ownerId"),
      environment: optional(row, "environment"),
      start: required(row, "start"),
      name: optional(row, "name"),
      scopes: list(row, "scopes"),
      ipAllowlist: row.ipAllowlist === null ? null : share(list(row, "ipAllowlist")),
      rateLimit: rateLimit(row),
      metadata: row.metadata === null ? null : (object(row, "metadata") as KeyMetadata),
      createdAt: moment(row, "createdAt"),
      updatedAt: moment(row, "updatedAt"),
      expiresAt: momentOrNull(row, "expiresAt"),
      lastUsedAt: momentOrNull(row, "lastUsedAt"),
      disabledAt: momentOrNull(row, "disabledAt"),
      revokedAt: momentOrNull(row, "revokedAt"),
      revokedReason: optional(row, "revokedReason"),
      rotatedAt: momentOrNull(row, "rotatedAt"),
      replacedBy: optional(row, "replacedBy"),
      replaces: optional(row, "replaces"),
    };
  };
}

/** Turns what stands in a trail into its entry. @throws StoreError for one that cannot be read. */
export function readAudit(text: unknown): AuditEntry {
  const [place, body] = typeof text === "string" ? text.split("\n", 2) : [];
  const { at, id } = readPlace(place ?? "") ?? {};
  const row: Row = { ...(parse(body) as object), id, at: at?.getTime() };
  return {
    id: required(row, "id"),
    at: moment(row, "at"),
    action: required(row, "action") as AuditAction,
    keyId: required(row, "keyId"),
    ownerId: required(row, "ownerId"),
    actor: optional(row, "actor"),
    details: object(row, "details"),
  };
}

const MAX_LISTS = 1_000;

/** Lets equal lists be one frozen list: a verifier compiles an allowlist once for as long as it meets it. */
function createSharing(): (list: readonly string[]) => readonly string[] {
  const known = new Map<string, readonly string[]>();
  return (list) => {
    const text = JSON.stringify(list);
    const shared = known.get(text);
    if (shared !== undefined) return shared;
    if (known.size >= MAX_LISTS) known.delete(known.keys().next().value as string);
    known.set(text, Object.freeze(list));
    return list;
  };
}

function optional(row: Row, name: string): string | null {
  const value = row[name];
  return value === null || typeof value === "string" ? value : refuse(row, name);
}

function required(row: Row, name: string): string {
  return optional(row, name) ?? refuse(row, name);
}

function integer(row: Row, name: string): number {
  const value = row[name];
  return Number.isSafeInteger(value) ? (value as number) : refuse(row, name);
}

function moment(row: Row, name: string): Date {
  const date = new Date(integer(row, name));
  return Number.isNaN(date.getTime()) ? refuse(row, name) : date;
}

function momentOrNull(row: Row, name: string): Date | null {
  return row[name] === null ? null : moment(row, name);
}

function list(row: Row, name: string): readonly string[] {
  const value = row[name];
  return Array.isArray(value) && value.every((item) => typeof item === "string") ? value : refuse(row, name);
}

function object(row: Row, name: string): Row {
  const value = row[name];
  return isObject(value) ? value : refuse(row, name);
}

function rateLimit(row: Row): RateLimit | null {
  if (row.rateLimit === null) return null;
  const { limit, windowSeconds } = object(row, "rateLimit");
  return Number.isFinite(limit) && Number.isFinite(windowSeconds)
    ? { limit: limit as number, windowSeconds: windowSeconds as number }
    : refuse(row, "rateLimit");
}

function parse(text: unknown): unknown {
  try {
    return JSON.parse(text as string);
  } catch {
    // Told by the caller, without the text: it may be anything.
    return undefined;
  }
}

function isObject(value: unknown): value is Row {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function refuse(row: Row, name: string): never {
  const whose = typeof row.id === "string" ? ` of ${JSON.stringify(row.id)}` : "";
  throw new StoreError(`The member "${name}"${whose} cannot be read`);
}
