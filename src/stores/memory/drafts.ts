import { isDeepStrictEqual } from "node:util";
import type { AuditEntry, KeyChange, KeyRecord } from "../../kit.js";

// What the caller gives is read here, whole, before any of it is written: what cannot be kept is refused and
// leaves nothing behind. A draft has nothing of the caller's that could still change.

/** A key record in the parts that a table keeps. Moments are milliseconds since 1970. */
export interface KeyDraft {
  readonly id: string;
  readonly hash: string;
  readonly version: number;
  readonly ownerId: string;
  /** A {@link Kind} as JSON. */
  readonly kind: string;
  /** The last four characters of its start, a byte each; 0 if they are with the kind. */
  readonly startTail: number;
  /** As JSON. */
  readonly ipAllowlist: string | null;
  readonly createdAt: number;
  readonly updatedAt: number;
  readonly expiresAt: number | null;
  readonly lastUsedAt: number | null;
  readonly disabledAt: number | null;
  readonly revokedAt: number | null;
  readonly rotatedAt: number | null;
  readonly rare: Rare | undefined;
}

/** What many keys have in common. */
export interface Kind {
  readonly environment: string | null;
  readonly scopes: readonly string[];
  /** The start of their secrets without its last four characters. */
  readonly startLead: string;
}

/** What most keys have nothing of. */
export type Rare = Pick<
  KeyRecord,
  "name" | "rateLimit" | "metadata" | "revokedReason" | "replacedBy" | "replaces"
>;

/** @throws TypeError for a record with a date that is none, or anything else that could not be answered again. */
export function draftKey(record: KeyRecord): KeyDraft {
  if (!Number.isSafeInteger(record.version)) return refuse("version", "a whole number");
  const [startLead, startTail] = splitStart(text("start", record.start));
  const kind: Kind = {
    environment: textOrNull("environment", record.environment),
    scopes: list("scopes", record.scopes),
    startLead,
  };
  const ipAllowlist = record.ipAllowlist ?? null;
  return {
    id: text("id", record.id),
    hash: text("hash", record.hash),
    version: record.version,
    ownerId: text("ownerId", record.ownerId),
    kind: JSON.stringify(kind),
    startTail,
    ipAllowlist: ipAllowlist && JSON.stringify(list("ipAllowlist", ipAllowlist)),
    createdAt: moment("createdAt", record.createdAt),
    updatedAt: moment("updatedAt", record.updatedAt),
    expiresAt: momentOrNull("expiresAt", record.expiresAt),
    lastUsedAt: momentOrNull("lastUsedAt", record.lastUsedAt),
    disabledAt: momentOrNull("disabledAt", record.disabledAt),
    revokedAt: momentOrNull("revokedAt", record.revokedAt),
    rotatedAt: momentOrNull("rotatedAt", record.rotatedAt),
    rare: rareOf(record),
  };
}

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

/** The next version of a record. A member that the change leaves out, or that may not change, stays as it is. */
export function draftChange(record: KeyRecord, change: KeyChange): KeyDraft {
  const told = Object.entries(change).filter(
    ([member, value]) => Object.hasOwn(CHANGEABLE, member) && value !== undefined,
  );
  return draftKey({ ...record, ...Object.fromEntries(told), version: record.version + 1 });
}

/** An audit entry in the parts that a table keeps. */
export interface EntryDraft {
  readonly id: string;
  readonly at: number;
  readonly action: string;
  readonly keyId: string;
  readonly ownerId: string;
  readonly actor: string | null;
  /** As JSON, or what JSON would not bring back as it was. */
  readonly details: string | { readonly clone: unknown };
}

/** @throws TypeError for an entry with a date that is none, or with texts that are none. */
export function draftEntry({ id, at, action, keyId, ownerId, actor, details }: AuditEntry): EntryDraft {
  return {
    id: text("id", id),
    at: moment("at", at),
    action: text("action", action),
    keyId: text("keyId", keyId),
    ownerId: text("ownerId", ownerId),
    actor: textOrNull("actor", actor),
    details: jsonOf(details) ?? { clone: structuredClone(details) },
  };
}

/** The time of a date. @throws TypeError for an invalid one: it must not be kept as none. */
export function moment(member: string, date: unknown): number {
  const time = date instanceof Date ? date.getTime() : Number.NaN;
  return Number.isNaN(time) ? refuse(member, "a valid Date") : time;
}

function momentOrNull(member: string, date: Date | null | undefined): number | null {
  return date === null || date === undefined ? null : moment(member, date);
}

function text(member: string, value: unknown): string {
  return typeof value === "string" ? value : refuse(member, "a text");
}

function textOrNull(member: string, value: unknown): string | null {
  return value === null || value === undefined ? null : text(member, value);
}

function list(member: string, value: unknown): readonly string[] {
  if (!Array.isArray(value)) return refuse(member, "a list of texts");
  return Array.from(value, (item) => text(member, item));
}

function rareOf(record: KeyRecord): Rare | undefined {
  const rare: Rare = {
    name: record.name ?? null,
    rateLimit: record.rateLimit ?? null,
    metadata: record.metadata ?? null,
    revokedReason: record.revokedReason ?? null,
    replacedBy: record.replacedBy ?? null,
    replaces: record.replaces ?? null,
  };
  if (Object.values(rare).every((value) => value === null)) return undefined;
  return frozen(structuredClone(rare)); // a clone's texts are its own, too
}

/** Freezes an object, and the plain objects and lists in it. */
function frozen<T>(value: T): T {
  if (typeof value !== "object" || value === null) return value;
  if (!Array.isArray(value) && Object.getPrototypeOf(value) !== Object.prototype) return value;
  for (const member of Object.values(value)) frozen(member);
  return Object.freeze(value);
}

function jsonOf(value: unknown): string | undefined {
  try {
    const json = JSON.stringify(value);
    return isDeepStrictEqual(JSON.parse(json), value) ? json : undefined;
  } catch {
    return undefined; // a bigint, or a circle
  }
}

const TAIL = 4;

/** So cut, the starts of most secrets have one lead in common: `ezt_live_` and `ab12`. */
function splitStart(start: string): [lead: string, tail: number] {
  const begin = start.length - TAIL;
  const codes = Array.from({ length: TAIL }, (_, index) => start.charCodeAt(begin + index));
  const tail = codes.reduce((bytes, code) => bytes * 256 + code, 0);
  return tail > 0 && codes.every((code) => code < 256) ? [start.slice(0, begin), tail] : [start, 0];
}

/** The characters that {@link KeyDraft.startTail} stands for. */
export function tailText(tail: number): string {
  if (tail === 0) return "";
  return String.fromCharCode(tail >>> 24, (tail >>> 16) & 255, (tail >>> 8) & 255, tail & 255);
}

function refuse(member: string, kind: string): never {
  throw new TypeError(`The member "${member}" must be ${kind}`);
}
