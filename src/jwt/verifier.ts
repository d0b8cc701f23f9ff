import { type Awaitable, mapAwaitable } from "../internal/awaitable.js";
import {
  type AuthResult,
  createVerifierFrom,
  type KeyRecord,
  meets,
  RequestPrincipal,
  type VerificationContext,
  type Verifier,
  type VerifierBase,
} from "../kit.js";
import { checkBinding } from "./bound-keys.js";
import { checkClaims } from "./claims.js";
import type { Proof } from "./dpop/proofs.js";
import { type JwtVerifierOptions, prepareJwtVerifier, type ServiceSettings } from "./options.js";
import { checkPossession, readPresented } from "./possession.js";
import { restrictSubject } from "./subject.js";
import type { VerifiedToken } from "./token-verification.js";

/**
 * Creates a verifier of JWT access tokens (RFC 7519, RFC 6750, RFC 9068). Every guard accepts it.
 *
 * A token is valid if it is signed with one of `algorithms` by a key of the issuer, `iss` and `aud` match, and `exp` is
 * in the future. Every other token is denied with the same 401. If a token cannot be verified, for example because the
 * JWKS is unreachable, `verify` rejects with a `StoreError`, and guards respond with 503.
 *
 * @throws TypeError if an option is unknown, missing or invalid; the message names the option.
 *
 * @example
 * const verifier = createJwtVerifier({
 *   issuer: "https://login.example.com/",
 *   audience: "https://api.example.com",
 *   algorithms: ["RS256"],
 *   jwks: "https://login.example.com/.well-known/jwks.json",
 *   scopes,
 * });
 * const auth = expressAuth(verifier);
 */
export function createJwtVerifier<S extends string>(given: JwtVerifierOptions<S>): Verifier<S> {
  return createServiceVerifier(given);
}

/** Creates a verifier for a token service, with settings that are no options. */
export function createServiceVerifier<S extends string>(
  given: JwtVerifierOptions<S>,
  service?: ServiceSettings,
): Verifier<S> {
  const prepared = prepareJwtVerifier(given, service);
  const { base, rules, verifyToken, findKey, isRevoked, notices, possession, isTrusted } = prepared;
  const { scopes, serves, limit, now, allow } = base;

  return createVerifierFrom(base, (context) => {
    const { token, dpop } = readPresented(context.request, base, possession);
    const { deny } = dpop?.base ?? base;
    if (typeof token !== "string") return deny(context, token.fault);
    return mapAwaitable(verifyToken(token), (verified) => {
      if (typeof verified === "string") return deny(context, verified);
      const possessed = checkPossession(context, { token, dpop }, verified, base, possession);
      return mapAwaitable(possessed, (proof) => {
        if (proof !== undefined && "ok" in proof) return proof;
        const key = verified.binding && findKey(verified.binding);
        return mapAwaitable(key, (found) => authorize(context, verified, found, deny, proof));
      });
    });
  });

  function authorize(
    context: VerificationContext<S>,
    verified: VerifiedToken,
    key: KeyRecord | undefined,
    deny: VerifierBase<S>["deny"],
    proof: Proof | undefined,
  ): Awaitable<AuthResult<S>> {
    const { claims } = verified;
    const subject = restrictSubject(verified.subject, key, scopes);
    context.subject = subject;
    const time = now();
    if (!serves(verified.subject.environment)) return deny(context, "wrong_environment");
    const reason =
      checkClaims(claims, rules, time) ?? checkBinding(verified, key, context.request, base, time);
    if (reason !== undefined) return deny(context, reason);

    return mapAwaitable(isTrusted(verified.key), (trusted) => {
      if (!trusted) return deny(context, "invalid_token");
      return mapAwaitable(isRevoked(claims), (revoked) => {
        if (revoked) return deny(context, "token_revoked");
        if (!meets(scopes, subject.scopes, context.route.requirement)) {
          return deny(context, "insufficient_scope");
        }
        // Before the limiter, so that replays do not use up the limits of the key.
        return mapAwaitable(proof?.use(subject.ownerId) ?? true, (isFirstUse) => {
          if (!isFirstUse) return deny(context, "dpop_proof_replayed");
          return mapAwaitable(limit(key ?? subject, context.request), (limited) => {
            if (limited?.allowed === false) return deny(context, "rate_limited", limited);
            const principal = new RequestPrincipal(subject, scopes, context, time, key, claims);
            return allow(context, principal, limited, key && notices(key, time));
          });
        });
      });
    });
  }
}
