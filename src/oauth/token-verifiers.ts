import { errors, type JWTVerifyGetKey, type KeyInput } from "jose";
import { mapAwaitable } from "../internal/awaitable.js";
import { SIGNING_ALGORITHMS } from "../jwt/algorithms.js";
import type { BoundKeyStore } from "../jwt/bound-keys.js";
import type { JwtClaims } from "../jwt/claims.js";
import type { JwtVerifierOptions } from "../jwt/options.js";
import { createServiceVerifier } from "../jwt/verifier.js";
import type { Verifier } from "../kit.js";
import type { PreparedTokenService } from "./options.js";
import { revocableToken } from "./revocation-list.js";

/** The verifiers of the tokens that a service issued. */
export interface TokenVerifiers<S extends string> {
  /** For guards. Enforces and observes what the verifier of API keys does. Accepts the audience of this service only. */
  readonly forRequests: Verifier<S>;
  /**
   * For introspection. Looks up the key every time, has no observers and no rate limit, and ignores the allowlist of the
   * key, which restricts who uses the token and not who introspects it.
   */
  readonly forIntrospection: Verifier<S>;
  /** For revocation. Accepts every unexpired token of this service, revoked or not. */
  readonly forRevocation: Verifier<S>;
}

export function createTokenVerifiers<S extends string>(prepared: PreparedTokenService<S>): TokenVerifiers<S> {
  const { options, settings, audiences, keys, revocations, dpop } = prepared;
  const { store, keyTtl, cacheMax } = options;

  const getKey: JWTVerifyGetKey = async ({ kid, alg }) => {
    await keys.refresh();
    const key = keys.find(kid, alg);
    if (key === undefined) throw new errors.JWKSNoMatchingKey();
    return key;
  };
  const { rateLimiter: _, observers: __, ...unobserved } = settings.options;
  const common: JwtVerifierOptions<S> = {
    ...unobserved,
    issuer: options.issuer,
    audience: audiences[0],
    algorithms: [...SIGNING_ALGORITHMS.keys()], // getKey finds a key only by its own algorithm
    jwks: getKey,
    typ: "at+jwt",
  };
  // This service issues no token without a `jti`, because it could not be revoked.
  const isRevoked = (claims: JwtClaims) =>
    typeof claims.jti !== "string" || revocations.has(claims.jti, revocableToken(claims));

  const bound = { ...common, keyStore: store, isRevoked };
  const isTrusted = (key: KeyInput) => mapAwaitable(keys.refresh(), () => keys.has(key));
  const unchecked = { proofs: "unchecked", isTrusted } as const; // a client proves possession to the service that it calls

  return {
    forRequests: settings.wrap(
      createServiceVerifier<S>(
        {
          ...settings.options,
          ...bound,
          ...(keyTtl === undefined ? {} : { keyTtl }),
          ...(cacheMax === undefined ? {} : { cacheMax }),
        },
        { proofs: dpop?.proofs, isTrusted },
      ),
    ),
    forIntrospection: createServiceVerifier<S>(
      { ...bound, audience: audiences, keyStore: withoutAllowlist(store), keyTtl: "0s", cacheMax: 0 },
      unchecked,
    ),
    forRevocation: createServiceVerifier<S>({ ...common, audience: audiences, cacheMax: 0 }, unchecked),
  };
}

function withoutAllowlist(store: BoundKeyStore): BoundKeyStore {
  return {
    async findById(id) {
      const record = await store.findById(id);
      return record && { ...record, ipAllowlist: null, rateLimit: null };
    },
  };
}
