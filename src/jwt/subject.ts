import { isNonEmptyString } from "../internal/validate.js";
import { type AuthSubject, type KeyRecord, type Scopes, StoreError } from "../kit.js";
import type { JwtClaims } from "./claims.js";
import { getOwn } from "./json.js";

/** The result of the `principal` callback. Missing members take the defaults. */
export interface JwtSubject {
  /** The claim `sub` by default. */
  readonly id?: string | undefined;
  /** The claim `sub` by default; for tokens made from API keys the claim `owner_id`. */
  readonly ownerId?: string | undefined;
  /** None by default; for tokens made from API keys the claim `environment`, which it must not contradict. */
  readonly environment?: string | undefined;
  /** By default the claim `scope`, or else `scp`: a string of names with spaces between them, or an array. */
  readonly scopes?: readonly string[] | undefined;
}

/** The subject of a token. Frozen and cached with the token. */
export interface TokenSubject {
  readonly id: string;
  readonly ownerId: string;
  readonly environment: string | undefined;
  readonly scopes: readonly string[];
  readonly isKey: false;
}

/** The key that a token was issued for. */
export interface KeyBinding {
  readonly keyId: string;
  readonly version: number;
  readonly ownerId: string;
}

/** Whether a token was made from an API key. */
export function isMadeFromKey(claims: Readonly<Record<string, unknown>>): boolean {
  return Object.hasOwn(claims, "key_id");
}

/** Reads the claims that bind a token to a key. Returns `undefined` if one is missing or invalid. */
export function readBinding(claims: JwtClaims): KeyBinding | undefined {
  const [keyId, version, ownerId] = ["key_id", "key_version", "owner_id"].map((name) => getOwn(claims, name));
  if (!isNonEmptyString(keyId) || !Number.isSafeInteger(version) || !isNonEmptyString(ownerId))
    return undefined;
  return { keyId, version: version as number, ownerId };
}

/**
 * Creates the subject of a token from its claims and from the result of the `principal` callback. Returns `undefined` if
 * the claims lack a value that the callback did not supply, or if the callback names another environment than the token.
 *
 * @throws StoreError if the result of the callback is invalid.
 */
export function createSubject(claims: JwtClaims, overrides: JwtSubject): TokenSubject | undefined {
  const { id, ownerId, environment, scopes } = checkOverrides(overrides);
  const isFromKey = isMadeFromKey(claims);
  const claimed = isFromKey ? (getOwn(claims, "environment") ?? undefined) : undefined;
  if (environment !== undefined && claimed !== undefined && environment !== claimed) return undefined;
  const subject = {
    id: id ?? getOwn(claims, "sub"),
    ownerId: ownerId ?? getOwn(claims, isFromKey && Object.hasOwn(claims, "owner_id") ? "owner_id" : "sub"),
    environment: environment ?? claimed,
    scopes: scopes ?? readScopes(claims),
    isKey: false as const,
  };
  return isSubject(subject)
    ? Object.freeze({ ...subject, scopes: Object.freeze([...subject.scopes]) })
    : undefined;
}

/** Restricts the subject of a key-bound token to the scopes that its key still grants. */
export function restrictSubject(
  subject: TokenSubject,
  key: KeyRecord | undefined,
  scopes: Scopes,
): AuthSubject {
  if (key === undefined) return subject;
  const granted = subject.scopes.filter((name) => scopes.holds(key.scopes, name));
  return { ...subject, scopes: granted, isKey: subject.id === key.id };
}

/** `scope` (RFC 8693, section 4.2; RFC 9068, section 2.2.3), or `scp` as other issuers name it. */
function readScopes(claims: JwtClaims): readonly unknown[] | undefined {
  const scope = getOwn(claims, "scope") ?? getOwn(claims, "scp");
  if (scope === undefined || scope === null) return [];
  if (typeof scope === "string") return scope.split(" ").filter((name) => name !== "");
  return Array.isArray(scope) ? scope : undefined;
}

function checkOverrides(overrides: JwtSubject): JwtSubject {
  const { id, ownerId, environment, scopes } = overrides;
  // An array may be an empty result set of a database; the defaults must not turn it into a subject.
  const isObject = typeof overrides === "object" && !Array.isArray(overrides);
  if (isObject && isSubject({ id: id ?? "-", ownerId: ownerId ?? "-", environment, scopes: scopes ?? [] })) {
    return { id, ownerId, environment, scopes };
  }
  throw new StoreError("The principal callback returned something that is not a subject");
}

function isSubject<T extends { readonly [Member in keyof JwtSubject]-?: unknown }>(
  value: T,
): value is T & Omit<TokenSubject, "isKey"> {
  const { id, ownerId, environment, scopes } = value;
  return (
    isNonEmptyString(id) &&
    isNonEmptyString(ownerId) &&
    (environment === undefined || isNonEmptyString(environment)) &&
    Array.isArray(scopes) &&
    scopes.every((name) => typeof name === "string")
  );
}
