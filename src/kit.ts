/**
 * The building blocks for authors of guards, verifiers, stores and observers.
 *
 * @module
 */

export {
  AUTH_ERROR_STATUS,
  AuthError,
  type AuthErrorBody,
  type AuthErrorCode,
  type AuthErrorStatus,
  KeyConflictError,
  KeyInputError,
  KeyNotFoundError,
  KeyStateError,
  StoreError,
} from "./core/errors.js";
export {
  type AllowedEvent,
  type BackgroundFailure,
  type CacheEvent,
  checkObservers,
  DENIAL_REASONS,
  type DenialReason,
  type DeniedEvent,
  emit,
  type FailedEvent,
  type KeyEvent,
  type KeyIdentity,
  type LifecycleEvent,
  type Observer,
  type RequestFacts,
} from "./core/events.js";
export { createAuditEntry } from "./core/keys/audit-entry.js";
export { decodeCursor, encodeCursor, type ListPosition } from "./core/keys/cursor.js";
export {
  type GeneratedKeyFormat,
  type KeyFormat,
  type KeyFormatOptions,
  keyFormat,
  type ParsedSecret,
} from "./core/keys/format.js";
export { hashSecret, type KeyHash, type LegacyHash, type Pepper } from "./core/keys/hash.js";
export {
  type ApiKey,
  isReadableRecord,
  type KeyMetadata,
  type KeyRecord,
  type KeyStatus,
  keyStatus,
  type RateLimit,
  toApiKey,
  type VerifiableRecord,
} from "./core/keys/record.js";
export {
  defineScopes,
  meets,
  type Requirement,
  requiredScopes,
  type ScopeDefinition,
  type ScopeExplanation,
  type ScopeName,
  type Scopes,
} from "./core/keys/scopes.js";
export type {
  AuditAction,
  AuditEntry,
  AuditQuery,
  KeyChange,
  KeyQuery,
  KeyStore,
  ManagedKeyStore,
  Page,
} from "./core/keys/store.js";
export type {
  ActorOption,
  CheckOption,
  CreateKey,
  ImportedSecret,
  ImportKey,
  IssuedKey,
  KeyManager,
  KeyManagerOptions,
  ListAudit,
  ListKeys,
  PurgeOptions,
  PurgeResult,
  UpdateKey,
} from "./core/manager/api.js";
export { createKeyManager } from "./core/manager/manager.js";
export { allowlistWithin } from "./core/requests/allowlist.js";
export { type CidrList, cidrProblem, compileCidrs, type IpAddress } from "./core/requests/cidr.js";
export { type ClientIpOptions, type ClientIpResolver, clientIpResolver } from "./core/requests/client-ip.js";
export {
  type CredentialFault,
  type CredentialOptions,
  type CredentialSource,
  credentialSource,
  extractCredential,
} from "./core/requests/credential.js";
export { type AuthRequest, type HeaderLookup, resolveRequestId } from "./core/requests/request.js";
export { toStoreError, withStoreTimeout } from "./core/store-calls.js";
export type { AnyVerifierOptions } from "./core/verifier/any-verifier.js";
export {
  COMMON_VERIFIER_OPTIONS,
  type CommonVerifierOptions,
  createVerifierBase,
  type VerifierBase,
  type VerifierKind,
} from "./core/verifier/base.js";
export type { RateLimitSubject } from "./core/verifier/bounded-limiter.js";
export { checkKey, checkNetwork } from "./core/verifier/checks.js";
export type { AuthSubject, VerificationContext } from "./core/verifier/denials.js";
export {
  createGuard,
  type EnforcedRoute,
  type GuardArguments,
  type GuardErrorContext,
  type GuardOptions,
  type GuardOutcome,
  type RouteGuard,
  type RouteOptions,
} from "./core/verifier/guard.js";
export { type HttpDenial, toHttpDenial } from "./core/verifier/http-denial.js";
export { createLookup, type Lookup } from "./core/verifier/lookup.js";
export { type KeyNotices, keyNotices } from "./core/verifier/notices.js";
export type { VerifierOptions } from "./core/verifier/options.js";
export { definedScopes, type Principal } from "./core/verifier/principal.js";
export type { RateLimitDecision, RateLimiter, RateLimitState } from "./core/verifier/rate-limit.js";
export type { ReportOnlyOptions, TriedKey } from "./core/verifier/report-only.js";
export {
  type AuthResult,
  createVerifier,
  type Verifier,
  type VerifyOptions,
} from "./core/verifier/verifier.js";
export type { Awaitable } from "./internal/awaitable.js";
export type { Duration } from "./internal/duration.js";
