import type { Awaitable } from "../../internal/awaitable.js";
import type { Duration } from "../../internal/duration.js";
import type { ApiKey } from "../keys/record.js";

/** The actor of a change. */
export interface ActorOption {
  /** Who makes the change, for the audit trail: 1 to 255 characters. */
  readonly actor?: string | undefined;
}

/** A key and its secret. The secret is not stored and cannot be read again. */
export interface IssuedKey {
  readonly secret: string;
  readonly key: ApiKey;
}

/** Options of methods that issue a key. */
export interface BeforeCommitOption {
  /**
   * Called with the new key and its secret before the key is stored, and again after every conflict with a concurrent
   * change. If it throws or rejects, the method rejects with the same error and nothing is written. It can put the secret
   * in a safe place, so that a failure after the write does not lose it.
   */
  readonly beforeCommit?: (issued: IssuedKey) => Awaitable<void>;
}

/** Options of {@link KeyManager.create}. */
export interface CreateOptions extends ActorOption, BeforeCommitOption {
  /**
   * The id of the key that creates this one: the key of the request, also if the credential is a token made from it. It
   * is kept in `createdByKey`, and `revoke` with `descendants` follows it.
   */
  readonly createdByKey?: string | undefined;
}

/** Options of a change. */
export interface CheckOption extends ActorOption {
  /**
   * Called with the key before the change, and again after every conflict with a concurrent change. If it throws or
   * rejects, the method rejects with the same error and nothing is written.
   *
   * @example
   * const check = (key: ApiKey) => { if (key.ownerId !== "acme") throw new Error("not yours"); };
   * await manager.rotate(id, { check });
   */
  readonly check?: (key: ApiKey) => Awaitable<void>;
}

/** Options of {@link KeyManager.revoke}. */
export type RevokeOptions = CheckOption & {
  /** Kept with the key and in the audit trail: up to 255 characters. */
  readonly reason?: string;
  /**
   * Whether to revoke everything that the holder of the key made as well: the other keys of its rotation chain, the keys
   * that any of them created, their successors, the keys that those created, and so on. `false` by default.
   */
  readonly descendants?: boolean;
};

/** Options of {@link KeyManager.disable} and {@link KeyManager.enable}. */
export type DisableOptions = CheckOption & {
  /**
   * On whose behalf: `"owner"`, who cannot enable a key that the operator disabled, or `"operator"`. `"operator"` by
   * default.
   */
  readonly by?: "owner" | "operator";
};

/** The filter of {@link KeyManager.revokeAll}. */
export type RevokeAllFilter =
  | { readonly ownerId: string; readonly createdByKey?: undefined }
  | { readonly createdByKey: string; readonly ownerId?: undefined };

/** Options of {@link KeyManager.revokeAll}. */
export interface RevokeAllOptions extends ActorOption {
  /** Kept with each key and in the audit trail: up to 255 characters. */
  readonly reason?: string;
}

/** The result of {@link KeyManager.revokeAll}. */
export interface RevokeAllResult {
  /** The number of keys that this call revoked. Those that were revoked before are not counted. */
  readonly revoked: number;
}

/** Where a secret was found. */
export interface Leak {
  /** Who found it, such as `"github"`: up to 255 characters. */
  readonly source: string;
  /** What kind of place it is, such as `"commit"`: up to 255 characters. */
  readonly type: string | null;
  /** The place: up to 2,048 characters. */
  readonly url: string | null;
}

/** Options of {@link KeyManager.reportLeak}. */
export interface LeakOptions extends ActorOption, Pick<Leak, "source"> {
  readonly type?: string | null | undefined;
  readonly url?: string | null | undefined;
  /**
   * What happens to the key: it is revoked with the reason `leaked`, or disabled by the operator, or nothing.
   * `"revoke"` by default.
   */
  readonly action?: "revoke" | "disable" | "report";
  /** Whether to revoke its descendants as well, as in {@link RevokeOptions}. `false` by default. */
  readonly descendants?: boolean;
}

/** The result of {@link KeyManager.reportLeak}. */
export interface LeakResult {
  readonly key: ApiKey;
  /**
   * `recorded`: the place is in the audit trail, and the key is as before, because that was asked for or because it was
   * revoked or disabled already. `repeated`: the same place was reported before, and nothing changed.
   */
  readonly outcome: "revoked" | "disabled" | "recorded" | "repeated";
}

/** Options of {@link KeyManager.suspendOwner}. */
export type SuspendOptions = ActorOption & {
  /** Kept in the audit trail: up to 255 characters. */
  readonly reason?: string;
};

/** Options of {@link KeyManager.rotate}. */
export type RotateOptions<E extends string = string> = CheckOption &
  BeforeCommitOption & {
    /** How long the old key stays valid; at most `maxOverlap`. `"0s"` by default. */
    readonly overlap?: Duration;
    /** The environment of the successor; required if the old key has none and the format has several. */
    readonly environment?: E;
    /**
     * The id of the key that asks for the rotation. If it belongs to another rotation chain, its holder receives the
     * secret, and the successor counts as created by it: it becomes `createdByKey`, and `actor` becomes `createdBy`.
     */
    readonly createdByKey?: string | undefined;
  };

/** Options of {@link KeyManager.purge}. */
export interface PurgeOptions extends ActorOption {
  /** How long a revoked or expired key is kept before it can be deleted. */
  readonly retention: Duration;
  /** The maximum number of keys to delete. All by default. */
  readonly limit?: number;
}

/** The result of {@link KeyManager.purge}. */
export interface PurgeResult {
  /** The number of deleted keys. */
  readonly purged: number;
}
