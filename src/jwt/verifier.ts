import { type Awaitable, mapAwaitable } from "../internal/awaitable.js";
import {
  type AuthResult,
  createVerifierFrom,
  type KeyRecord,
  meets,
  RequestPrincipal,
  type VerificationContext,
  type Verifier,
} from "../kit.js";
import { checkBinding } from "./bound-keys.js";
import { checkClaims } from "./claims.js";
import { type JwtVerifierOptions, prepareJwtVerifier } from "./options.js";
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
  const { base, rules, verifyToken, findKey, isRevoked, notices } = prepareJwtVerifier(given);
  const { scopes, credential, serves, limit, now, allow, deny } = base;

  return createVerifierFrom(base, (context) => {
    const token = credential(context.request);
    if (typeof token !== "string") return deny(context, token.fault);
    return mapAwaitable(verifyToken(token), (verified) => {
      if (typeof verified === "string") return deny(context, verified);
      const key = verified.binding && findKey(verified.binding);
      return mapAwaitable(key, (found) => authorize(context, verified, found));
    });
  });

  function authorize(
    context: VerificationContext<S>,
    verified: VerifiedToken,
    key: KeyRecord | undefined,
  ): Awaitable<AuthResult<S>> {
    const { claims } = verified;
    const subject = restrictSubject(verified.subject, key, scopes);
    context.subject = subject;
    const time = now();
    if (!serves(verified.subject.environment)) return deny(context, "wrong_environment");
    const reason =
      checkClaims(claims, rules, time) ?? checkBinding(verified, key, context.request, base, time);
    if (reason !== undefined) return deny(context, reason);

    return mapAwaitable(isRevoked(claims), (revoked) => {
      if (revoked) return deny(context, "token_revoked");
      if (!meets(scopes, subject.scopes, context.route.requirement)) {
        return deny(context, "insufficient_scope");
      }
      return mapAwaitable(limit(key ?? subject, context.request), (limited) => {
        if (limited?.allowed === false) return deny(context, "rate_limited", limited);
        const principal = new RequestPrincipal(subject, scopes, context, time, key, claims);
        return allow(context, principal, limited, key && notices(key, time));
      });
    });
  }
}
