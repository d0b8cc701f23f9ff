import type { JSONWebKeySet } from "jose";
import { answerJson } from "../http/answer.js";
import { type ConnectionInfo, type RequestHandler, requestIdOf } from "../http/handler.js";
import { HttpProblem } from "../http/problem.js";
import { type Duration, parseDuration } from "../internal/duration.js";
import { checkOptions } from "../internal/validate.js";
import type { Verifier } from "../kit.js";
import { createClientAuth } from "./client-auth.js";
import { createExchange, type ExchangeRequest, type ExchangeResult } from "./exchange.js";
import { serveIntrospection } from "./introspection.js";
import { metadataOf, PATHS } from "./metadata.js";
import { prepareTokenService, type TokenServiceOptions } from "./options.js";
import { answerProblem, oauthEndpoint } from "./responses.js";
import { serveRevocation } from "./revocation-endpoint.js";
import type { SigningKey } from "./signing-key.js";
import { serveToken } from "./token-endpoint.js";
import { createTokenVerifiers } from "./token-verifiers.js";

/** Turns API keys into short-lived JWTs, and verifies these; made by {@link createTokenService}. */
export interface TokenService<S extends string = string> {
  /**
   * Exchanges the key of a request for a token.
   *
   * @throws StoreError when the key cannot be judged: answer 503.
   * @throws TypeError for an `audience` that the service has not.
   *
   * @example
   * const result = await tokens.exchange({ request: { headers: request.headers }, scope: "vehicles:read" });
   * if (result.ok) console.log(result.expiresIn, result.scopes);
   */
  exchange(request: ExchangeRequest<S>): Promise<ExchangeResult<S>>;
  /** Verifies the tokens of this service; for any guard, and for `anyVerifier`. */
  readonly verifier: Verifier<S>;
  /** The public keys, as they are published. */
  jwks(): JSONWebKeySet;
  /**
   * Signs with another key from now on. The former stays published, and its tokens accepted, until the last of
   * them is over; with an `overlap` of `"0s"`, for a key that has leaked, it and they are out at once.
   *
   * Other services that verify tokens may know the published keys from before. So list the next key behind the
   * one that signs some time ahead; rotating to a key that is published already is what this is for.
   *
   * @throws TypeError for a key that cannot work, that signs already, or whose `kid` another key has.
   * @throws RangeError when 16 keys are published.
   *
   * @example
   * tokens.rotateSigningKey({ key: await readFile("next.pem", "utf8"), kid: "2030-02" });
   */
  rotateSigningKey(key: SigningKey, options?: { readonly overlap?: Duration }): void;
  /** Serves everything below, under `basePath`; other paths are 404. */
  readonly handler: RequestHandler;
  /** `POST /token`: RFC 6749, 4.4, and RFC 8693. */
  readonly token: RequestHandler;
  /** `GET /.well-known/jwks.json`: RFC 7517. */
  readonly keys: RequestHandler;
  /** `POST /introspect`: RFC 7662. */
  readonly introspect: RequestHandler;
  /** `POST /revoke`: RFC 7009. */
  readonly revoke: RequestHandler;
  /** `GET /.well-known/oauth-authorization-server`: RFC 8414; 404 when `issuer` is no URL. */
  readonly metadata: RequestHandler;
}

/** How long others may keep what is published, in seconds. */
const MAX_AGE = { "Cache-Control": "public, max-age=300" };

/**
 * Makes a token service: an API key goes in, a JWT comes out that services can verify without a lookup.
 *
 * A token never has more than its key: its scopes are some of the key's, it ends with the key at the latest, and
 * for the `verifier` of the service it ends when the key is revoked, disabled or changed, within `keyTtl`. The
 * key's allowlist and rate limit hold for its tokens too. Others, who have but the published keys, accept a token
 * until its `exp`: keep the `ttl` short.
 *
 * @throws TypeError for options that are unknown, missing or cannot work, naming the option.
 *
 * @example
 * const tokens = createTokenService({
 *   issuer: "https://api.example.com", audience: "https://api.example.com", signingKey: process.env.TOKEN_KEY,
 *   ttl: "15m", verifier, store, scopes });
 * app.use(expressHandler(tokens.handler));
 * const auth = expressAuth(anyVerifier(verifier, tokens.verifier));
 */
export function createTokenService<S extends string>(options: TokenServiceOptions<S>): TokenService<S> {
  const prepared = prepareTokenService(options);
  const { audiences, ttlSeconds, keys, kit, basePath, realm, report } = prepared;
  const exchange = createExchange(prepared);
  const clientAuth = createClientAuth(exchange, realm);
  const verifiers = createTokenVerifiers(prepared);
  const metadata = metadataOf(prepared.options.issuer, basePath, kit.scopes);

  const endpoints = {
    token: oauthEndpoint("POST", report, serveToken(prepared, exchange, clientAuth)),
    introspect: oauthEndpoint("POST", report, serveIntrospection(prepared, verifiers.anywhere, clientAuth)),
    revoke: oauthEndpoint("POST", report, serveRevocation(prepared, verifiers.genuine, clientAuth)),
    keys: oauthEndpoint("GET", report, (request, { requestId }) =>
      answerJson(request, requestId, 200, keys.published(), MAX_AGE),
    ),
    metadata: oauthEndpoint("GET", report, (request, { requestId }) => {
      if (metadata === undefined) throw notFound();
      return answerJson(request, requestId, 200, metadata, MAX_AGE);
    }),
  };
  const routes = new Map(
    Object.entries(endpoints).map(([name, endpoint]) => [
      basePath + PATHS[name as keyof typeof PATHS],
      endpoint,
    ]),
  );

  return Object.freeze({
    async exchange({ request, scope, audience = audiences }: ExchangeRequest<S>) {
      if (audience.length === 0 || !audience.every((each) => audiences.includes(each))) {
        throw new TypeError('exchange: "audience" must name some of the audiences of the service');
      }
      const result = await exchange.authenticate(request);
      return "principal" in result
        ? exchange.issue(result, scope, audience)
        : { ok: false as const, error: result };
    },
    verifier: verifiers.bound,
    jwks: keys.published,
    rotateSigningKey(key: SigningKey, given: { readonly overlap?: Duration } = {}) {
      const { overlap } = checkOptions("rotateSigningKey", given, ["overlap"]);
      const overlapMs = overlap === undefined ? ttlSeconds * 1_000 : parseDuration(overlap);
      if (overlapMs === undefined || overlapMs > ttlSeconds * 1_000) {
        throw new TypeError('rotateSigningKey: "overlap" must be a duration, at most the ttl of tokens');
      }
      keys.rotate(key, overlapMs);
    },
    ...endpoints,
    async handler(request: Request, connection?: ConnectionInfo) {
      const route = routes.get(new URL(request.url).pathname);
      if (route !== undefined) return route(request, connection);
      return answerProblem(request, requestIdOf(request, connection), notFound());
    },
  });
}

function notFound(): HttpProblem {
  return new HttpProblem(404, "not_found", "There is nothing here.");
}
