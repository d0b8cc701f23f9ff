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
  "expired",
  "environment_mismatch",
  "invalid_token",
  "not_yet_valid",
  "key_changed",
  "token_revoked",
  "ip_unknown",
  "ip_not_allowed",
  "insufficient_scope",
  "rate_limited",
] as const;

/**
 * Why a request was refused, in more detail than its client is told.
 */
export type DenialReason = (typeof DENIAL_REASONS)[number];

/** What every event of a verified, or refused, request has. */
export interface RequestFacts {
  readonly at: Date;
  readonly requestId: string;
  readonly method: string | undefined;
  /** Without its query. */
  readonly path: string | undefined;
  /** The client's address, or `undefined` when it cannot be known for sure. */
  readonly clientIp: string | undefined;
  /** The scopes that the route asked for. */
  readonly requiredScopes: readonly string[];
  /** Whether one of them is marked `audit`. */
  readonly audit: boolean;
  /** Milliseconds that the decision took. */
  readonly durationMs: number;
}

/** The key that a request came with, or that its token was made of, once it is known. */
export interface KeyIdentity {
  /** Of a token that no key stands behind: its subject. */
  readonly keyId: string;
  /** Whether `keyId` is the id of a key. */
  readonly isKey: boolean;
  readonly ownerId: string;
  readonly environment: string | undefined;
}

/** A request was let through. */
export interface AllowedEvent extends RequestFacts, KeyIdentity {
  readonly type: "auth.allowed";
  /** What is on trial and would have denied it (`reportOnly`), in the order of a decision; empty as a rule. */
  readonly wouldDeny: readonly DenialReason[];
}

/** A request was refused. */
export interface DeniedEvent extends RequestFacts, Partial<KeyIdentity> {
  readonly type: "auth.denied";
  readonly code: AuthErrorCode;
  readonly reason: DenialReason;
}

/** A request could not be judged, because a store or a rate limiter failed; it was refused with 503. */
export interface FailedEvent extends RequestFacts, Partial<KeyIdentity> {
  readonly type: "auth.failed";
  readonly error: unknown;
}

/** What may happen to a key itself. */
export type LifecycleAction = Exclude<AuditAction, "used">;

/** A key was changed, and the change is committed. */
export interface LifecycleEvent {
  readonly type: `key.${LifecycleAction}`;
  readonly at: Date;
  readonly keyId: string;
  readonly ownerId: string;
  readonly actor: string | null;
  readonly details: Readonly<Record<string, unknown>>;
}

/** Work behind the requests failed. No request was decided by it, and none was answered otherwise for it. */
export interface BackgroundFailure {
  readonly type: "background.failed";
  readonly at: Date;
  /**
   * What was to be done: move a key to the current hash, tell other processes that a key has changed, or judge a
   * rule that is on trial.
   */
  readonly task: "rehash" | "invalidate" | "report-only";
  /** The key that it was for; with `report-only` perhaps the subject of a token. */
  readonly keyId: string;
  readonly error: unknown;
}

/** A cache does not answer from memory, because its bus is down; or it does so again. */
export interface CacheEvent {
  readonly type: "cache.bypassed" | "cache.resumed";
  readonly at: Date;
  /** None: it concerns every key. */
  readonly keyId?: undefined;
}

/** Everything that an {@link Observer} is told. No event holds a secret, a hash or a pepper. */
export type KeyEvent =
  | AllowedEvent
  | DeniedEvent
  | FailedEvent
  | LifecycleEvent
  | BackgroundFailure
  | CacheEvent;

/**
 * Is told of every decision and every change, after the fact: it can neither delay nor alter one, and what it
 * throws is dropped.
 *
 * @example
 * const log: Observer = (event) => { if (event.type === "auth.denied") logger.warn(event); };
 */
export type Observer = (event: KeyEvent) => unknown;

/** The event of a change, from its audit entry. */
export function lifecycleEvent({ action, at, keyId, ownerId, actor, details }: AuditEntry): LifecycleEvent {
  return { type: `key.${action as LifecycleAction}`, at: new Date(at), keyId, ownerId, actor, details };
}

/** Tells every observer. What one throws, or rejects with, is dropped. */
export function emit(observers: readonly Observer[], event: KeyEvent): void {
  Object.freeze(event);
  for (const observer of observers) {
    try {
      const result = observer(event);
      if (isPromiseLike(result)) result.then(undefined, () => {});
    } catch {
      // An observer that fails must not decide over a request.
    }
  }
}

/** @throws TypeError when `observers` is not a list of functions. */
export function checkObservers(where: string, observers: unknown): void {
  if (!Array.isArray(observers) || !observers.every((observer) => typeof observer === "function")) {
    throw new TypeError(`${where}: "observers" must be a list of functions`);
  }
}
