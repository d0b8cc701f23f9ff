import type { DenialReason } from "../kit.js";
import { getOwn } from "./json.js";

/** The claims of a verified token (RFC 7519, section 4), deeply frozen. */
export interface JwtClaims {
  readonly iss: string;
  readonly aud: string | readonly string[];
  /** Seconds since 1970. */
  readonly exp: number;
  readonly sub?: unknown;
  readonly [claim: string]: unknown;
}

/** The claims that a verifier requires. */
export interface ClaimRules {
  readonly issuers: ReadonlySet<string>;
  readonly audiences: ReadonlySet<string>;
  /** Seconds. */
  readonly tolerance: number;
}

/**
 * Checks the claims at the time `now`, in milliseconds since 1970. Returns the reason to deny the token, or `undefined`.
 * Called for every request, also when the token is cached.
 *
 * RFC 7519, sections 4.1.1 to 4.1.6; RFC 8725, sections 3.8 and 3.9. Strings are compared without normalization.
 * Unreadable values, and a clock that returns `NaN`, deny the token.
 */
export function checkClaims(
  claims: Readonly<Record<string, unknown>>,
  { issuers, audiences, tolerance }: ClaimRules,
  now: number,
): DenialReason | undefined {
  const exp = getOwn(claims, "exp");
  if (!isNumericDate(exp)) return "invalid_token";
  for (const name of ["nbf", "iat"]) {
    if (Object.hasOwn(claims, name) && !isNumericDate(claims[name])) return "invalid_token";
  }
  if (!issuers.has(getOwn(claims, "iss") as string)) return "invalid_token";
  if (!includesAudience(getOwn(claims, "aud"), audiences)) return "invalid_token";
  if (!(now < (exp + tolerance) * 1_000)) return "expired";
  const nbf = getOwn(claims, "nbf") as number | undefined;
  return nbf === undefined || now >= (nbf - tolerance) * 1_000 ? undefined : "not_yet_valid";
}

/** The claim `cnf` of a token (RFC 7800): the key of its client, or something that cannot be checked here. */
export interface Confirmation {
  /** The thumbprint of the key (RFC 9449, section 6.1). */
  readonly jkt: string | undefined;
}

/** Reads `cnf`; `undefined` if there is none. One member is allowed, because each is another condition. */
export function readConfirmation(claims: JwtClaims): Confirmation | undefined {
  if (!Object.hasOwn(claims, "cnf")) return undefined;
  const { cnf } = claims;
  const isOneMember = typeof cnf === "object" && cnf !== null && Object.keys(cnf).length === 1;
  const jkt = isOneMember ? getOwn(cnf as Readonly<Record<string, unknown>>, "jkt") : undefined;
  return { jkt: typeof jkt === "string" ? jkt : undefined };
}

/** RFC 7519, section 2: a number of seconds. JSON has no infinity, but `1e400` is parsed as one. */
function isNumericDate(value: unknown): value is number {
  return typeof value === "number" && Number.isFinite(value);
}

/** RFC 7519, section 4.1.3: a string, or an array of strings that includes one of the audiences. */
function includesAudience(aud: unknown, audiences: ReadonlySet<string>): boolean {
  if (typeof aud === "string") return audiences.has(aud);
  if (!Array.isArray(aud)) return false;
  return aud.every((name) => typeof name === "string") && aud.some((name) => audiences.has(name));
}
