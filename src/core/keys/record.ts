import { deepFreeze } from "../../internal/freeze.js";
import { isNonEmptyString } from "../../internal/validate.js";
import type { KeyHash } from "./hash.js";

/** Every {@link KeyStatus}. */
export const KEY_STATUSES = ["active", "disabled", "suspended", "expired", "revoked", "retiring"] as const;

/**
 * Whether a key works, and if not, why. `suspended`: its owner is suspended. `retiring`: rotated, but still valid until its
 * overlap ends.
 */
export type KeyStatus = (typeof KEY_STATUSES)[number];

/** JSON values that the host service keeps with a key, by name. */
export type KeyMetadata = Readonly<Record<string, unknown>>;

/** A rate limit of one key. */
export interface RateLimit {
  /** Requests allowed in a window. */
  readonly limit: number;
  /** Length of a window in seconds. */
  readonly windowSeconds: number;
}

/** The stored form of a key. The manager writes every member; `null` means not set. */
export interface KeyRecord {
  /** Never changes; safe to log. */
  readonly id: string;
  /** The hash of the secret; unique. */
  readonly hash: KeyHash;
  /** Grows by one with each change; compare-and-set compares it. `touch` does not change it. */
  readonly version: number;
  /** The company, user or project of the host service that the key belongs to. */
  readonly ownerId: string;
  /** The environment in the secret. */
  readonly environment: string | null;
  /** The first characters of the secret, for display. */
  readonly start: string;
  readonly name: string | null;
  /** The granted scopes, without the scopes that they imply. */
  readonly scopes: readonly string[];
  /** Networks that may use the key. `null` allows all, an empty array none. */
  readonly ipAllowlist: readonly string[] | null;
  readonly rateLimit: RateLimit | null;
  readonly metadata: KeyMetadata | null;
  readonly createdAt: Date;
  readonly updatedAt: Date;
  /** The key is expired from this time on. */
  readonly expiresAt: Date | null;
  /** Written in batches, so it may lag by a minute. */
  readonly lastUsedAt: Date | null;
  readonly disabledAt: Date | null;
  /** When the owner was suspended. Written by `suspendOwner` and `resumeOwner` of the store only. */
  readonly suspendedAt: Date | null;
  /** Who disabled the key. Only an operator can enable a key that an operator disabled; `null` counts as operator. */
  readonly disabledBy: "owner" | "operator" | null;
  readonly revokedAt: Date | null;
  readonly revokedReason: string | null;
  /** When the key was replaced by a successor. */
  readonly rotatedAt: Date | null;
  /** The id of the successor that a rotation created. */
  readonly replacedBy: string | null;
  /** The id of the key that this one replaced in a rotation. */
  readonly replaces: string | null;
  /** The id of the first key of the rotation chain, for which rate limits count. `null` if it is this key. */
  readonly rotationRoot: string | null;
  /** The actor of the creation. A successor has that of the key that it replaced, except as in `createdByKey`. */
  readonly createdBy: string | null;
  /**
   * The id of the key that created this one. A successor has that of the key that it replaced, unless another key asked
   * for the rotation: then it is that key.
   */
  readonly createdByKey: string | null;
}

/**
 * The minimum that a lookup must return: a {@link KeyRecord} with only `id`, `hash`, `ownerId` and `scopes` required.
 * A member that is absent, `undefined` or `null` is not set: no allowlist, no expiry, not disabled, not revoked.
 * Return every member that your table has a column for.
 */
export type VerifiableRecord = Pick<KeyRecord, "id" | "ownerId" | "scopes"> & {
  /** The hash as stored, to be compared again; not the hash passed to the lookup. */
  readonly hash: string;
} & {
  readonly [Member in Exclude<keyof KeyRecord, "id" | "hash" | "ownerId" | "scopes">]?:
    | KeyRecord[Member]
    | null
    | undefined;
};

/** Every member of a {@link KeyRecord}. */
export const RECORD_MEMBERS: readonly (keyof KeyRecord)[] = [
  "id",
  "hash",
  "version",
  "ownerId",
  "environment",
  "start",
  "name",
  "scopes",
  "ipAllowlist",
  "rateLimit",
  "metadata",
  "createdAt",
  "updatedAt",
  "expiresAt",
  "lastUsedAt",
  "disabledAt",
  "suspendedAt",
  "disabledBy",
  "revokedAt",
  "revokedReason",
  "rotatedAt",
  "replacedBy",
  "replaces",
  "rotationRoot",
  "createdBy",
  "createdByKey",
];

/** The public view of a key: a {@link KeyRecord} without hash, and with its status. */
export type ApiKey = Omit<KeyRecord, "hash" | "version" | "createdAt" | "updatedAt"> & {
  readonly status: KeyStatus;
  /** `null` if the store does not return it, here and below. */
  readonly version: number | null;
  readonly createdAt: Date | null;
  readonly updatedAt: Date | null;
};

/**
 * Returns the status of a key at a time in milliseconds since 1970. Values that cannot be read count against the key:
 * a `revokedAt`, `suspendedAt` or `disabledAt` that is not a date, an invalid expiry, an invalid clock.
 */
export function keyStatus(record: VerifiableRecord, now: number): KeyStatus {
  if (isPresent(record.revokedAt)) return "revoked";
  if (isPresent(record.suspendedAt)) return "suspended";
  if (isPresent(record.disabledAt)) return "disabled";
  if (isExpired(record, now)) return "expired";
  return isPresent(record.rotatedAt) ? "retiring" : "active";
}

/** Whether the expiry of a key has passed, even if the key is also disabled or revoked. */
export function isExpired({ expiresAt }: Pick<VerifiableRecord, "expiresAt">, now: number): boolean {
  return isPresent(expiresAt) && !(now < timeOf(expiresAt)); // true if either is NaN
}

/** Whether a value from a store has the shape of a record. Dates are checked when they are used. */
export function isReadableRecord(value: unknown): value is VerifiableRecord {
  if (typeof value !== "object" || value === null) return false;
  try {
    const { id, hash, ownerId, scopes, ipAllowlist, environment } = value as Record<keyof KeyRecord, unknown>;
    return (
      isNonEmptyString(id) &&
      isNonEmptyString(hash) &&
      isNonEmptyString(ownerId) &&
      Array.isArray(scopes) &&
      (!isPresent(ipAllowlist) || Array.isArray(ipAllowlist)) &&
      (!isPresent(environment) || isNonEmptyString(environment))
    );
  } catch {
    return false; // a getter may throw
  }
}

/** Returns the public view of a record: frozen, and without references to the record. */
export function toApiKey(record: VerifiableRecord, now: number): ApiKey {
  return deepFreeze({
    id: record.id,
    version: record.version ?? null,
    ownerId: record.ownerId,
    name: record.name ?? null,
    start: record.start ?? "",
    environment: record.environment ?? null,
    status: keyStatus(record, now),
    scopes: [...record.scopes],
    ipAllowlist: record.ipAllowlist ? [...record.ipAllowlist] : null,
    rateLimit: copyJson(record.rateLimit),
    metadata: copyJson(record.metadata),
    createdAt: copyDate(record.createdAt),
    updatedAt: copyDate(record.updatedAt),
    expiresAt: copyDate(record.expiresAt),
    lastUsedAt: copyDate(record.lastUsedAt),
    disabledAt: copyDate(record.disabledAt),
    suspendedAt: copyDate(record.suspendedAt),
    disabledBy: record.disabledBy ?? null,
    revokedAt: copyDate(record.revokedAt),
    revokedReason: record.revokedReason ?? null,
    rotatedAt: copyDate(record.rotatedAt),
    replacedBy: record.replacedBy ?? null,
    replaces: record.replaces ?? null,
    rotationRoot: record.rotationRoot ?? null,
    createdBy: record.createdBy ?? null,
    createdByKey: record.createdByKey ?? null,
  });
}

/** Whether a member of a record is set. Stores may return `null` or `undefined` for a member that is not. */
export function isPresent<T>(value: T | null | undefined): value is T {
  return value !== null && value !== undefined;
}

/** Returns the milliseconds of a date since 1970; `NaN` for any other value. Never throws. */
export function timeOf(date: unknown): number {
  return readTime(date) ?? Number.NaN;
}

/** Copies a date; returns `null` for any other value. Never throws. */
export function copyDate(date: unknown): Date | null {
  const time = readTime(date);
  return time === undefined ? null : new Date(time);
}

const { getTime } = Date.prototype;

/** A value with the prototype of a date need not be one, and may have methods of its own. */
function readTime(date: unknown): number | undefined {
  if (typeof date !== "object" || date === null) return undefined;
  try {
    return getTime.call(date);
  } catch {
    return undefined;
  }
}

function copyJson<T>(value: T | null | undefined): T | null {
  return isPresent(value) ? structuredClone(value) : null;
}
