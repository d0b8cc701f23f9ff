import { errors, type JWTVerifyGetKey } from "jose";
import { SIGNING_ALGORITHMS } from "../jwt/algorithms.js";
import type { BoundKeyStore } from "../jwt/bound-keys.js";
import type { JwtClaims } from "../jwt/claims.js";
import type { JwtVerifierOptions } from "../jwt/options.js";
import { createJwtVerifier } from "../jwt/verifier.js";
import { type Decide, decisionOf, toVerifier, type Verifier } from "../kit.js";
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
  const { options, settings, audiences, keys, base, revocations } = prepared;
  const { store, keyTtl, cacheMax } = options;

  const getKey: JWTVerifyGetKey = ({ kid, alg }) => {
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

  const create = (): Decide<S> =>
    decisionOf(
      createJwtVerifier<S>({
        ...settings.options,
        ...common,
        keyStore: store,
        isRevoked,
        ...(keyTtl === undefined ? {} : { keyTtl }),
        ...(cacheMax === undefined ? {} : { cacheMax }),
      }),
    );
  let [decide, revision] = [create(), keys.revision()];
  // A new verifier drops the cached tokens of a removed key.
  const current = (): Decide<S> => {
    const latest = keys.revision();
    if (latest !== revision) [decide, revision] = [create(), latest];
    return decide;
  };

  return {
    forRequests: settings.wrap(
      toVerifier({
        decide: (context) => current()(context),
        assertRequirement: base.scopes.assertRequirement,
        credentials: base.credentials,
      }),
    ),
    forIntrospection: createJwtVerifier<S>({
      ...common,
      audience: audiences,
      keyStore: withoutAllowlist(store),
      keyTtl: "0s",
      isRevoked,
      cacheMax: 0,
    }),
    forRevocation: createJwtVerifier<S>({ ...common, audience: audiences, cacheMax: 0 }),
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
