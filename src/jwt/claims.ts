import type { DenialReason } from "../kit.js";
import { own } from "./json.js";

/** The claims of a verified token (RFC 7519, 4), deep frozen. */
export interface JwtClaims {
  readonly iss: string;
  readonly aud: string | readonly string[];
  /** Seconds since 1970. */
  readonly exp: number;
  readonly sub?: unknown;
  readonly [claim: string]: unknown;
}

/** What the claims have to be. */
export interface ClaimRules {
  readonly issuers: ReadonlySet<string>;
  readonly audiences: ReadonlySet<string>;
  /** Seconds. */
  readonly tolerance: number;
}

/**
 * Why a token does not work at this moment, in milliseconds since 1970; `undefined` when it does. The one
 * judgement of every request, whether its token was verified now or before.
 *
 * RFC 7519, 4.1.1 to 4.1.6; RFC 8725, 3.8 and 3.9. Texts are compared as they are, without normalization. What
 * cannot be read counts against the token, and so does a clock that answers no time.
 */
export function judgeClaims(
  claims: Readonly<Record<string, unknown>>,
  { issuers, audiences, tolerance }: ClaimRules,
  now: number,
): DenialReason | undefined {
  const exp = own(claims, "exp");
  if (!isNumericDate(exp)) return "invalid_token";
  for (const name of ["nbf", "iat"]) {
    if (Object.hasOwn(claims, name) && !isNumericDate(claims[name])) return "invalid_token";
  }
  if (!issuers.has(own(claims, "iss") as string)) return "invalid_token";
  if (!isMeantFor(own(claims, "aud"), audiences)) return "invalid_token";
  if (!(now < (exp + tolerance) * 1_000)) return "expired";
  const nbf = own(claims, "nbf") as number | undefined;
  return nbf === undefined || now >= (nbf - tolerance) * 1_000 ? undefined : "not_yet_valid";
}

/** RFC 7519, 2: a number of seconds. JSON has no infinity, but `1e400` is read as one. */
function isNumericDate(value: unknown): value is number {
  return typeof value === "number" && Number.isFinite(value);
}

/** RFC 7519, 4.1.3: a text, or a list of texts of which one must be ours. */
function isMeantFor(aud: unknown, audiences: ReadonlySet<string>): boolean {
  if (typeof aud === "string") return audiences.has(aud);
  if (!Array.isArray(aud)) return false;
  return aud.every((name) => typeof name === "string") && aud.some((name) => audiences.has(name));
}
