import type { Awaitable } from "../../internal/awaitable.js";
import type { KeyHash } from "./hash.js";
import type { OwnerQuota } from "./owner-quota.js";
import type { KeyRecord, KeyStatus, VerifiableRecord } from "./record.js";

/**
 * Looks keys up for a verifier. One method is enough.
 *
 * Throw (or reject) if the lookup fails; the request is then denied with 503. Return `undefined` only if there is no
 * such key.
 *
 * @example
 * const store: KeyStore = {
 *   async findByHash(hash) {
 *     const { rows } = await pool.query("select * from api_keys where hash = $1", [hash]);
 *     return rows[0] && { id: rows[0].id, hash: rows[0].hash, ownerId: rows[0].owner, scopes: rows[0].scopes,
 *       expiresAt: rows[0].expires_at, revokedAt: rows[0].revoked_at };
 *   },
 * };
 */
export interface KeyStore {
  /** Returns the key stored under this hash. Must compare the whole hash. */
  findByHash(hash: KeyHash): Awaitable<VerifiableRecord | null | undefined>;
  /**
   * Returns the keys of several hashes, in the order of the hashes. If a store has this method, lookups that wait are
   * batched: while another lookup is in flight, those of one turn of the event loop are one call, at most 32. `identify`
   * of a manager calls it with up to 500 hashes.
   */
  findManyByHash?(hashes: readonly KeyHash[]): Awaitable<readonly (VerifiableRecord | null | undefined)[]>;
  /**
   * Stores the key under the hash `to` if it is still stored under `from`; returns whether it was. Changes neither
   * version nor state. Verifiers call it in the background to move a key from an older pepper or a legacy hash to the
   * current hash. Without it, keys keep their hash and still work. A store with claims claims both hashes for the key.
   *
   * @throws if a key with the hash `to` exists, or another key claims it.
   */
  rehash?(id: string, from: KeyHash, to: KeyHash, audit: AuditEntry): Awaitable<boolean>;
  /**
   * Returns the ids of all keys that any process changed, moved to another hash or removed since the reading that
   * returned the position `since`; without it, only the current position. A change must be reported by the first reading
   * that starts after the change returned. New keys and `touch` are not reported. `cachedStore` reads it at every
   * heartbeat.
   */
  changes?(since: string | undefined): Awaitable<KeyChanges>;
}

/** The keys that were changed between two readings. */
export interface KeyChanges {
  /** Where the next reading continues. */
  readonly position: string;
  /** `"all"` if the store does not know, for example because it was restored from a backup. */
  readonly keyIds: readonly string[] | "all";
}

/**
 * The store of a manager. Every change is a compare-and-set on `version`, and its audit entry is written in the same
 * transaction.
 *
 * Every member of a record is returned as it was written, dates to the millisecond. Throw if a value cannot be written
 * or read: a date must never be replaced by `null`. `keyStoreContract` of `keybearer/testing` tests all of this.
 */
export interface ManagedKeyStore extends KeyStore {
  /** Returns the key with this id. */
  findById(id: string): Awaitable<KeyRecord | undefined>;
  /** Lists keys, newest first: ordered by creation time, then id. Continues after `cursor`. */
  list(query: KeyQuery): Awaitable<Page<KeyRecord>>;
  /**
   * Adds a key. A key with a `createdByKey` is added only if that key exists and is not revoked, in the same transaction:
   * a concurrent revocation of that key is ordered before the insert, which then fails, or after it. A store without
   * `suspendOwner` ignores `quota`, here and below.
   *
   * For an imported key, `claims` are the other hashes that its secret may have; absent for a new secret. With `claims`, the
   * key claims all of its hashes until it is removed: no other key may claim one, or be stored under one.
   *
   * @throws KeyConflictError if a key with this id or hash exists, or another key has a claimed hash, and changes nothing.
   * @throws KeyStateError if the owner is suspended, or the key `createdByKey` is revoked or does not exist, and changes
   *   nothing.
   * @throws KeyLimitError if the owner would exceed the quota, and changes nothing.
   */
  insert(
    record: KeyRecord,
    audit: AuditEntry,
    quota?: OwnerQuota,
    claims?: readonly KeyHash[],
  ): Awaitable<void>;
  /**
   * Applies the change and sets the version to `ifVersion + 1`, if the key still has version `ifVersion`. Returns
   * whether it had. The manager passes a quota only with a change that adds to the owner.
   *
   * @throws KeyStateError, with a quota, if the owner is suspended, and changes nothing.
   * @throws KeyLimitError if the owner would exceed the quota, and changes nothing.
   */
  update(
    id: string,
    ifVersion: number,
    change: KeyChange,
    audit: AuditEntry,
    quota?: OwnerQuota,
  ): Awaitable<boolean>;
  /**
   * Does the same as `update` and inserts the successor, in one transaction. `createdByKey` of the successor is not
   * checked.
   *
   * @throws KeyConflictError if a key with the id or hash of the successor exists, and changes nothing.
   * @throws KeyStateError if the owner is suspended, and changes nothing.
   * @throws KeyLimitError if the owner would exceed the quota, and changes nothing.
   */
  replace(
    id: string,
    ifVersion: number,
    change: KeyChange,
    successor: KeyRecord,
    audit: AuditEntry,
    quota?: OwnerQuota,
  ): Awaitable<boolean>;
  /** Moves `lastUsedAt` of each id forward, never back. Changes neither version nor state. */
  touch(uses: ReadonlyMap<string, Date>): Awaitable<void>;
  /** Lists audit entries, newest first: ordered by time, then id. Continues after `cursor`. */
  auditTrail(query: AuditQuery): Awaitable<Page<AuditEntry>>;
  /**
   * Deletes the key if it still has version `ifVersion`; returns whether it had. Its audit trail stays. Required for
   * `purge` of a manager.
   */
  remove?(id: string, ifVersion: number, audit: AuditEntry): Awaitable<boolean>;
  /**
   * Writes audit entries that belong to no change, in one transaction. Skips entries with an id that exists, so that a
   * failed call can be repeated. Required for `auditLog` of `keybearer/observers`.
   */
  appendAudit?(entries: readonly AuditEntry[]): Awaitable<void>;
  /**
   * Suspends an owner at the time of the audit entry, in one transaction: sets `suspendedAt` of its keys that are neither
   * revoked nor expired, adds 1 to their versions, and rejects new keys of the owner from then on. A key that is inserted
   * concurrently is either suspended too or rejected. `changes` then returns `"all"` or the ids of the keys. Returns
   * whether the owner was not suspended before. Required, together with `resumeOwner`, for the same methods of a manager
   * and for its ceilings.
   */
  suspendOwner?(ownerId: string, audit: AuditEntry): Awaitable<boolean>;
  /**
   * Ends a suspension: sets `suspendedAt` of all keys of the owner that are not revoked to `null`, adds 1 to their versions,
   * and allows new keys. Returns whether the owner was suspended.
   */
  resumeOwner?(ownerId: string, audit: AuditEntry): Awaitable<boolean>;
}

/** The members of a record that `update` and `replace` may change. */
export const CHANGEABLE_MEMBERS = [
  "name",
  "ipAllowlist",
  "rateLimit",
  "metadata",
  "updatedAt",
  "expiresAt",
  "disabledAt",
  "disabledBy",
  "revokedAt",
  "revokedReason",
  "rotatedAt",
  "replacedBy",
  "replaces",
] as const;

/** A change of a record. Members that are absent or `undefined` stay as they are. */
export type KeyChange = Partial<Pick<KeyRecord, (typeof CHANGEABLE_MEMBERS)[number]>>;

/** Which keys to list. */
export interface KeyQuery {
  readonly ownerId?: string | undefined;
  readonly environment?: string | undefined;
  readonly status?: KeyStatus | undefined;
  /** Only keys that this key created. */
  readonly createdByKey?: string | undefined;
  /**
   * Only keys whose name contains this string, or whose start begins with it. Letters from A to Z match in upper and lower
   * case; other letters may.
   */
  readonly search?: string | undefined;
  /**
   * Only keys that were revoked or expired at this time or before. Only `purge` of a manager sets it, so a store without
   * `remove` may ignore it.
   */
  readonly endedBefore?: Date | undefined;
  /** The time at which `status` is evaluated. */
  readonly now: Date;
  readonly cursor?: string | undefined;
  readonly limit: number;
}

/** Which audit entries to list. */
export interface AuditQuery {
  readonly keyId?: string | undefined;
  readonly ownerId?: string | undefined;
  readonly actor?: string | undefined;
  readonly cursor?: string | undefined;
  readonly limit: number;
}

/** One page of a list. The last page has no `nextCursor`. */
export interface Page<T> {
  readonly items: readonly T[];
  readonly nextCursor?: string | undefined;
  /** The ids of items of this page that are stored but cannot be read. They are missing from `items`. */
  readonly damaged?: readonly string[] | undefined;
}

/** Every {@link AuditAction}. */
export const AUDIT_ACTIONS = [
  "created",
  "imported",
  "updated",
  "disabled",
  "enabled",
  "revoked",
  "rotated",
  "rehashed",
  "purged",
  "suspended",
  "resumed",
  "leaked",
  "notified",
  "used",
] as const;

/**
 * What happened to a key. `rehashed`: it moved to the current pepper or hash. `purged`: its record was deleted.
 * `suspended` and `resumed`: what happened to its owner; the entry belongs to no key and has an empty `keyId`. `leaked`:
 * its secret was reported as found. `notified`: a webhook about it was delivered. `used`: a request required a scope that is marked `audit`; if it was denied, `details`
 * has the `code`.
 */
export type AuditAction = (typeof AUDIT_ACTIONS)[number];

/** An entry of the audit trail. Never holds a secret or a hash. */
export interface AuditEntry {
  readonly id: string;
  readonly at: Date;
  readonly action: AuditAction;
  readonly keyId: string;
  readonly ownerId: string;
  /** Who did it, as named by the host service. */
  readonly actor: string | null;
  /** What changed, such as the reason of a revocation or the names of the changed members. */
  readonly details: Readonly<Record<string, unknown>>;
}
