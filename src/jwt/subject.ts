import { StoreError } from "../kit.js";
import type { JwtClaims } from "./claims.js";
import { own } from "./json.js";

/** What a `principal` function says of a token. Absent members take the defaults. */
export interface JwtSubject {
  /** The claim `sub` by default. */
  readonly id?: string | undefined;
  /** The claim `sub` by default; of a token that is bound to a key: `owner_id`. */
  readonly ownerId?: string | undefined;
  /** None by default; of a token that is bound to a key: the claim `environment`. */
  readonly environment?: string | undefined;
  /** The claim `scope`, or `scp`: a text with spaces, or a list. */
  readonly scopes?: readonly string[] | undefined;
}

/** Who a token stands for. Made once for each token, and frozen. */
export interface Subject {
  readonly id: string;
  readonly ownerId: string;
  readonly environment: string | undefined;
  readonly scopes: readonly string[];
  /** No key stands behind it, as far as the token alone can tell. */
  readonly isKey: false;
}

/** The key that a token was made of. */
export interface Binding {
  readonly keyId: string;
  readonly version: number;
  readonly ownerId: string;
}

/** Reads the claims that bind a token to a key; `undefined` when one is missing or is no such thing. */
export function bindingOf(claims: JwtClaims): Binding | undefined {
  const [keyId, version, ownerId] = ["key_id", "key_version", "owner_id"].map((name) => own(claims, name));
  if (!isText(keyId) || !Number.isSafeInteger(version) || !isText(ownerId)) return undefined;
  return { keyId, version: version as number, ownerId };
}

/**
 * Who a token stands for, by its claims and what the host says of them; `undefined` when they do not tell.
 *
 * @throws StoreError when the host says something that is no subject.
 */
export function subjectOf(claims: JwtClaims, isBound: boolean, said: JwtSubject): Subject | undefined {
  const { id, ownerId, environment, scopes } = readSaid(said);
  const subject = {
    id: id ?? own(claims, "sub"),
    ownerId: ownerId ?? own(claims, isBound ? "owner_id" : "sub"),
    environment: environment ?? (isBound ? (own(claims, "environment") ?? undefined) : undefined),
    scopes: scopes ?? scopesOf(claims),
    isKey: false as const,
  };
  return isSubject(subject)
    ? Object.freeze({ ...subject, scopes: Object.freeze([...subject.scopes]) })
    : undefined;
}

/** `scope` (RFC 8693, 4.2; RFC 9068, 2.2.3), or `scp` as others call it; a text with spaces, or a list of texts. */
function scopesOf(claims: JwtClaims): readonly unknown[] | undefined {
  const scope = own(claims, "scope") ?? own(claims, "scp");
  if (scope === undefined || scope === null) return [];
  if (typeof scope === "string") return scope.split(" ").filter((name) => name !== "");
  return Array.isArray(scope) ? scope : undefined;
}

function readSaid(said: JwtSubject): JwtSubject {
  // A list without rows is how a database says nobody, and has no members but the defaults.
  if (typeof said !== "object" || said === null || Array.isArray(said)) throw nonsense();
  const { id, ownerId, environment, scopes } = said;
  if (!isSubject({ id: id ?? "-", ownerId: ownerId ?? "-", environment, scopes: scopes ?? [] })) {
    throw nonsense();
  }
  return { id, ownerId, environment, scopes };
}

function isSubject<T extends { readonly [Member in keyof JwtSubject]-?: unknown }>(
  value: T,
): value is T & Omit<Subject, "isKey"> {
  const { id, ownerId, environment, scopes } = value;
  return (
    isText(id) &&
    isText(ownerId) &&
    (environment === undefined || isText(environment)) &&
    Array.isArray(scopes) &&
    scopes.every((name) => typeof name === "string")
  );
}

function nonsense(): StoreError {
  return new StoreError("The principal function answered something that is not a subject");
}

function isText(value: unknown): value is string {
  return typeof value === "string" && value !== "";
}
