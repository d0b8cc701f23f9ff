import { errors, type JWTVerifyGetKey } from "jose";
import { SIGNING_ALGORITHMS } from "../jwt/algorithms.js";
import type { BoundKeyStore } from "../jwt/bound-keys.js";
import type { JwtClaims } from "../jwt/claims.js";
import type { JwtVerifierOptions } from "../jwt/options.js";
import { createJwtVerifier } from "../jwt/verifier.js";
import {
  COMMON_VERIFIER_OPTIONS,
  type CommonVerifierOptions,
  type Decide,
  decisionOf,
  toVerifier,
  type Verifier,
} from "../kit.js";
import type { PreparedTokenService } from "./options.js";

/** The verifiers of the tokens that a service issued. */
export interface TokenVerifiers<S extends string> {
  /** For guards. The restrictions of the key apply to its tokens. */
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
  const { options, audiences, keys, base, revocations } = prepared;
  const { store, keyTtl, cacheMax } = options;

  const getKey: JWTVerifyGetKey = ({ kid, alg }) => {
    const key = keys.find(kid, alg);
    if (key === undefined) throw new errors.JWKSNoMatchingKey();
    return key;
  };
  const common: JwtVerifierOptions<S> = {
    issuer: options.issuer,
    audience: audiences,
    algorithms: [...SIGNING_ALGORITHMS.keys()], // getKey finds a key only by its own algorithm
    jwks: getKey,
    typ: "at+jwt",
    scopes: base.scopes,
    clock: () => new Date(base.now()),
    storeTimeout: `${base.timeoutMs}ms`,
  };
  // This service issues no token without a `jti`, because it could not be revoked.
  const isRevoked = ({ jti }: JwtClaims) => typeof jti !== "string" || revocations.has(jti);

  const create = (): Decide<S> =>
    decisionOf(
      createJwtVerifier<S>({
        ...pickCommonOptions(options),
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
    forRequests: toVerifier({
      decide: (context) => current()(context),
      assertRequirement: base.scopes.assertRequirement,
      credentials: base.credentials,
    }),
    forIntrospection: createJwtVerifier<S>({
      ...common,
      ...(options.environment === undefined ? {} : { environment: options.environment }),
      keyStore: withoutAllowlist(store),
      keyTtl: "0s",
      isRevoked,
      cacheMax: 0,
    }),
    forRevocation: createJwtVerifier<S>({ ...common, cacheMax: 0 }),
  };
}

function pickCommonOptions<S extends string>(options: CommonVerifierOptions<S>): CommonVerifierOptions<S> {
  const given = COMMON_VERIFIER_OPTIONS.filter((name) => Object.hasOwn(options, name));
  return Object.fromEntries(
    given.map((name) => [name, options[name]]),
  ) as unknown as CommonVerifierOptions<S>;
}

function withoutAllowlist(store: BoundKeyStore): BoundKeyStore {
  return {
    async findById(id) {
      const record = await store.findById(id);
      return record && { ...record, ipAllowlist: null, rateLimit: null };
    },
  };
}
