import type { Awaitable } from "../../internal/awaitable.js";
import type { KeyHash } from "./hash.js";
import type { KeyRecord, KeyStatus, VerifiableRecord } from "./record.js";

/**
 * Where a verifier looks keys up. One method is enough.
 *
 * Throw (or reject) when the store cannot answer; the request is then refused with 503. Answer `undefined`
 * only when there is no such key.
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
  /** The key that is stored under this hash. Must compare all of the hash. */
  findByHash(hash: KeyHash): Awaitable<VerifiableRecord | null | undefined>;
  /**
   * The same for several hashes, the answers in their order. When a store has it, lookups that arrive in one
   * turn of the event loop travel together.
   */
  findManyByHash?(hashes: readonly KeyHash[]): Awaitable<readonly (VerifiableRecord | null | undefined)[]>;
  /**
   * Stores the key under the hash `to`, if it is still stored under `from`; answers whether it was. Neither
   * version nor state changes. Verifiers call it behind a request, to bring a key from an older pepper, or from
   * a hash that was imported, to the current one; without it keys stay as they are, and work.
   *
   * @throws when a key of the hash `to` exists.
   */
  rehash?(id: string, from: KeyHash, to: KeyHash, audit: AuditEntry): Awaitable<boolean>;
}

/**
 * What a manager needs of a store. Every change of state is compare-and-set on `version`, and the audit entry
 * that comes with it is written in the same transaction or not at all.
 *
 * Every member of a record comes back as it was written, dates to the millisecond. What cannot be written or
 * read is an error: a date that is lost must never become none. `keyStoreContract` of `keybearer/testing`
 * holds a store to all of this.
 */
export interface ManagedKeyStore extends KeyStore {
  /** The key of this id. */
  findById(id: string): Awaitable<KeyRecord | undefined>;
  /** Newest first, by creation and then id; continues behind `cursor`. */
  list(query: KeyQuery): Awaitable<Page<KeyRecord>>;
  /** @throws when a key of this id or hash exists. */
  insert(record: KeyRecord, audit: AuditEntry): Awaitable<void>;
  /**
   * Applies the change and sets the version to `ifVersion + 1`, if the key still has version `ifVersion`.
   * Answers whether it did.
   */
  update(id: string, ifVersion: number, change: KeyChange, audit: AuditEntry): Awaitable<boolean>;
  /** Like `update`, and inserts the successor: both or neither. */
  replace(
    id: string,
    ifVersion: number,
    change: KeyChange,
    successor: KeyRecord,
    audit: AuditEntry,
  ): Awaitable<boolean>;
  /** Moves `lastUsedAt` forward for each id, never back; touches neither version nor state. */
  touch(uses: ReadonlyMap<string, Date>): Awaitable<void>;
  /** Newest first, by time and then id; continues behind `cursor`. */
  auditTrail(query: AuditQuery): Awaitable<Page<AuditEntry>>;
  /**
   * Forgets the key, if it still has version `ifVersion`; answers whether it did. Its audit trail stays.
   * Needed by `purge` of a manager.
   */
  remove?(id: string, ifVersion: number, audit: AuditEntry): Awaitable<boolean>;
  /**
   * Writes entries that belong to no change, all of them or none; passes over those whose id it has, so that
   * it can be called again after a failure. Needed by `auditLog` of `keybearer/observers`.
   */
  appendAudit?(entries: readonly AuditEntry[]): Awaitable<void>;
}

/** The members of a record that may change. */
export type KeyChange = Partial<
  Omit<
    KeyRecord,
    "id" | "hash" | "version" | "ownerId" | "environment" | "start" | "scopes" | "createdAt" | "lastUsedAt"
  >
>;

/** Which keys to list. */
export interface KeyQuery {
  readonly ownerId?: string | undefined;
  readonly environment?: string | undefined;
  readonly status?: KeyStatus | undefined;
  /** Only keys that were revoked, or whose expiry came, at this moment or before. A store may ignore it. */
  readonly endedBefore?: Date | undefined;
  /** The moment at which `status` is judged. */
  readonly now: Date;
  readonly cursor?: string | undefined;
  readonly limit: number;
}

/** Which audit entries to list. */
export interface AuditQuery {
  readonly keyId?: string | undefined;
  readonly ownerId?: string | undefined;
  readonly cursor?: string | undefined;
  readonly limit: number;
}

/** One page of a list. `nextCursor` is absent on the last one. */
export interface Page<T> {
  readonly items: readonly T[];
  readonly nextCursor?: string | undefined;
}

/**
 * What happened to a key. `rehashed`: it moved to the current pepper or hash; `purged`: its record is gone;
 * `used`: a request came through a route whose scope is marked `audit`, or was refused there (`details` has its
 * `code` then).
 */
export type AuditAction =
  | "created"
  | "imported"
  | "updated"
  | "disabled"
  | "enabled"
  | "revoked"
  | "rotated"
  | "rehashed"
  | "purged"
  | "used";

/** One line of the audit trail; never holds a secret or a hash. */
export interface AuditEntry {
  readonly id: string;
  readonly at: Date;
  readonly action: AuditAction;
  readonly keyId: string;
  readonly ownerId: string;
  /** Who did it, as the host names them. */
  readonly actor: string | null;
  /** What changed, such as the reason of a revocation or the names of the changed members. */
  readonly details: Readonly<Record<string, unknown>>;
}
