import type { Fault } from "../http/problem.js";
import { type ApiKey, allowlistWithin, type Principal, type RateLimit } from "../kit.js";

/** What a key would be allowed: of a new one, or of one that is changed, rotated or enabled. */
export interface Grant {
  readonly scopes: readonly string[];
  readonly environment: string | null | undefined;
  readonly ipAllowlist: readonly string[] | null | undefined;
  readonly expiresAt: Date | string | null | undefined;
  readonly rateLimit: RateLimit | null | undefined;
}

/** Whether a principal may grant it, and if not, what is too much. Paths are in this package's spelling. */
export type GrantVerdict =
  | { readonly granted: true }
  | {
      readonly granted: false;
      readonly because: "insufficient_scope";
      readonly requiredScopes: readonly string[];
      readonly grantedScopes: readonly string[];
      readonly missingScopes: readonly string[];
    }
  | { readonly granted: false; readonly because: "exceeds_own_key"; readonly faults: readonly Fault[] };

/**
 * Whether a principal is an API key, or a token that was made of one: these never give away more than they have,
 * and manage keys only where a requirement says so. A verifier without a store does not show the key of a token,
 * but the claims name it.
 */
export function isKey({ type, key, claims = {} }: Principal): boolean {
  const isBound = Object.hasOwn(claims, "key_id") && Object.hasOwn(claims, "key_version");
  return type === "api_key" || key !== undefined || isBound;
}

/** The same principal with its key as it is now. Its scopes are what its verifier says. */
export function withKey<S extends string>(principal: Principal<S>, key: ApiKey): Principal<S> {
  const { type, id, ownerId, environment, scopes, claims, requestId } = principal;
  const can = (scope: S) => principal.can(scope);
  return Object.freeze({ type, id, ownerId, environment, scopes, claims, requestId, key, can });
}

/** Whether a principal sees a key at all: one of its owner and, if it is bound to one, of its environment. */
export function sees(principal: Principal, key: Pick<ApiKey, "ownerId" | "environment">): boolean {
  const { ownerId, environment } = principal;
  return key.ownerId === ownerId && (environment === undefined || key.environment === environment);
}

/**
 * Judges a grant. Nobody grants scopes that they do not hold, directly or by implication, and a key is bounded by
 * the allowlist, the expiry and the rate limit of the key that makes it.
 */
export function judgeGrant(principal: Principal, grant: Grant): GrantVerdict {
  const required = [...new Set(grant.scopes)];
  const missing = required.filter((scope) => !holds(principal, scope));
  if (missing.length > 0) {
    return {
      granted: false,
      because: "insufficient_scope",
      requiredScopes: required,
      grantedScopes: principal.scopes,
      missingScopes: missing,
    };
  }
  const faults = excess(principal, grant);
  return faults.length === 0 ? { granted: true } : { granted: false, because: "exceeds_own_key", faults };
}

/** What a new key takes over from the one that makes it, when nobody says otherwise. */
export function inherited({ environment, key }: Principal): Partial<Omit<Grant, "scopes">> {
  return {
    ...(environment !== undefined && { environment }),
    ...(key?.ipAllowlist && { ipAllowlist: key.ipAllowlist }),
    ...(key?.expiresAt && { expiresAt: key.expiresAt }),
    ...(key?.rateLimit && { rateLimit: key.rateLimit }),
  };
}

/** A scope that is no longer defined is held by nobody, but a key may keep the one that it has. */
function holds(principal: Principal, scope: string): boolean {
  if (principal.can(scope)) return true;
  return principal.type === "api_key" && principal.key?.scopes.includes(scope) === true;
}

function excess(principal: Principal, grant: Grant): Fault[] {
  const { environment, key } = principal;
  const faults: Fault[] = [];
  const add = (path: keyof Grant, message: string) => faults.push({ path, message });
  if (environment !== undefined && grant.environment !== environment) {
    add("environment", "must be the environment of your own credential");
  }
  if (key === undefined) return faults;
  if (!allowlistWithin(grant.ipAllowlist, key.ipAllowlist)) {
    add("ipAllowlist", "must let nothing through that the allowlist of your own key does not");
  }
  if (!endsWithin(grant.expiresAt, key.expiresAt)) add("expiresAt", "must not be after that of your own key");
  if (!limitedWithin(grant.rateLimit, key.rateLimit)) {
    add("rateLimit", "must allow no more than that of your own key");
  }
  return faults;
}

function endsWithin(child: Grant["expiresAt"], own: Date | null): boolean {
  if (own === null) return true;
  if (child === null || child === undefined) return false;
  return !(new Date(child).getTime() > own.getTime()); // what is no date is refused by the manager
}

/** No more at once, and no more in the long run. */
function limitedWithin(child: Grant["rateLimit"], own: RateLimit | null): boolean {
  if (own === null) return true;
  if (!child || child.limit > own.limit) return false;
  return BigInt(child.limit) * BigInt(own.windowSeconds) <= BigInt(own.limit) * BigInt(child.windowSeconds);
}
