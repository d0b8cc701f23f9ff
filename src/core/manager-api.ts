import type { Duration } from "./duration.js";
import type { Observer } from "./events.js";
import type { Pepper } from "./hash.js";
import type { KeyFormat } from "./key-format.js";
import type { ApiKey, KeyMetadata, KeyStatus, RateLimit } from "./record.js";
import type { Scopes } from "./scopes.js";
import type { AuditEntry, ManagedKeyStore, Page } from "./store.js";

/** Options of {@link createKeyManager}. */
export interface KeyManagerOptions<S extends string = string> {
  readonly store: ManagedKeyStore;
  readonly scopes: Scopes<S>;
  /** How new secrets look. */
  readonly format: KeyFormat;
  /** The same as the verifier has. */
  readonly pepper?: Pepper;
  /** The longest that a key may live, counted from its creation. A key without an expiry gets this one. */
  readonly maxLifetime?: Duration;
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

/** Issues and changes keys. Every method that takes an id throws a {@link KeyNotFoundError} when there is none. */
export interface KeyManager<S extends string = string> {
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
  update(id: string, change: UpdateKey, options?: ActorOption): Promise<ApiKey>;
  /** Stops a key until it is enabled again. @throws KeyStateError for a revoked key. */
  disable(id: string, options?: ActorOption): Promise<ApiKey>;
  /** @throws KeyStateError for a revoked key. */
  enable(id: string, options?: ActorOption): Promise<ApiKey>;
  /** Stops a key for good. Of several revocations the first one counts. */
  revoke(id: string, options?: ActorOption & { readonly reason?: string }): Promise<ApiKey>;
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
  rotate(id: string, options?: ActorOption & { readonly overlap?: Duration }): Promise<IssuedKey>;
  /** A page of what happened to keys, newest first. */
  auditTrail(query?: ListAudit): Promise<Page<AuditEntry>>;
}
