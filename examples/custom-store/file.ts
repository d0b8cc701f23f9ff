import { open, readFile, rename } from "node:fs/promises";
import { dirname } from "node:path";
import type { AuditAction, AuditEntry, KeyHash, KeyMetadata, KeyRecord, RateLimit } from "keybearer";

export interface Contents {
  readonly keys: readonly KeyRecord[];
  readonly trail: readonly AuditEntry[];
}

/**
 * Reads the file. A file that does not exist is empty.
 *
 * @throws TypeError if a member is missing or invalid. A lost expiry must not be read as no expiry.
 */
export async function readContents(path: string): Promise<Contents> {
  const text = await readFile(path, "utf8").catch((error: NodeJS.ErrnoException) => {
    if (error.code === "ENOENT") return '{ "keys": [], "trail": [] }';
    throw error;
  });
  const { keys, trail } = JSON.parse(text);
  return { keys: keys.map(readKey), trail: trail.map(readEntry) };
}

/** Replaces the file atomically. After a power failure, it has the old or the new contents. */
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

/** Returns a deep copy of a key, as it would be read from the file. */
export function copyKey(record: KeyRecord): KeyRecord {
  return readKey(JSON.parse(toJson(record)));
}

/** Returns a deep copy of an audit entry, as it would be read from the file. */
export function copyEntry(entry: AuditEntry): AuditEntry {
  return readEntry(JSON.parse(toJson(entry)));
}

// JSON.stringify writes an invalid date as null, which would remove an expiry. toISOString() throws.
function toJson(value: unknown): string {
  return JSON.stringify(value, function (this: Record<string, unknown>, name, member) {
    const original = this[name];
    return original instanceof Date ? original.toISOString() : member;
  });
}

/** Makes a rename durable. Windows cannot sync a directory. */
async function syncDirectory(path: string): Promise<void> {
  if (process.platform === "win32") return;
  const directory = await open(path, "r");
  try {
    await directory.sync();
  } finally {
    await directory.close();
  }
}

type Reader<T> = (value: unknown) => T;
type Readers<T> = { readonly [Member in keyof T]-?: Reader<T[Member]> };

const string: Reader<string> = (value) => (typeof value === "string" ? value : fail());
const integer: Reader<number> = (value) => (Number.isSafeInteger(value) ? (value as number) : fail());
const strings: Reader<readonly string[]> = (value) => (Array.isArray(value) ? value.map(string) : fail());
const object = (value: unknown): object =>
  typeof value === "object" && value !== null && !Array.isArray(value) ? value : fail();
const date: Reader<Date> = (value) => {
  const read = new Date(string(value));
  return Number.isNaN(read.getTime()) ? fail() : read;
};
// A missing member is an error: every member of a record is written, so a missing one was lost.
const orNull =
  <T>(read: Reader<T>): Reader<T | null> =>
  (value) =>
    value === null ? null : read(value);

// The type requires a reader for every member, so a member of a later version is a compile error here.
const readKey = createReader<KeyRecord>({
  id: string,
  hash: string as Reader<KeyHash>,
  version: integer,
  ownerId: string,
  environment: orNull(string),
  start: string,
  name: orNull(string),
  scopes: strings,
  ipAllowlist: orNull(strings),
  rateLimit: orNull(object as Reader<RateLimit>),
  metadata: orNull(object as Reader<KeyMetadata>),
  createdAt: date,
  updatedAt: date,
  expiresAt: orNull(date),
  lastUsedAt: orNull(date),
  disabledAt: orNull(date),
  revokedAt: orNull(date),
  revokedReason: orNull(string),
  rotatedAt: orNull(date),
  replacedBy: orNull(string),
  replaces: orNull(string),
  disabledBy: orNull(string) as Reader<KeyRecord["disabledBy"]>,
  rotationRoot: orNull(string),
  createdBy: orNull(string),
  createdByKey: orNull(string),
});

const readEntry = createReader<AuditEntry>({
  id: string,
  at: date,
  action: string as Reader<AuditAction>,
  keyId: string,
  ownerId: string,
  actor: orNull(string),
  details: object as Reader<AuditEntry["details"]>,
});

function createReader<T>(readers: Readers<T>): Reader<T> {
  const entries = Object.entries(readers) as [string, Reader<unknown>][];
  return (value) => {
    const given = object(value) as Record<string, unknown>;
    return Object.fromEntries(entries.map(([name, read]) => [name, read(given[name])])) as T;
  };
}

function fail(): never {
  throw new TypeError("A member of a key or an audit entry is missing or invalid");
}
