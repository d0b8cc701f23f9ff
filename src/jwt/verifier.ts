import { isPromiseLike } from "../internal/awaitable.js";
import {
  type AuthRequest,
  type AuthResult,
  meets,
  type Requirement,
  type Verifier,
  type VerifyOptions,
} from "../kit.js";
import { judgeBinding } from "./bound-keys.js";
import { judgeClaims } from "./claims.js";
import { type JwtVerifierOptions, prepareJwtVerifier } from "./options.js";
import { holderOf, JwtPrincipal } from "./principal.js";

/**
 * Makes a verifier of JWTs (RFC 7519) as access tokens (RFC 6750, RFC 9068), signed as in RFC 7515. Every guard
 * takes it.
 *
 * A token is accepted when one of the issuer's keys signed it with one of `algorithms`, `iss` and `aud` are the
 * expected ones, and it has an `exp` that is to come. Nothing in its header can choose a key or an algorithm that
 * is not allowed (RFC 8725). Everything else is the same 401, and what keeps a token from being judged is a
 * `StoreError`: answer 503.
 *
 * @throws TypeError for options that are unknown, missing or cannot work, naming the option.
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
  const { kit, rules, prove, findKey, isRevoked, notices } = prepareJwtVerifier(given);
  const { scopes, credential, serves, limit, now, begin, allow, deny, fail } = kit;

  async function verify(
    request: AuthRequest,
    required?: Requirement<S>,
    options?: VerifyOptions<S>,
  ): Promise<AuthResult<S>> {
    scopes.assertRequirement(required);
    const attempt = begin(request, required, options);
    try {
      const token = credential(request);
      if (typeof token !== "string") return deny(attempt, token.fault);
      const proving = prove(token);
      const proof = isPromiseLike(proving) ? await proving : proving;
      if (typeof proof === "string") return deny(attempt, proof);

      const finding = proof.binding && findKey(proof.binding);
      const key = isPromiseLike(finding) ? await finding : finding;
      const holder = holderOf(proof, key, scopes);
      attempt.subject = holder;

      const time = now();
      if (!serves(proof.subject.environment)) return deny(attempt, "wrong_environment");
      const flaw = judgeClaims(proof.claims, rules, time) ?? judgeBinding(proof, key, request, kit, time);
      if (flaw !== undefined) return deny(attempt, flaw);
      const asking = isRevoked(proof.claims);
      const revoked = isPromiseLike(asking) ? await asking : asking;
      if (revoked) return deny(attempt, "token_revoked");
      if (!meets(scopes, holder.scopes, required)) return deny(attempt, "insufficient_scope");

      const limiting = limit(key ?? holder, request);
      const limited = isPromiseLike(limiting) ? await limiting : limiting;
      if (limited?.allowed === false) return deny(attempt, "rate_limited", limited);

      const principal = new JwtPrincipal(holder, proof.claims, key, scopes, attempt.request, time);
      return allow(attempt, principal, limited, key && notices(key, time));
    } catch (error) {
      fail(attempt, error);
      throw error;
    }
  }

  return Object.freeze({ verify, assertRequirement: scopes.assertRequirement });
}
