import type { Awaitable } from "../../internal/awaitable.js";
import type { Duration } from "../../internal/duration.js";
import type { Observer } from "../events.js";
import type { KeyFormat } from "../keys/format.js";
import type { LegacyHash, Pepper } from "../keys/hash.js";
import type { ApiKey, KeyMetadata, KeyStatus, RateLimit } from "../keys/record.js";
import type { Scopes } from "../keys/scopes.js";
import type { AuditEntry, ManagedKeyStore, Page } from "../keys/store.js";

/** Options of {@link createKeyManager}. */
export interface KeyManagerOptions<S extends string = string> {
  readonly store: ManagedKeyStore;
  readonly scopes: Scopes<S>;
  /** How new secrets look. */
  readonly format: KeyFormat;
  /** The same as the verifier has. */
  readonly pepper?: Pepper;
  /** How the hashes were made that are imported from another system; the same as the verifier has. */
  readonly legacyHashes?: readonly LegacyHash[];
  /** The longest that a key may live, counted from its creation. A key without an expiry gets this one. */
  readonly maxLifetime?: Duration;
  /**
   * How long one call of the store may take, in milliseconds: 10,000 by default. Then it fails with a StoreError. A
   * change that is given up so may have happened, or happen later: read the key. Allow more where a page is read in
   * many parts, as `list` and `purge` are over a Redis with a million keys.
   */
  readonly storeTimeout?: Duration;
  /** The time, for tests; the system's by default. */
  readonly clock?: () => Date;
  /** Told of every change, once it is committed. */
  readonly observers?: readonly Observer[];
}

/** What a new key is to be. */
export interface CreateKey<S extends string = string> {
  /** The company, user or project that the key belongs to: 1 to 255 characters. */
  readonly ownerId: string;
  /** For people: up to 255 characters. */
  readonly name?: string | null;
  /** What the key may do. Fixed for its life. */
  readonly scopes: readonly S[];
  /** One of the format's. May be left out when there is but one. */
  readonly environment?: string;
  /** Networks that may use the key; absent: all, empty: none. */
  readonly ipAllowlist?: readonly string[] | null;
  /** A Date, or RFC 3339 with an offset. */
  readonly expiresAt?: Date | string | null;
  /** JSON values: at most 100 members and 16 KiB. */
  readonly metadata?: KeyMetadata | null;
  /** Counted by the `rateLimiter` of the verifier; without one it is not in force. */
  readonly rateLimit?: RateLimit | null;
}

/**
 * A key that another system issued: its secret, or its hash. `hash` is 64 hex digits of SHA-256 over the whole
 * secret (or, with a pepper, `<version>:` and HMAC-SHA-256), unless `hashedBy` names one of `legacyHashes`.
 */
export type ImportKey<S extends string = string> = Omit<CreateKey<S>, "environment"> &
  ImportedSecret & {
    /** As it was. By default one that is made of the hash, so that an import that runs twice finds the key. */
    readonly id?: string;
    /** The first characters of the secret, for people: up to 16. Read from a secret that the format knows. */
    readonly start?: string;
    /** The one in the secret by default. A key of which neither names one works in every environment. */
    readonly environment?: string | null;
    /** When it was made there: not in the future. A Date, or RFC 3339 with an offset; now by default. */
    readonly createdAt?: Date | string | null;
    /** When it was last used there: not in the future. */
    readonly lastUsedAt?: Date | string | null;
    /** Bring it in disabled. */
    readonly disabled?: boolean;
  };

/** What {@link ImportKey} is imported by. */
export type ImportedSecret =
  | { readonly secret: string; readonly hash?: undefined; readonly hashedBy?: undefined }
  | { readonly hash: string; readonly hashedBy?: string | undefined; readonly secret?: undefined };

/** Which keys to forget. */
export interface PurgeOptions extends ActorOption {
  /** How long ago they must have been revoked or expired. */
  readonly retention: Duration;
  /** At most so many; all by default. */
  readonly limit?: number;
}

/** What was forgotten. */
export interface PurgeResult {
  /** Keys. */
  readonly purged: number;
}

/** What may change in a key. Members that are absent stay; `null` takes away. */
export type UpdateKey = Partial<
  Pick<CreateKey, "name" | "ipAllowlist" | "expiresAt" | "metadata" | "rateLimit">
>;

/** A key with its secret: the only time that the secret is seen. */
export interface IssuedKey {
  readonly secret: string;
  readonly key: ApiKey;
}

/** Who did it, as the host names them; goes into the audit trail. */
export interface ActorOption {
  readonly actor?: string | undefined;
}

/** Lets the caller judge a key on the very version that is about to change. */
export interface CheckOption extends ActorOption {
  /**
   * Called with the key as it is before the change, and again when others changed it meanwhile. What it throws
   * is thrown, and nothing is written.
   *
   * @example
   * const check = (key: ApiKey) => { if (key.ownerId !== "acme") throw new Error("not yours"); };
   * await manager.rotate(id, { check });
   */
  readonly check?: (key: ApiKey) => Awaitable<void>;
}

/** Which keys to list. */
export interface ListKeys {
  readonly ownerId?: string;
  readonly status?: KeyStatus;
  readonly environment?: string;
  /** The `nextCursor` of the page before. */
  readonly cursor?: string;
  /** 1 to 1000; 50 by default. */
  readonly limit?: number;
}

/** Which audit entries to list. */
export interface ListAudit {
  readonly keyId?: string;
  readonly ownerId?: string;
  /** The `nextCursor` of the page before. */
  readonly cursor?: string;
  /** 1 to 1000; 50 by default. */
  readonly limit?: number;
}

/**
 * Issues and changes keys. Every method that takes an id throws a {@link KeyNotFoundError} when there is none, and every
 * method a {@link StoreError} when the store fails or does not answer within `storeTimeout`.
 */
export interface KeyManager<S extends string = string> {
  /** The scopes that its keys can be given. */
  readonly scopes: Scopes<S>;
  /** The environments of its keys; absent when its format has none. */
  readonly environments: readonly string[] | undefined;
  /**
   * Issues a key.
   *
   * @throws KeyInputError that names the member at fault.
   *
   * @example
   * const { secret, key } = await manager.create({ ownerId: "acme", scopes: ["vehicles:read"] });
   */
  create(input: CreateKey<S>, actor?: string | ActorOption): Promise<IssuedKey>;
  /** The key, or `undefined`. */
  get(id: string): Promise<ApiKey | undefined>;
  /** A page of keys, newest first. */
  list(query?: ListKeys): Promise<Page<ApiKey>>;
  /**
   * Changes name, allowlist, expiry, metadata or rate limit.
   *
   * @throws KeyInputError that names the member at fault. @throws KeyStateError for a revoked key.
   * @throws TypeError for `scopes`: they are fixed at creation, so create a new key.
   */
  update(id: string, change: UpdateKey, options?: CheckOption): Promise<ApiKey>;
  /** Stops a key until it is enabled again. @throws KeyStateError for a revoked key. */
  disable(id: string, options?: CheckOption): Promise<ApiKey>;
  /** @throws KeyStateError for a revoked key. */
  enable(id: string, options?: CheckOption): Promise<ApiKey>;
  /** Stops a key for good. Of several revocations the first one counts. */
  revoke(id: string, options?: CheckOption & { readonly reason?: string }): Promise<ApiKey>;
  /**
   * Issues a successor with the same owner, scopes, allowlist, limits and expiry, and lets the old key work
   * for `overlap` more, but never longer than it would have. Without an overlap it stops at once. Of
   * concurrent rotations one wins. The rotation stands in the audit trail of the old key.
   *
   * @throws KeyStateError for a key that is revoked, expired or already rotated.
   *
   * @example
   * const { secret, key } = await manager.rotate(id, { overlap: "24h" });
   */
  rotate(
    id: string,
    options?: CheckOption & {
      readonly overlap?: Duration;
      /** That of the successor, for a key that was imported without one, when the format has several. */
      readonly environment?: string;
    },
  ): Promise<IssuedKey>;
  /** A page of what happened to keys, newest first. */
  auditTrail(query?: ListAudit): Promise<Page<AuditEntry>>;
  /**
   * Takes a key over that another system issued, so that its holder keeps the secret. The verifier needs a
   * format that recognises it, and the same `legacyHashes`. A hash of another kind than the current one is
   * replaced when the key is first used.
   *
   * @throws KeyInputError that names the member at fault; `secret`, `hash` or `id` when that is of a key of another
   * owner. @throws KeyConflictError when the key is there, also when it has moved to another hash since; a key that
   * was purged is not there.
   *
   * @example
   * await manager.import({ hash: row.digest, hashedBy: "old", ownerId: row.account, scopes: ["vehicles:read"] });
   */
  import(input: ImportKey<S>, actor?: string | ActorOption): Promise<ApiKey>;
  /**
   * Forgets the keys that were revoked, or expired, at least `deadFor` ago; their audit trail stays. That the
   * secret of a forgotten key was revoked is forgotten too: it must not be imported again. Runs until
   * there are no more, one transaction for each, and may run in several processes at once.
   *
   * @throws TypeError when the store has no `remove`.
   *
   * @example
   * const { purged } = await manager.purge({ deadFor: "365d", actor: "cron" });
   */
  purge(options: PurgeOptions): Promise<PurgeResult>;
}
