import { open, readFile, rename } from "node:fs/promises";
import { dirname } from "node:path";
import type { AuditAction, AuditEntry, KeyHash, KeyMetadata, KeyRecord, RateLimit } from "keybearer";

/** What the file has. */
export interface Contents {
  readonly keys: readonly KeyRecord[];
  readonly trail: readonly AuditEntry[];
}

/** @throws Error for anything that cannot be read as it was written: a lost expiry must not become none. */
export async function readContents(path: string): Promise<Contents> {
  const text = await readFile(path, "utf8").catch((error: NodeJS.ErrnoException) => {
    if (error.code === "ENOENT") return '{ "keys": [], "trail": [] }';
    throw error;
  });
  const { keys, trail } = JSON.parse(text);
  return { keys: keys.map(readKey), trail: trail.map(readEntry) };
}

/** Replaces the file as a whole: whenever the power fails, there is the old one or the new one. */
export async function writeContents(path: string, contents: Contents): Promise<void> {
  const temporary = `${path}.tmp`;
  const file = await open(temporary, "w", 0o600);
  try {
    await file.writeFile(toJson(contents));
    await file.sync();
  } finally {
    await file.close();
  }
  await rename(temporary, path);
  await syncDirectory(dirname(path));
}

/** A copy that shares nothing with the original, and is what the file would give back. */
export function copyKey(record: KeyRecord): KeyRecord {
  return readKey(JSON.parse(toJson(record)));
}

/** The same of an entry of the audit trail. */
export function copyEntry(entry: AuditEntry): AuditEntry {
  return readEntry(JSON.parse(toJson(entry)));
}

// By itself JSON writes an invalid date as null: the key would live for ever. toISOString() throws.
function toJson(value: unknown): string {
  return JSON.stringify(value, function (this: Record<string, unknown>, name, member) {
    const original = this[name];
    return original instanceof Date ? original.toISOString() : member;
  });
}

/** A rename lasts once its directory is written. */
async function syncDirectory(path: string): Promise<void> {
  if (process.platform === "win32") return; // it has no such thing
  const directory = await open(path, "r");
  try {
    await directory.sync();
  } finally {
    await directory.close();
  }
}

type Reader<T> = (value: unknown) => T;
type Readers<T> = { readonly [Member in keyof T]-?: Reader<T[Member]> };

const text: Reader<string> = (value) => (typeof value === "string" ? value : refuse());
const count: Reader<number> = (value) => (Number.isSafeInteger(value) ? (value as number) : refuse());
const list: Reader<readonly string[]> = (value) => (Array.isArray(value) ? value.map(text) : refuse());
const members = (value: unknown): object =>
  typeof value === "object" && value !== null && !Array.isArray(value) ? value : refuse();
const date: Reader<Date> = (value) => {
  const read = new Date(text(value));
  return Number.isNaN(read.getTime()) ? refuse() : read;
};
// Not for what is absent: every member of a record is written, so one that is missing was lost.
const orNull =
  <T>(read: Reader<T>): Reader<T | null> =>
  (value) =>
    value === null ? null : read(value);

// Typed so that a member which a later version adds cannot be forgotten here.
const readKey = readerOf<KeyRecord>({
  id: text,
  hash: text as Reader<KeyHash>,
  version: count,
  ownerId: text,
  environment: orNull(text),
  start: text,
  name: orNull(text),
  scopes: list,
  ipAllowlist: orNull(list),
  rateLimit: orNull(members as Reader<RateLimit>),
  metadata: orNull(members as Reader<KeyMetadata>),
  createdAt: date,
  updatedAt: date,
  expiresAt: orNull(date),
  lastUsedAt: orNull(date),
  disabledAt: orNull(date),
  revokedAt: orNull(date),
  revokedReason: orNull(text),
  rotatedAt: orNull(date),
  replacedBy: orNull(text),
  replaces: orNull(text),
});

const readEntry = readerOf<AuditEntry>({
  id: text,
  at: date,
  action: text as Reader<AuditAction>,
  keyId: text,
  ownerId: text,
  actor: orNull(text),
  details: members as Reader<AuditEntry["details"]>,
});

function readerOf<T>(readers: Readers<T>): Reader<T> {
  const entries = Object.entries(readers) as [string, Reader<unknown>][];
  return (value) => {
    const given = members(value) as Record<string, unknown>;
    return Object.fromEntries(entries.map(([name, read]) => [name, read(given[name])])) as T;
  };
}

function refuse(): never {
  throw new TypeError("A key or an audit entry has a member that cannot be kept or read");
}
