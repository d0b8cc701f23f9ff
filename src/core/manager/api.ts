import type { Duration } from "../../internal/duration.js";
import type { ApiKey, KeyMetadata, KeyStatus, RateLimit } from "../keys/record.js";
import type { Scopes } from "../keys/scopes.js";
import type { AuditEntry, Page } from "../keys/store.js";
import type {
  ActorOption,
  CheckOption,
  CreateOptions,
  DisableOptions,
  IssuedKey,
  LeakOptions,
  LeakResult,
  PurgeOptions,
  PurgeResult,
  RevokeAllFilter,
  RevokeAllOptions,
  RevokeAllResult,
  RevokeOptions,
  RotateOptions,
  SuspendOptions,
} from "./change-options.js";

/** The input of {@link KeyManager.create}. */
export interface CreateKey<S extends string = string, E extends string = string> {
  /** The company, user or project that the key belongs to: 1 to 255 characters. */
  readonly ownerId: string;
  /** A display name of up to 255 characters. */
  readonly name?: string | null;
  /** The granted scopes. They cannot be changed later. */
  readonly scopes: readonly S[];
  /** An environment of the format; optional if the format has only one. */
  readonly environment?: E;
  /** Networks that may use the key. Absent or `null`: all; an empty array: none. */
  readonly ipAllowlist?: readonly string[] | null;
  /** A Date, or an RFC 3339 string with an offset. */
  readonly expiresAt?: Date | string | null;
  /** JSON values: at most 100 members and 16 KiB. */
  readonly metadata?: KeyMetadata | null;
  /** Enforced by the verifier's `rateLimiter`; has no effect without one. */
  readonly rateLimit?: RateLimit | null;
}

/**
 * The input of {@link KeyManager.import}: a key of another system, by its secret or by its hash. `hash` is the SHA-256
 * of the whole secret as 64 hex digits (with a pepper, `<version>:` and the HMAC-SHA-256), unless `hashedBy` names one
 * of `legacyHashes`.
 */
export type ImportKey<S extends string = string> = Omit<CreateKey<S>, "environment"> &
  ImportedSecret & {
    /** The id in the other system. By default derived from the hash, so that a repeated import is detected. */
    readonly id?: string;
    /** The first characters of the secret, for display: up to 16. Read from `secret` if the format parses it. */
    readonly start?: string;
    /** By default the environment in the secret. A key without one is valid in every environment. */
    readonly environment?: string | null;
    /** When the key was created; not in the future. A Date, or an RFC 3339 string with an offset. Now by default. */
    readonly createdAt?: Date | string | null;
    /** When the key was last used; not in the future. */
    readonly lastUsedAt?: Date | string | null;
    /** Whether the key is imported as disabled. `false` by default. */
    readonly disabled?: boolean;
  };

/** The secret of an imported key, or its hash. */
export type ImportedSecret =
  | { readonly secret: string; readonly hash?: undefined; readonly hashedBy?: undefined }
  | { readonly hash: string; readonly hashedBy?: string | undefined; readonly secret?: undefined };

/** The input of {@link KeyManager.update}. Absent members stay as they are; `null` removes a value. */
export type UpdateKey = Partial<
  Pick<CreateKey, "name" | "ipAllowlist" | "expiresAt" | "metadata" | "rateLimit">
>;

/** The filters of {@link KeyManager.list}. */
export interface ListKeys {
  readonly ownerId?: string;
  readonly status?: KeyStatus;
  readonly environment?: string;
  /** Only keys that this key created. */
  readonly createdByKey?: string;
  /** Only keys whose name contains this string, or whose start begins with it, in upper or lower case. */
  readonly search?: string;
  /** The `nextCursor` of the previous page. */
  readonly cursor?: string;
  /** The page size, 1 to 1000. 50 by default. */
  readonly limit?: number;
}

/** The filters of {@link KeyManager.auditTrail}. */
export interface ListAudit {
  readonly keyId?: string;
  readonly ownerId?: string;
  /** Only entries of changes that this actor made. */
  readonly actor?: string;
  /** The `nextCursor` of the previous page. */
  readonly cursor?: string;
  /** The page size, 1 to 1000. 50 by default. */
  readonly limit?: number;
}

/**
 * Creates and changes keys. Methods that change a key reject with a {@link KeyNotFoundError} if no key has the id, and
 * with a {@link KeyConflictError} if it keeps changing concurrently. Every method rejects with a {@link KeyInputError}
 * if the input is invalid, and with a {@link StoreError} if the store fails or exceeds `storeTimeout`.
 */
export interface KeyManager<S extends string = string, E extends string = string> {
  /** The scopes that keys can be granted. */
  readonly scopes: Scopes<S>;
  /** The environments of the format; `undefined` if it has none. */
  readonly environments: readonly E[] | undefined;
  /** The longest lifetime of a key; absent or `undefined` if keys may live forever. */
  readonly maxLifetime?: Duration | undefined;
  /**
   * Creates a key.
   *
   * @throws KeyInputError if a member is invalid; its `path` names the member.
   * @throws KeyLimitError if the owner has as many keys or bytes as `maxKeysPerOwner` or `maxBytesPerOwner` allow.
   * @throws KeyStateError if the owner is suspended, or the key `createdByKey` is revoked or does not exist.
   *
   * @example
   * const { secret, key } = await manager.create({ ownerId: "acme", scopes: ["vehicles:read"] });
   */
  create(input: CreateKey<S, E>, actor?: string | CreateOptions): Promise<IssuedKey>;
  /** Returns the key, or `undefined` if no key has this id. */
  get(id: string): Promise<ApiKey | undefined>;
  /** Returns a page of keys, newest first. A key that cannot be read is named in `damaged` of the page. */
  list(query?: ListKeys): Promise<Page<ApiKey>>;
  /**
   * Changes the name, allowlist, expiry, metadata or rate limit of a key.
   *
   * @throws KeyInputError if a member is invalid, or is `scopes`, which are fixed at creation.
   * @throws KeyStateError if the key is revoked, if `expiresAt` is changed on a rotated key, or if the change renews or
   *   enlarges a key of a suspended owner.
   * @throws KeyLimitError if the change renews an expired key or enlarges a key beyond the ceilings of the owner.
   */
  update(id: string, change: UpdateKey, options?: CheckOption): Promise<ApiKey>;
  /**
   * Disables a key until it is enabled again.
   *
   * @throws KeyStateError if the key is revoked.
   */
  disable(id: string, options?: DisableOptions): Promise<ApiKey>;
  /**
   * Enables a disabled key.
   *
   * @throws KeyStateError if the key is revoked, or if the operator disabled it and `by` is `"owner"`.
   */
  enable(id: string, options?: DisableOptions): Promise<ApiKey>;
  /**
   * Revokes a key permanently, and with `descendants` everything made from it. Each key is revoked in its own
   * transaction. No key escapes that is created or rotated at the same time. After a failure, call it again: what is
   * already revoked stays so, and is walked again.
   *
   * @throws StoreError with `descendants`, if a descendant cannot be read; all others are revoked.
   *
   * @example
   * await manager.revoke(id, { descendants: true, reason: "leaked", actor: "ann" });
   */
  revoke(id: string, options?: RevokeOptions): Promise<ApiKey>;
  /**
   * Revokes all keys of an owner, or all keys that a key or another one of its rotation chain created; and everything
   * that these keys made. Can be called again after a failure. Keys that others than these keys create at the same time
   * are not revoked.
   *
   * @throws KeyInputError if the filter is not exactly one of `ownerId` and `createdByKey`.
   * @throws StoreError if a key cannot be read; all others are revoked.
   *
   * @example
   * const { revoked } = await manager.revokeAll({ ownerId: "acme" }, { reason: "contract ended", actor: "ann" });
   */
  revokeAll(filter: RevokeAllFilter, options?: RevokeAllOptions): Promise<RevokeAllResult>;
  /**
   * Returns the keys of secrets that were found somewhere, in the same order; `undefined` for a string that is no secret of a
   * stored key. Keys that are revoked or expired are returned too. Takes at most 10,000 strings; leave out those that your
   * format does not parse, because each one is looked up.
   *
   * @example
   * const [key] = await manager.identify([secret]);
   */
  identify(secrets: readonly string[]): Promise<readonly (ApiKey | undefined)[]>;
  /**
   * Revokes or disables a key whose secret was found in a place where it must not be, and keeps the place in the audit
   * trail. A second report of the same place changes nothing.
   *
   * @throws TypeError if the store has no `appendAudit` method.
   *
   * @example
   * await manager.reportLeak(key.id, { source: "support", url: "https://forum.example/t/17", descendants: true });
   */
  reportLeak(id: string, options: LeakOptions): Promise<LeakResult>;
  /**
   * Replaces a key by a successor with the same owner, scopes, allowlist, limits and expiry, in one atomic write. The
   * old key stays valid for `overlap`, but never beyond its own expiry. The audit entry belongs to the old key. One of
   * several concurrent rotations succeeds.
   *
   * @throws KeyStateError if the key is revoked, expired or already rotated, if `createdByKey` is revoked or missing, or if
   *   the owner is suspended.
   * @throws KeyLimitError if there is an overlap and the owner has as many keys or bytes as allowed.
   *
   * @example
   * const { secret, key } = await manager.rotate(id, { overlap: "24h" });
   */
  rotate(id: string, options?: RotateOptions<E>): Promise<IssuedKey>;
  /**
   * Suspends an owner: all its keys are denied, in other processes within the same time as after a revocation, and new
   * keys are rejected. The keys and their state are kept. Returns whether the owner was not suspended before.
   *
   * @throws TypeError if the store has no `suspendOwner` method.
   *
   * @example
   * await manager.suspendOwner("acme", { reason: "unpaid", actor: "billing" });
   */
  suspendOwner(ownerId: string, options?: SuspendOptions): Promise<boolean>;
  /**
   * Ends the suspension of an owner. Keys that were revoked, disabled or expired stay so. Returns whether the owner was
   * suspended.
   *
   * @throws TypeError if the store has no `resumeOwner` method.
   */
  resumeOwner(ownerId: string, options?: ActorOption): Promise<boolean>;
  /** Returns a page of audit entries, newest first. One that cannot be read is named in `damaged` of the page. */
  auditTrail(query?: ListAudit): Promise<Page<AuditEntry>>;
  /**
   * Imports a key of another system; its holder keeps the secret. The verifier needs a format that parses the secret,
   * and the same `legacyHashes`. A legacy hash is replaced by the current one when the key is first used.
   *
   * @throws KeyInputError if a member is invalid, or if the `secret`, `hash` or `id` belongs to a key of another owner;
   *   KeyLimitError and KeyStateError as `create`.
   * @throws KeyConflictError if the key was already imported, even if its hash has been replaced since. Purged keys are
   *   not detected.
   *
   * @example
   * await manager.import({ hash: row.digest, hashedBy: "old", ownerId: row.account, scopes: ["vehicles:read"] });
   */
  import(input: ImportKey<S>, actor?: string | ActorOption): Promise<ApiKey>;
  /**
   * Deletes keys that were revoked, or expired, at least `retention` ago, each in its own transaction. Audit entries are
   * kept. A key is kept as long as a key that it created is stored, so that `revoke` with `descendants` finds that one.
   * Can run in several processes at once. Do not import the secret of a purged key again: the key would be valid, because
   * its revocation was deleted too.
   *
   * @throws TypeError if the store has no `remove` method.
   *
   * @example
   * const { purged } = await manager.purge({ retention: "365d", actor: "cron" });
   */
  purge(options: PurgeOptions): Promise<PurgeResult>;
}
