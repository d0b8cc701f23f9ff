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
export type {
  AllowedEvent,
  BackgroundFailure,
  CacheEvent,
  DenialReason,
  DeniedEvent,
  FailedEvent,
  KeyEvent,
  KeyIdentity,
  LifecycleEvent,
  Observer,
  RequestFacts,
} from "./core/events.js";
export {
  type GeneratedKeyFormat,
  type KeyFormat,
  type KeyFormatOptions,
  keyFormat,
  type ParsedSecret,
} from "./core/keys/format.js";
export { hashSecret, type KeyHash, type LegacyHash, type Pepper } from "./core/keys/hash.js";
export type {
  ApiKey,
  KeyMetadata,
  KeyRecord,
  KeyStatus,
  RateLimit,
  VerifiableRecord,
} from "./core/keys/record.js";
export {
  defineScopes,
  type Requirement,
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
export type { ClientIpOptions } from "./core/requests/client-ip.js";
export type { CredentialOptions } from "./core/requests/credential.js";
export type { AuthRequest, HeaderLookup } from "./core/requests/request.js";
export { type AnyVerifierOptions, anyVerifier } from "./core/verifier/any-verifier.js";
export type { CommonVerifierOptions } from "./core/verifier/base.js";
export type {
  EnforcedRoute,
  GuardArguments,
  GuardErrorContext,
  GuardOptions,
  RouteOptions,
} from "./core/verifier/guard.js";
export type { VerifierOptions } from "./core/verifier/options.js";
export type { Principal } from "./core/verifier/principal.js";
export type { RateLimitDecision, RateLimiter, RateLimitState } from "./core/verifier/rate-limit.js";
export type { ReportOnlyOptions } from "./core/verifier/report-only.js";
export {
  type AuthResult,
  createVerifier,
  type Verifier,
  type VerifyOptions,
} from "./core/verifier/verifier.js";
export type { Awaitable } from "./internal/awaitable.js";
export type { Duration } from "./internal/duration.js";
