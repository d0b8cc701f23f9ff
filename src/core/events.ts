import { isPromiseLike } from "../internal/awaitable.js";
import type { AuthErrorCode } from "./errors.js";
import type { AuditAction, AuditEntry } from "./keys/store.js";

/** Every {@link DenialReason}. */
export const DENIAL_REASONS = [
  "missing_credential",
  "malformed_credential",
  "unrecognized_format",
  "wrong_environment",
  "unknown_key",
  "revoked",
  "disabled",
  "owner_suspended",
  "expired",
  "environment_mismatch",
  "invalid_token",
  "not_yet_valid",
  "key_changed",
  "token_revoked",
  "token_binding",
  "invalid_dpop_proof",
  "dpop_proof_replayed",
  "dpop_nonce_required",
  "ip_unknown",
  "ip_not_allowed",
  "insufficient_scope",
  "rate_limited",
] as const;

/** Why a request was denied, in more detail than the response to the client. */
export type DenialReason = (typeof DENIAL_REASONS)[number];

/** The members that every event of a request has. */
export interface RequestFacts {
  readonly at: Date;
  readonly requestId: string;
  readonly method: string | undefined;
  /** The path, without the query. */
  readonly path: string | undefined;
  /** The address of the client; `undefined` if it is unknown. */
  readonly clientIp: string | undefined;
  /** The scopes that the route requires. */
  readonly requiredScopes: readonly string[];
  /** Whether a required scope is marked `audit`. */
  readonly audit: boolean;
  /** Duration of the decision in milliseconds. */
  readonly durationMs: number;
}

/** The key of a request, or the key that its token was created from. */
export interface KeyIdentity {
  /** The id of the key; for a token that was not created from a key, its subject. */
  readonly keyId: string;
  /** Whether `keyId` is the id of a key. */
  readonly isKey: boolean;
  readonly ownerId: string;
  readonly environment: string | undefined;
}

/** A request was allowed. */
export interface AllowedEvent extends RequestFacts, KeyIdentity {
  readonly type: "auth.allowed";
  /** `insufficient_scope` if the request does not meet the `reportOnly` requirement of its route. Usually empty. */
  readonly wouldDeny: readonly DenialReason[];
}

/** A request was denied. */
export interface DeniedEvent extends RequestFacts, Partial<KeyIdentity> {
  readonly type: "auth.denied";
  readonly code: AuthErrorCode;
  readonly reason: DenialReason;
}

/** A request could not be verified because a store or rate limiter failed. The response is 503. */
export interface FailedEvent extends RequestFacts, Partial<KeyIdentity> {
  readonly type: "auth.failed";
  readonly error: unknown;
}

/** A change of all keys of an owner. */
export type OwnerAction = "suspended" | "resumed";

/** A change of a key. */
export type LifecycleAction = Exclude<AuditAction, "used" | "notified" | OwnerAction>;

/** A key was changed, and the change is committed. */
export interface LifecycleEvent {
  readonly type: `key.${LifecycleAction}`;
  readonly at: Date;
  readonly keyId: string;
  readonly ownerId: string;
  readonly actor: string | null;
  readonly details: Readonly<Record<string, unknown>>;
}

/** An owner was suspended or resumed, and the change is committed. */
export interface OwnerEvent {
  readonly type: `owner.${OwnerAction}`;
  readonly at: Date;
  /** Always absent: the event concerns every key of the owner. */
  readonly keyId?: undefined;
  readonly ownerId: string;
  readonly actor: string | null;
  readonly details: Readonly<Record<string, unknown>>;
}

/** A task in the background failed. It does not affect the decision or the response of any request. */
export interface BackgroundFailure {
  readonly type: "background.failed";
  readonly at: Date;
  /** `rehash`: move a key to the current hash. `invalidate`: remove a key from the caches of other processes. */
  readonly task: "rehash" | "invalidate";
  readonly keyId: string;
  readonly error: unknown;
}

/** A cache stopped using its entries because changes cannot be read (`cache.bypassed`), or uses them again (`cache.resumed`). */
export interface CacheEvent {
  readonly type: "cache.bypassed" | "cache.resumed";
  readonly at: Date;
  /** Always absent: the event concerns every key. */
  readonly keyId?: undefined;
}

/** Every event that an {@link Observer} receives. No event contains a secret, a hash or a pepper. */
export type KeyEvent =
  | AllowedEvent
  | DeniedEvent
  | FailedEvent
  | LifecycleEvent
  | OwnerEvent
  | BackgroundFailure
  | CacheEvent;

/**
 * A callback that receives an event after every decision and every committed change. It cannot delay or change the
 * outcome, and its exceptions are ignored.
 *
 * @example
 * const log: Observer = (event) => { if (event.type === "auth.denied") logger.warn(event); };
 */
export type Observer = (event: KeyEvent) => unknown;

/** Creates the event of a change from its audit entry. */
export function lifecycleEvent({ action, at, keyId, ownerId, actor, details }: AuditEntry): LifecycleEvent {
  return { type: `key.${action as LifecycleAction}`, at: new Date(at), keyId, ownerId, actor, details };
}

/** Creates the event of a suspended or resumed owner from its audit entry. */
export function ownerEvent({ action, at, ownerId, actor, details }: AuditEntry): OwnerEvent {
  return { type: `owner.${action as OwnerAction}`, at: new Date(at), ownerId, actor, details };
}

/** Freezes an event and calls every observer with it. Exceptions and rejections of observers are ignored. */
export function emit(observers: readonly Observer[], event: KeyEvent): void {
  Object.freeze(event);
  for (const observer of observers) {
    try {
      const result = observer(event);
      if (isPromiseLike(result)) result.then(undefined, () => {});
    } catch {
      // An observer must not affect the decision.
    }
  }
}

/** @throws TypeError if `observers` is not an array of functions. */
export function checkObservers(where: string, observers: unknown): void {
  if (!Array.isArray(observers) || !observers.every((observer) => typeof observer === "function")) {
    throw new TypeError(`${where}: "observers" must be an array of functions`);
  }
}
