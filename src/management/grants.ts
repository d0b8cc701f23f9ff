import type { InputIssue } from "../http/problem.js";
import { isMadeFromKey } from "../jwt/subject.js";
import { type ApiKey, allowlistWithin, type Principal, type RateLimit } from "../kit.js";

/** What a key is allowed after it was created, changed, rotated or enabled. */
export interface Grant {
  readonly scopes: readonly string[];
  readonly environment: string | null | undefined;
  readonly ipAllowlist: readonly string[] | null | undefined;
  readonly expiresAt: Date | string | null | undefined;
  readonly rateLimit: RateLimit | null | undefined;
}

/** Whether a principal may make a grant, and if not, why. Paths have this package's names. */
export type GrantDecision =
  | { readonly granted: true }
  | {
      readonly granted: false;
      readonly reason: "insufficient_scope";
      readonly requiredScopes: readonly string[];
      readonly grantedScopes: readonly string[];
      readonly missingScopes: readonly string[];
    }
  | { readonly granted: false; readonly reason: "exceeds_own_key"; readonly issues: readonly InputIssue[] };

/**
 * Whether a principal is an API key, or a token made from one. Keys manage keys only where a requirement allows it, and
 * never grant more than they have. A verifier without a store does not provide a token's key, but its claims name it.
 */
export function isKey({ type, key, claims = {} }: Principal): boolean {
  return type === "api_key" || key !== undefined || isMadeFromKey(claims);
}

/** Whether a principal is a token made from an API key. */
export function isKeyToken(principal: Principal): boolean {
  return principal.type !== "api_key" && isKey(principal);
}

/**
 * Returns when the credential of a principal expires, in milliseconds since 1970: a token at its `exp`, and with its key
 * at the latest. `undefined` for a user, and for a key without an expiry.
 */
function expiryOf(principal: Principal): number | undefined {
  const { key, claims } = principal;
  const own = key?.expiresAt?.getTime();
  if (!isKeyToken(principal)) return own;
  const exp = Number(claims?.exp) * 1_000;
  return Number.isFinite(exp) ? Math.min(exp, own ?? exp) : 0; // 0: no grant can be within it
}

/** Returns the principal with the current version of its key. Its scopes stay those that the verifier found. */
export function withKey<S extends string>(principal: Principal<S>, key: ApiKey): Principal<S> {
  const { type, id, ownerId, environment, scopes, claims, requestId } = principal;
  const can = (scope: S) => principal.can(scope);
  return Object.freeze({ type, id, ownerId, environment, scopes, claims, requestId, key, can });
}

/** Whether a key is visible to a principal: same owner and, if the principal has an environment, the same one. */
export function canSee(principal: Principal, key: Pick<ApiKey, "ownerId" | "environment">): boolean {
  const { ownerId, environment } = principal;
  return key.ownerId === ownerId && (environment === undefined || key.environment === environment);
}

/**
 * Checks a grant. A principal can grant only scopes that it holds, directly or by implication. A key made by a key is
 * bounded by the allowlist, expiry and rate limit of the latter, and one made by a token by the expiry of the token too.
 */
export function checkGrant(principal: Principal, grant: Grant): GrantDecision {
  const required = [...new Set(grant.scopes)];
  const missing = required.filter((scope) => !holdsScope(principal, scope));
  if (missing.length > 0) {
    return {
      granted: false,
      reason: "insufficient_scope",
      requiredScopes: required,
      grantedScopes: principal.scopes,
      missingScopes: missing,
    };
  }
  const issues = exceededBounds(principal, grant);
  return issues.length === 0 ? { granted: true } : { granted: false, reason: "exceeds_own_key", issues };
}

/** The members that a new key inherits from the key that creates it, unless they are set. */
export function inheritedMembers(principal: Principal): Partial<Omit<Grant, "scopes">> {
  const { environment, key } = principal;
  const expiry = expiryOf(principal);
  return {
    ...(environment !== undefined && { environment }),
    ...(key?.ipAllowlist && { ipAllowlist: key.ipAllowlist }),
    ...(expiry !== undefined && { expiresAt: new Date(expiry) }),
    ...(key?.rateLimit && { rateLimit: key.rateLimit }),
  };
}

/** An API key may pass on a scope of its own that is no longer defined, so that it can still be rotated. */
function holdsScope(principal: Principal, scope: string): boolean {
  if (principal.can(scope)) return true;
  return principal.type === "api_key" && principal.key?.scopes.includes(scope) === true;
}

function exceededBounds(principal: Principal, grant: Grant): InputIssue[] {
  const { environment, key } = principal;
  const issues: InputIssue[] = [];
  const add = (path: keyof Grant, message: string) => issues.push({ path, message });
  if (environment !== undefined && grant.environment !== environment) {
    add("environment", "must be the environment of your own credential");
  }
  if (key !== undefined && !allowlistWithin(grant.ipAllowlist, key.ipAllowlist)) {
    add("ipAllowlist", "must be within the allowlist of your own key");
  }
  if (!expiresWithin(grant.expiresAt, expiryOf(principal))) {
    add("expiresAt", "must not be later than the expiry of your own credential");
  }
  if (key !== undefined && !limitedWithin(grant.rateLimit, key.rateLimit)) {
    add("rateLimit", "must not exceed the rate limit of your own key");
  }
  return issues;
}

function expiresWithin(child: Grant["expiresAt"], own: number | undefined): boolean {
  if (own === undefined) return true;
  if (child === null || child === undefined) return false;
  return !(new Date(child).getTime() > own); // the manager rejects an invalid date
}

/** Neither the burst nor the average rate may be higher. */
function limitedWithin(child: Grant["rateLimit"], own: RateLimit | null): boolean {
  if (own === null) return true;
  if (!child || child.limit > own.limit) return false;
  return BigInt(child.limit) * BigInt(own.windowSeconds) <= BigInt(own.limit) * BigInt(child.windowSeconds);
}
