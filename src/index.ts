export { allowlistWithin } from "./core/allowlist.js";
export { createAuditEntry } from "./core/audit.js";
export type { LimitedHolder } from "./core/bounded-limiter.js";
export { type CidrList, cidrProblem, compileCidrs, type IpAddress } from "./core/cidr.js";
export { type ClientIpOptions, type ClientIpResolver, clientIpResolver } from "./core/client-ip.js";
export {
  type CredentialFault,
  type CredentialOptions,
  type CredentialSource,
  credentialSource,
  extractCredential,
} from "./core/credential.js";
export {
  decodeCursor,
  encodeCursor,
  type ListPosition,
} from "./core/cursor.js";
export { type Duration, milliseconds } from "./core/duration.js";
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
export {
  createGuard,
  type EnforcedRoute,
  type GuardArguments,
  type GuardErrorContext,
  type GuardOptions,
  type GuardOutcome,
  type RouteGuard,
  type RouteOptions,
} from "./core/guard.js";
export { hashSecret, type KeyHash, type LegacyHash, type Pepper } from "./core/hash.js";
export { type HttpRefusal, toHttpRefusal } from "./core/http-error.js";
export { judgeKey, judgeNetwork } from "./core/judge.js";
export {
  type GeneratedKeyFormat,
  type KeyFormat,
  type KeyFormatOptions,
  keyFormat,
  type ParsedSecret,
} from "./core/key-format.js";
export { createLookup, type Lookup, withinTime } from "./core/lookup.js";
export { createKeyManager } from "./core/manager.js";
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
} from "./core/manager-api.js";
export { type KeyNotices, keyNotices } from "./core/notice.js";
export {
  checkFunction,
  checkMethods,
  checkOptions,
  checkTimeout,
  describe,
  isPromiseLike,
  refusePromise,
  refuseUndefined,
  warn,
} from "./core/options.js";
export { definedScopes, type Principal } from "./core/principal.js";
export type {
  RateLimitDecision,
  RateLimiter,
  RateLimitState,
} from "./core/rate-limit.js";
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
} from "./core/record.js";
export type { Attempt, Holder } from "./core/refusals.js";
export type { ReportOnlyOptions, TriedKey } from "./core/report-only.js";
export {
  type AuthRequest,
  type HeaderLookup,
  resolveRequestId,
} from "./core/request.js";
export {
  defineScopes,
  meets,
  type Requirement,
  requiredScopes,
  type ScopeDefinition,
  type ScopeExplanation,
  type ScopeName,
  type Scopes,
} from "./core/scopes.js";
export { shownName } from "./core/shown-name.js";
export type {
  AuditAction,
  AuditEntry,
  AuditQuery,
  Awaitable,
  KeyChange,
  KeyQuery,
  KeyStore,
  ManagedKeyStore,
  Page,
} from "./core/store.js";
export {
  type AuthResult,
  createVerifier,
  type Verifier,
  type VerifyOptions,
} from "./core/verifier.js";
export {
  COMMON_VERIFIER_OPTIONS,
  type CommonVerifierOptions,
  createVerifierKit,
  type VerifierKind,
  type VerifierKit,
} from "./core/verifier-kit.js";
export type { VerifierOptions } from "./core/verifier-options.js";
