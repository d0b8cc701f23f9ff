import { deepFreeze } from "../../internal/freeze.js";
import { isNonEmptyString } from "../../internal/validate.js";
import type { KeyHash } from "./hash.js";

/** Whether a key works, and if not, why. `retiring`: rotated, and its overlap still runs. */
export type KeyStatus = "active" | "disabled" | "expired" | "revoked" | "retiring";

/** What the host wants to keep with a key: JSON values, by name. */
export type KeyMetadata = Readonly<Record<string, unknown>>;

/** The limit that a key carries: so many requests in a window. */
export interface RateLimit {
  /** Requests. */
  readonly limit: number;
  /** Seconds. */
  readonly windowSeconds: number;
}

/** What a store keeps of a key. The manager writes every member; `null` stands for none. */
export interface KeyRecord {
  /** Stays the same for the life of the key; safe to log. */
  readonly id: string;
  /** What the secret hashes to; unique. */
  readonly hash: KeyHash;
  /** Grows by one with each change of state; what compare-and-set compares. `touch` leaves it alone. */
  readonly version: number;
  /** The company, user or project of the host service that the key belongs to. */
  readonly ownerId: string;
  /** The environment in its secret. */
  readonly environment: string | null;
  /** The first characters of the secret, for people to recognise it by. */
  readonly start: string;
  readonly name: string | null;
  /** The granted scopes, without what they imply. */
  readonly scopes: readonly string[];
  /** Networks that may use the key. `null`: all; an empty list: none. */
  readonly ipAllowlist: readonly string[] | null;
  readonly rateLimit: RateLimit | null;
  readonly metadata: KeyMetadata | null;
  readonly createdAt: Date;
  readonly updatedAt: Date;
  /** From this moment on the key is expired. */
  readonly expiresAt: Date | null;
  /** Written behind, so it may lag by a minute. */
  readonly lastUsedAt: Date | null;
  readonly disabledAt: Date | null;
  readonly revokedAt: Date | null;
  readonly revokedReason: string | null;
  /** When a successor took over. */
  readonly rotatedAt: Date | null;
  /** The id of the key that this one was rotated into. */
  readonly replacedBy: string | null;
  /** The id of the key that this one was rotated from. */
  readonly replaces: string | null;
}

/**
 * The least that a lookup has to answer: a {@link KeyRecord} of which only `id`, `hash`, `ownerId` and
 * `scopes` are required. A member that is absent, `undefined` or `null` stands for none: no allowlist, no
 * expiry, not disabled, not revoked. So read every column that your table has.
 */
export type VerifiableRecord = Pick<KeyRecord, "id" | "ownerId" | "scopes"> & {
  /** The hash that the store has, to be compared again; not the one that it was asked for. */
  readonly hash: string;
} & {
  readonly [Member in Exclude<keyof KeyRecord, "id" | "hash" | "ownerId" | "scopes">]?:
    | KeyRecord[Member]
    | null
    | undefined;
};

/** A key as everybody may see it: a {@link KeyRecord} without its hash and version, and with its status. */
export type ApiKey = Omit<KeyRecord, "hash" | "version" | "createdAt" | "updatedAt"> & {
  readonly status: KeyStatus;
  /** `null` when the store does not say. */
  readonly createdAt: Date | null;
  readonly updatedAt: Date | null;
};

/**
 * The state of a key at a moment in milliseconds since 1970. Anything unreadable counts against the key: a
 * mark of revocation or disablement that is no date, an expiry that is none, a clock that is none.
 */
export function keyStatus(record: VerifiableRecord, now: number): KeyStatus {
  if (isPresent(record.revokedAt)) return "revoked";
  if (isPresent(record.disabledAt)) return "disabled";
  if (isExpired(record, now)) return "expired";
  return isPresent(record.rotatedAt) ? "retiring" : "active";
}

/** Whether the expiry of a key has come, also for one that is disabled or revoked. */
export function isExpired({ expiresAt }: Pick<VerifiableRecord, "expiresAt">, now: number): boolean {
  return isPresent(expiresAt) && !(now < timeOf(expiresAt));
}

/** Whether a store's answer has the shape of a record. Its dates are read one by one, later. */
export function isReadableRecord(value: unknown): value is VerifiableRecord {
  if (typeof value !== "object" || value === null) return false;
  const { id, hash, ownerId, scopes, ipAllowlist, environment } = value as Record<keyof KeyRecord, unknown>;
  return (
    isNonEmptyString(id) &&
    isNonEmptyString(hash) &&
    isNonEmptyString(ownerId) &&
    Array.isArray(scopes) &&
    (!isPresent(ipAllowlist) || Array.isArray(ipAllowlist)) &&
    (!isPresent(environment) || isNonEmptyString(environment))
  );
}

/** The view of a record that may leave the service. Nothing in it is shared with the record. */
export function toApiKey(record: VerifiableRecord, now: number): ApiKey {
  return deepFreeze({
    id: record.id,
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
    revokedAt: copyDate(record.revokedAt),
    revokedReason: record.revokedReason ?? null,
    rotatedAt: copyDate(record.rotatedAt),
    replacedBy: record.replacedBy ?? null,
    replaces: record.replaces ?? null,
  });
}

/** Whether a member of a record is there; stores may spell its absence either way. */
export function isPresent<T>(value: T | null | undefined): value is T {
  return value !== null && value !== undefined;
}

function timeOf(date: unknown): number {
  return date instanceof Date ? date.getTime() : Number.NaN;
}

function copyDate(date: Date | null | undefined): Date | null {
  return date instanceof Date ? new Date(date) : null;
}

function copyJson<T>(value: T | null | undefined): T | null {
  return isPresent(value) ? structuredClone(value) : null;
}
