import { AuthError } from "../errors.js";
import type { DenialReason } from "../events.js";
import type { Scopes } from "../keys/scopes.js";
import type { CredentialSource } from "../requests/credential.js";
import type { VerificationContext } from "./context.js";
import { definedScopes } from "./principal.js";
import { type RateLimitDecision, rateLimitHeaders } from "./rate-limit.js";

/** The wording of the denials of one verifier. */
export interface DenialWording {
  /** The name of the function that creates the verifier, for error messages. */
  readonly where: string;
  /** The name of a credential in messages, such as `API key`. */
  readonly noun: string;
  readonly source: CredentialSource;
  readonly realm: string;
  readonly exposeKeyState: boolean;
  /** The algorithms of DPoP proofs, for the scheme DPoP. Its challenges have no realm (RFC 9449, section 7.1). */
  readonly algs?: string | undefined;
  /** A parameter of every challenge (RFC 9728, section 5.1). */
  readonly resourceMetadata?: string | undefined;
  /** The challenges of other schemes, for a request without a credential. */
  readonly otherChallenges?: readonly string[];
}

/** Returns the error that a client receives for a denial reason. */
export type Denials<S extends string> = (
  context: Pick<VerificationContext<S>, "route" | "subject">,
  reason: DenialReason,
  limited?: RateLimitDecision,
) => AuthError;

/** Reasons with the same error for every request. */
type FixedReason = Exclude<DenialReason, "insufficient_scope" | "rate_limited">;

/** The error of a request that could not be verified: 503. */
export const UNAVAILABLE: AuthError = new AuthError(
  "unavailable",
  "The API key cannot be checked right now. Try again later.",
  { "Retry-After": "1" },
);

/** Messages with `exposeKeyState`. */
const STATES = {
  revoked: "has been revoked",
  disabled: "is disabled",
  owner_suspended: "belongs to a suspended owner",
  expired: "has expired",
} as const;

/**
 * Creates the errors of one verifier. Most are created once and shared by all requests.
 *
 * @throws TypeError if the realm cannot be sent in a quoted string.
 */
export function createDenials<S extends string>(
  scopes: Scopes<S>,
  { where, noun, source, realm, exposeKeyState, algs, resourceMetadata, otherChallenges = [] }: DenialWording,
): Denials<S> {
  // The part of a quoted-string that needs no escapes (RFC 9110, 5.6.4).
  if (typeof realm !== "string" || !/^[\x20\x21\x23-\x5b\x5d-\x7e]+$/.test(realm)) {
    throw new TypeError(`${where}: "realm" must be printable ASCII without quotes and backslashes`);
  }
  // RFC 6750, section 3: the parameters of a challenge; 3.1: its error codes.
  const challenge = (...parameters: readonly string[]) => {
    const all = algs === undefined ? [`realm="${realm}"`, ...parameters] : [...parameters, `algs="${algs}"`];
    if (resourceMetadata !== undefined) all.push(resourceMetadata);
    return { "WWW-Authenticate": `${source.challenge} ${all.join(", ")}` };
  };
  const invalidToken = challenge('error="invalid_token"');
  const invalidKey = new AuthError("invalid_key", `The ${noun} is not valid.`, invalidToken);
  const inState = (reason: keyof typeof STATES) =>
    exposeKeyState
      ? new AuthError("invalid_key", `The ${noun} ${STATES[reason]}.`, invalidToken, { reason })
      : invalidKey;
  const invalidProof = new AuthError(
    "invalid_dpop_proof",
    "The DPoP proof is missing or not valid.",
    challenge('error="invalid_dpop_proof"'), // RFC 9449, section 7.1
  );
  const ipNotAllowed = new AuthError(
    "ip_not_allowed",
    `The ${noun} may not be used from this network address.`,
  );

  const fixed: Readonly<Record<FixedReason, AuthError>> = {
    missing_credential: new AuthError(
      "missing_credential",
      `Authentication required. Provide a valid ${noun} via ${source.example}`,
      // RFC 6750, 3.1: no error code if the request has no authentication information
      { "WWW-Authenticate": [...Object.values(challenge()), ...otherChallenges].join(", ") },
    ),
    malformed_credential: new AuthError(
      "malformed_credential",
      `The credential cannot be read. Send exactly one, as ${source.example}`,
      challenge('error="invalid_request"'),
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
    token_binding: invalidKey,
    invalid_dpop_proof: invalidProof,
    dpop_proof_replayed: invalidProof,
    dpop_nonce_required: new AuthError(
      "invalid_dpop_proof",
      "The DPoP proof needs the nonce of this response.",
      challenge('error="use_dpop_nonce"'), // RFC 9449, section 9
    ),
    environment_mismatch: invalidKey,
    revoked: inState("revoked"),
    disabled: inState("disabled"),
    owner_suspended: inState("owner_suspended"),
    expired: inState("expired"),
    ip_unknown: ipNotAllowed,
    ip_not_allowed: ipNotAllowed,
  };

  return ({ route, subject }, reason, limited = { allowed: false, states: [] }) => {
    if (reason === "rate_limited") {
      return new AuthError(reason, "Too many requests. Try again later.", rateLimitHeaders(limited));
    }
    if (reason !== "insufficient_scope") return fixed[reason];
    const granted = subject?.scopes ?? [];
    const { requiredScopes } = route;
    return new AuthError(
      reason,
      `The ${noun} lacks a scope that this request needs.`,
      challenge('error="insufficient_scope"', `scope="${requiredScopes.join(" ")}"`),
      {
        requiredScopes,
        grantedScopes: definedScopes(granted, scopes),
        missingScopes: requiredScopes.filter((name) => !scopes.holds(granted, name)),
      },
    );
  };
}
