import { errors, type JWTVerifyGetKey } from "jose";
import type { JwtClaims } from "../jwt/claims.js";
import type { JwtVerifierOptions } from "../jwt/options.js";
import { createJwtVerifier } from "../jwt/verifier.js";
import {
  COMMON_VERIFIER_OPTIONS,
  type CommonVerifierOptions,
  type ManagedKeyStore,
  type Verifier,
} from "../kit.js";
import type { PreparedTokenService } from "./options.js";
import { SIGNING_ALGORITHMS } from "./signing-key.js";

/** A JWS in its compact form (RFC 7515, 3.1). */
export const COMPACT: RegExp = /^[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+$/;

/** The verifiers of the tokens that a service issued. */
export interface TokenVerifiers<S extends string> {
  /** For guards: everything that holds for the key of a token holds for the token. */
  readonly bound: Verifier<S>;
  /**
   * For introspection: whether a token works, for somebody. It asks the store each time, tells no observer, and
   * counts for no limit; the allowlist of a key is about who uses its token, not about who asks what it is.
   */
  readonly anywhere: Verifier<S>;
  /** For revocation: whether a token is one of this service and not over, revoked or not. */
  readonly genuine: Verifier<S>;
}

export function createTokenVerifiers<S extends string>(prepared: PreparedTokenService<S>): TokenVerifiers<S> {
  const { options, audiences, keys, kit, revocations } = prepared;
  const { store, keyTtl, cacheMax } = options;

  const keyOf: JWTVerifyGetKey = ({ kid, alg }) => {
    const key = keys.find(kid, alg);
    if (key === undefined) throw new errors.JWKSNoMatchingKey();
    return key;
  };
  const genuine: JwtVerifierOptions<S> = {
    issuer: options.issuer,
    audience: audiences,
    algorithms: SIGNING_ALGORITHMS, // of which one counts: a key is found by its own algorithm only
    jwks: keyOf,
    typ: "at+jwt",
    scopes: kit.scopes,
    clock: () => new Date(kit.now()),
    storeTimeout: `${kit.timeoutMs}ms`,
  };
  // A token without an id cannot be revoked, so this service issued none.
  const isRevoked = ({ jti }: JwtClaims) => typeof jti !== "string" || revocations.has(jti);

  const createBound = () =>
    createJwtVerifier<S>({
      ...commonOptions(options),
      ...genuine,
      keyStore: store,
      isRevoked,
      ...(keyTtl === undefined ? {} : { keyTtl }),
      ...(cacheMax === undefined ? {} : { cacheMax }),
    });
  let [bound, revision] = [createBound(), keys.revision()];
  // Tokens of a key that is out must be out, with what was verified of them before.
  const current = (): Verifier<S> => {
    const latest = keys.revision();
    if (latest !== revision) [bound, revision] = [createBound(), latest];
    return bound;
  };

  return {
    bound: Object.freeze({
      verify: async (...args: Parameters<Verifier<S>["verify"]>) => current().verify(...args),
      assertRequirement: kit.scopes.assertRequirement,
    }),
    anywhere: createJwtVerifier<S>({
      ...genuine,
      ...(options.environment === undefined ? {} : { environment: options.environment }),
      keyStore: withoutNetworks(store),
      keyTtl: "0s",
      isRevoked,
      cacheMax: 0,
    }),
    genuine: createJwtVerifier<S>({ ...genuine, cacheMax: 0 }),
  };
}

function commonOptions<S extends string>(options: CommonVerifierOptions<S>): CommonVerifierOptions<S> {
  const given = COMMON_VERIFIER_OPTIONS.filter((name) => Object.hasOwn(options, name));
  return Object.fromEntries(
    given.map((name) => [name, options[name]]),
  ) as unknown as CommonVerifierOptions<S>;
}

function withoutNetworks(store: Pick<ManagedKeyStore, "findById">): Pick<ManagedKeyStore, "findById"> {
  return {
    async findById(id) {
      const record = await store.findById(id);
      return record && { ...record, ipAllowlist: null, rateLimit: null };
    },
  };
}
