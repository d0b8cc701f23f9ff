import type { JSONWebKeySet } from "jose";
import { type ConnectionInfo, fetchRequestId, type RequestHandler } from "../http/handler.js";
import { jsonResponse } from "../http/json-response.js";
import { type Duration, readDuration } from "../internal/duration.js";
import { checkOptions } from "../internal/validate.js";
import { AuthError, type Verifier } from "../kit.js";
import { createClientAuth } from "./client-auth.js";
import { CACHEABLE, notFound, oauthEndpoint, problemResponse } from "./endpoint.js";
import { createExchange, type ExchangeRequest, type ExchangeResult } from "./exchange.js";
import { serveIntrospection } from "./introspection-endpoint.js";
import { createMetadata, metadataPathOf, PATHS } from "./metadata.js";
import { prepareTokenService, type TokenServiceOptions } from "./options.js";
import { serveRevocation } from "./revocation-endpoint.js";
import type { SigningKey } from "./signing-key.js";
import { serveToken } from "./token-endpoint.js";
import { createTokenVerifiers } from "./token-verifiers.js";

/** Exchanges API keys for short-lived JWTs, and verifies them. Created by {@link createTokenService}. */
export interface TokenService<S extends string = string> {
  /**
   * Exchanges the API key of a request for a token.
   *
   * @throws StoreError if the key cannot be verified; respond with 503.
   * @throws TypeError if `audience` is empty, or contains one that is neither `audience` nor in `otherAudiences`.
   *
   * @example
   * const result = await tokens.exchange({ request: { headers: request.headers }, scope: "vehicles:read" });
   * if (result.ok) console.log(result.expiresIn, result.scopes);
   */
  exchange(request: ExchangeRequest<S>): Promise<ExchangeResult<S>>;
  /** Verifies the tokens of this service. Accepted by every guard and by `anyVerifier`. */
  readonly verifier: Verifier<S>;
  /**
   * Returns a copy of the published public keys.
   *
   * @throws StoreError if `signingKeyStore` was not read within the heartbeat; the endpoint `keys` reads it.
   */
  jwks(): JSONWebKeySet;
  /**
   * Signs with another key. The previous key stays published, and its tokens accepted, for `overlap`: the `ttl` of tokens
   * by default, at most that. After a leak, pass `"0s"`: the key and its tokens are rejected at once.
   *
   * Other services may have cached the published keys. Publish the next key before it signs: add it to `signingKey`, and
   * rotate to it later. With `signingKeyStore`, it must be there, in every process; the change is in force in each of them
   * within `signingKeyHeartbeat` after the promise fulfils.
   *
   * @throws TypeError if the key is invalid, already signs, its `kid` belongs to another key or, with `signingKeyStore`, it
   *   is retired or not in `signingKey`.
   * @throws RangeError if 16 keys are published.
   * @throws StoreError if `signingKeyStore` fails. After a timeout, the key may have changed.
   *
   * @example
   * await tokens.rotateSigningKey({ key: await readFile("next.pem", "utf8"), kid: "2030-02" });
   */
  rotateSigningKey(key: SigningKey, options?: { readonly overlap?: Duration }): Promise<void>;
  /**
   * Retires a key that does not sign, such as a leaked one before its overlap ends: it is no longer published, and its
   * tokens are rejected, in this process at once. With `signingKeyStore`, in every process within `signingKeyHeartbeat`.
   *
   * @throws TypeError if the key signs, or no key has this `kid`.
   * @throws StoreError if `signingKeyStore` fails. After a timeout, the key may be retired.
   */
  retireSigningKey(kid: string): Promise<void>;
  /** Serves all endpoints below `basePath`, and the metadata where RFC 8414 expects it; any other path is a 404. */
  readonly handler: RequestHandler;
  /** `POST /token`: RFC 6749, section 4.4, and RFC 8693. */
  readonly token: RequestHandler;
  /** `GET /.well-known/jwks.json`: RFC 7517. */
  readonly keys: RequestHandler;
  /** `POST /introspect`: RFC 7662. */
  readonly introspect: RequestHandler;
  /** `POST /revoke`: RFC 7009. */
  readonly revoke: RequestHandler;
  /**
   * `GET /.well-known/oauth-authorization-server`, followed by the path of the issuer: RFC 8414. A 404 if `issuer` is not
   * a URL.
   */
  readonly metadata: RequestHandler;
}

/**
 * Creates a token service, which exchanges API keys for JWTs.
 *
 * A token never exceeds its key: it has some of the key's scopes, expires with the key at the latest, and the key's
 * allowlist and rate limit apply to it. The `verifier` of the service denies it within `keyTtl` after the key is revoked,
 * disabled or changed. A service that has only the published keys accepts a token until its `exp`, so keep `ttl` short.
 *
 * @throws TypeError if an option is unknown, missing or invalid.
 *
 * @example
 * const tokens = createTokenService({
 *   issuer: "https://api.example.com", audience: "https://api.example.com", signingKey: process.env.TOKEN_KEY,
 *   ttl: "15m", verifier, store, scopes, revocations });
 * app.use(expressHandler(tokens.handler));
 * const auth = expressAuth(anyVerifier(verifier, tokens.verifier));
 */
export function createTokenService<S extends string>(options: TokenServiceOptions<S>): TokenService<S> {
  const prepared = prepareTokenService(options);
  const { audiences, ttlSeconds, keys, base, basePath, dpop, report } = prepared;
  const exchange = createExchange(prepared);
  const clientAuth = createClientAuth(exchange, prepared);
  const { forRequests, forIntrospection, forRevocation } = createTokenVerifiers(prepared);
  const metadata = createMetadata(prepared.options.issuer, basePath, base.scopes, dpop !== undefined);

  const endpoints = {
    token: oauthEndpoint("POST", report, serveToken(prepared, exchange, clientAuth)),
    introspect: oauthEndpoint("POST", report, serveIntrospection(prepared, forIntrospection, clientAuth)),
    revoke: oauthEndpoint("POST", report, serveRevocation(prepared, forRevocation, clientAuth)),
    keys: oauthEndpoint("GET", report, async (request, { requestId }) => {
      await keys.refresh();
      return jsonResponse(request, requestId, 200, keys.published(), CACHEABLE);
    }),
    metadata: oauthEndpoint("GET", report, (request, { requestId }) => {
      if (metadata === undefined) throw notFound();
      return jsonResponse(request, requestId, 200, metadata, CACHEABLE);
    }),
  };
  const routes = new Map([
    [metadataPathOf(prepared.options.issuer), endpoints.metadata],
    ...Object.entries(endpoints).map(
      ([name, endpoint]) => [basePath + PATHS[name as keyof typeof PATHS], endpoint] as const,
    ),
  ]);

  return Object.freeze({
    async exchange({ request, scope, audience = [audiences[0]] }: ExchangeRequest<S>) {
      if (audience.length === 0 || !audience.every((name) => audiences.includes(name))) {
        throw new TypeError('exchange: "audience" must contain audiences of the token service only');
      }
      const proof = await dpop?.readProof(request);
      if (proof instanceof AuthError) return { ok: false as const, error: proof };
      const result = await exchange.authenticate(request);
      return "principal" in result
        ? exchange.issue(result, scope, audience, proof)
        : { ok: false as const, error: result };
    },
    verifier: forRequests,
    jwks: keys.published,
    rotateSigningKey(key: SigningKey, given: { readonly overlap?: Duration } = {}) {
      const where = "rotateSigningKey";
      const max: Duration = `${ttlSeconds}s`;
      const { overlap = max } = checkOptions(where, given, ["overlap"]);
      return Promise.resolve(keys.rotate(key, readDuration(where, "overlap", overlap, { min: "0s", max })));
    },
    retireSigningKey: (kid: string) => Promise.resolve(keys.retire(kid)),
    ...endpoints,
    async handler(request: Request, connection?: ConnectionInfo) {
      const route = routes.get(new URL(request.url).pathname);
      if (route !== undefined) return route(request, connection);
      return problemResponse(request, fetchRequestId(request, connection), notFound());
    },
  });
}
