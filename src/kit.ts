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
  KeyLimitError,
  KeyNotFoundError,
  KeyStateError,
  OWNER_SUSPENDED,
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
  type OwnerEvent,
  type RequestFacts,
} from "./core/events.js";
export { createAuditEntry } from "./core/keys/audit-entry.js";
export { copyRecord } from "./core/keys/checked-record.js";
export { decodeCursor, encodeCursor, type ListPosition } from "./core/keys/cursor.js";
export {
  type GeneratedKeyFormat,
  type KeyFormat,
  type KeyFormatOptions,
  keyFormat,
  type ParsedSecret,
} from "./core/keys/format.js";
export { freezeRecord } from "./core/keys/frozen-record.js";
export { hashSecret, type KeyHash, type LegacyHash, type Pepper } from "./core/keys/hash.js";
export {
  CLOCK_TOLERANCE_MS,
  findExcess,
  type OwnerQuota,
  quotaBytes,
  rejectExcess,
  unlimitedQuota,
} from "./core/keys/owner-quota.js";
export {
  type ApiKey,
  copyDate,
  isExpired,
  isPresent,
  isReadableRecord,
  KEY_STATUSES,
  type KeyMetadata,
  type KeyRecord,
  type KeyStatus,
  keyStatus,
  type RateLimit,
  timeOf,
  toApiKey,
  type VerifiableRecord,
} from "./core/keys/record.js";
export { meets, type Requirement, requiredScopes } from "./core/keys/requirement.js";
export {
  defineScopes,
  type ScopeDefinition,
  type ScopeExplanation,
  type ScopeName,
  type Scopes,
} from "./core/keys/scopes.js";
export { matchesSearch } from "./core/keys/search.js";
export {
  AUDIT_ACTIONS,
  type AuditAction,
  type AuditEntry,
  type AuditQuery,
  CHANGEABLE_MEMBERS,
  type KeyChange,
  type KeyChanges,
  type KeyQuery,
  type KeyStore,
  type ManagedKeyStore,
  type Page,
} from "./core/keys/store.js";
export type {
  CreateKey,
  ImportedSecret,
  ImportKey,
  KeyManager,
  ListAudit,
  ListKeys,
  UpdateKey,
} from "./core/manager/api.js";
export type {
  ActorOption,
  BeforeCommitOption,
  CheckOption,
  CreateOptions,
  DisableOptions,
  IssuedKey,
  Leak,
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
} from "./core/manager/change-options.js";
export { createKeyManager } from "./core/manager/manager.js";
export type { KeyManagerOptions } from "./core/manager/options.js";
export { allowlistWithin } from "./core/requests/allowlist.js";
export { cidrProblem, compileCidrs } from "./core/requests/cidr.js";
export { type ClientIpOptions, type ClientIpResolver, clientIpResolver } from "./core/requests/client-ip.js";
export {
  type CredentialFault,
  type CredentialOptions,
  type CredentialSource,
  credentialSource,
  extractCredential,
} from "./core/requests/credential.js";
export type { CidrList, IpAddress } from "./core/requests/ranges.js";
export {
  type AuthRequest,
  type HeaderLookup,
  mayLackLines,
  pathnameOf,
  resolveRequestId,
} from "./core/requests/request.js";
export { toStoreError, withStoreTimeout } from "./core/store-calls.js";
export { anyVerifier } from "./core/verifier/any-verifier.js";
export type { AuthResult, Verifier, VerifierCredential, VerifyOptions } from "./core/verifier/api.js";
export { createVerifierBase, type VerifierBase, type VerifierKind } from "./core/verifier/base.js";
export { checkKey, checkNetwork } from "./core/verifier/checks.js";
export { COMMON_VERIFIER_OPTIONS, type CommonVerifierOptions } from "./core/verifier/common-options.js";
export type { AuthSubject, VerificationContext } from "./core/verifier/context.js";
export { createVerifierFrom, type Decide, decisionOf, toVerifier } from "./core/verifier/decision.js";
export {
  createGuard,
  type GuardErrorContext,
  type GuardOptions,
  type GuardOutcome,
  type RouteGuard,
} from "./core/verifier/guard.js";
export type {
  CheckedArgument,
  GuardArgument,
  GuardFactory,
  RoutePrincipal,
} from "./core/verifier/guard-factory.js";
export { type HttpDenial, toHttpDenial } from "./core/verifier/http-denial.js";
export { createLookup, type Lookup } from "./core/verifier/lookup.js";
export { type KeyNotices, keyNotices } from "./core/verifier/notices.js";
export { VERIFIER_OPTIONS, type VerifierOptions } from "./core/verifier/options.js";
export {
  definedScopes,
  type Principal,
  type Register,
  type RegisteredScope,
  RequestPrincipal,
} from "./core/verifier/principal.js";
export type {
  RateLimitDecision,
  RateLimiter,
  RateLimitState,
  RateLimitSubject,
} from "./core/verifier/rate-limit.js";
export { isSecret } from "./core/verifier/read-secret.js";
export type { EnforcedRoute, GuardArguments, Route, RouteOptions } from "./core/verifier/route.js";
export { settingsOf, type VerifierSettings, withSettings } from "./core/verifier/settings.js";
export { createVerifier } from "./core/verifier/verifier.js";
export type { Awaitable } from "./internal/awaitable.js";
export type { Duration } from "./internal/duration.js";
