import { AuthError } from "../errors.js";
import type { DenialReason } from "../events.js";
import type { VerifiableRecord } from "../keys/record.js";
import { type Requirement, requiredScopes, type Scopes } from "../keys/scopes.js";
import type { CredentialSource } from "../requests/credential.js";
import type { AuthRequest } from "../requests/request.js";
import { definedScopes } from "./principal.js";
import { type RateLimitDecision, rateLimitHeaders } from "./rate-limit.js";

/** One request on its way through a verifier, as far as it came. */
export interface VerificationContext<S extends string> {
  readonly request: AuthRequest;
  readonly requirement: Requirement<S> | undefined;
  /** What its route has on trial. */
  readonly reportOnly?: Requirement<S> | undefined;
  /** When it began, in milliseconds of `performance.now()`, for verifiers with observers. */
  readonly startedAt?: number;
  /** Whose it is, once that is known. */
  subject?: AuthSubject | undefined;
}

/** Who holds the credential of a request. */
export type AuthSubject = Pick<VerifiableRecord, "id" | "ownerId" | "environment" | "scopes"> & {
  /** `false` for the subject of a token that no key stands behind. */
  readonly isKey?: boolean;
};

/** How the refusals of one verifier are worded. */
export interface DenialWording {
  /** The name of the function that makes the verifier, for errors. */
  readonly where: string;
  /** What a credential is called, such as `API key`. */
  readonly noun: string;
  readonly source: CredentialSource;
  readonly realm: string;
  readonly exposeKeyState: boolean;
}

/** The error that a client is answered, for each reason to refuse it. */
export type Denials<S extends string> = (
  attempt: VerificationContext<S>,
  reason: DenialReason,
  limited?: RateLimitDecision,
) => AuthError;

/** Reasons whose error is the same for every request. */
type FixedReason = Exclude<DenialReason, "insufficient_scope" | "rate_limited">;

/** The 503 that a guard answers when nobody could judge the request. */
export const UNAVAILABLE: AuthError = new AuthError(
  "unavailable",
  "The API key cannot be checked right now. Try again later.",
  { "Retry-After": "1" },
);

/** With `exposeKeyState`, the holder of a key is told why it stopped working. */
const STATES = {
  revoked: "has been revoked",
  disabled: "is disabled",
  expired: "has expired",
} as const;

/**
 * Makes the errors of one verifier. Most are made once, here, and shared by every request.
 *
 * @throws TypeError for a realm that a quoted string could not carry.
 */
export function createDenials<S extends string>(
  scopes: Scopes<S>,
  { where, noun, source, realm, exposeKeyState }: DenialWording,
): Denials<S> {
  // The part of a quoted-string that needs no escapes (RFC 9110, 5.6.4).
  if (typeof realm !== "string" || !/^[\x20\x21\x23-\x5b\x5d-\x7e]+$/.test(realm)) {
    throw new TypeError(`${where}: "realm" must be printable ASCII without quotes and backslashes`);
  }
  // RFC 6750, section 3: the parameters of a challenge; 3.1: its error codes.
  const challenge = (parameters = "") => ({
    "WWW-Authenticate": `${source.challenge} realm="${realm}"${parameters}`,
  });
  const invalidToken = challenge(', error="invalid_token"');
  const invalidKey = new AuthError("invalid_key", `The ${noun} is not valid.`, invalidToken);
  const inState = (reason: keyof typeof STATES) =>
    exposeKeyState
      ? new AuthError("invalid_key", `The ${noun} ${STATES[reason]}.`, invalidToken, { reason })
      : invalidKey;
  const ipNotAllowed = new AuthError(
    "ip_not_allowed",
    `The ${noun} may not be used from this network address.`,
  );

  const fixed: Readonly<Record<FixedReason, AuthError>> = {
    missing_credential: new AuthError(
      "missing_credential",
      `Authentication required. Provide a valid ${noun} via ${source.example}`,
      challenge(), // RFC 6750, 3.1: a request without authentication information is told no error
    ),
    malformed_credential: new AuthError(
      "malformed_credential",
      `The credential cannot be read. Send exactly one, as ${source.example}`,
      challenge(', error="invalid_request"'),
    ),
    unrecognized_format: invalidKey,
    wrong_environment: new AuthError(
      "wrong_environment",
      `The ${noun} belongs to another environment.`,
      invalidToken,
    ),
    unknown_key: invalidKey,
    invalid_token: invalidKey,
    not_yet_valid: invalidKey,
    key_changed: invalidKey,
    token_revoked: invalidKey,
    environment_mismatch: invalidKey,
    revoked: inState("revoked"),
    disabled: inState("disabled"),
    expired: inState("expired"),
    ip_unknown: ipNotAllowed,
    ip_not_allowed: ipNotAllowed,
  };

  return ({ requirement: required, subject: holder }, reason, limited) => {
    if (reason === "rate_limited") {
      return new AuthError(
        reason,
        "Too many requests. Try again later.",
        rateLimitHeaders(limited ?? { allowed: false, states: [] }),
      );
    }
    if (reason !== "insufficient_scope") return fixed[reason];
    const granted = holder?.scopes ?? [];
    const names = requiredScopes(required);
    return new AuthError(
      reason,
      `The ${noun} lacks a scope that this request needs.`,
      challenge(`, error="insufficient_scope", scope="${names.join(" ")}"`),
      {
        requiredScopes: names,
        grantedScopes: definedScopes(granted, scopes),
        missingScopes: names.filter((name) => !scopes.holds(granted, name)),
      },
    );
  };
}
