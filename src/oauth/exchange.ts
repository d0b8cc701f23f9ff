import { SignJWT } from "jose";
import { createBoundKeyLookup } from "../jwt/bound-keys.js";
import { boundedCall, withCryptoTimeout } from "../jwt/bounded-call.js";
import type { Proof } from "../jwt/dpop/proofs.js";
import { MAX_TOKEN_LENGTH } from "../jwt/header.js";
import { AuthError, type AuthRequest, checkKey, type Principal, type Scopes } from "../kit.js";
import type { PreparedTokenService } from "./options.js";

/** A request for a token. */
export interface ExchangeRequest<S extends string = string> {
  /** The request that carries the API key and, for a bound token, a DPoP proof of its method and path. */
  readonly request: AuthRequest;
  /** The requested scopes: an array, or a string of names with single spaces. All scopes of the key by default. */
  readonly scope?: string | readonly S[];
  /** Audiences of the service. By default its own; the token then works nowhere else. */
  readonly audience?: readonly string[];
}

/**
 * A token, or the error; `insufficient_scope` if the key does not hold every requested scope, `invalid_dpop_proof` if the
 * DPoP proof is invalid, or required and missing.
 */
export type ExchangeResult<S extends string = string> =
  | IssuedToken<S>
  | { readonly ok: false; readonly error: AuthError };

/** A token that was issued for a key. */
export interface IssuedToken<S extends string = string> {
  readonly ok: true;
  /** The JWT. A credential: do not log it. */
  readonly accessToken: string;
  /** The scheme to send the token with: `"DPoP"` if it is bound to the key of the proof in the request. */
  readonly tokenType: "Bearer" | "DPoP";
  /** The lifetime in seconds. */
  readonly expiresIn: number;
  readonly expiresAt: Date;
  readonly scopes: readonly S[];
  /** Headers for the response, such as `RateLimit`. */
  readonly headers: Readonly<Record<string, string>>;
}

/** A verified API key. */
export interface AuthenticatedKey<S extends string> {
  readonly principal: Principal<S>;
  readonly headers: Readonly<Record<string, string>>;
  /** The client that requests the token, if it is another key. */
  readonly clientId?: string;
}

/** Issues tokens for keys. */
export interface Exchange<S extends string> {
  /** Verifies the API key of a request. Rejects tokens, so that a token cannot be exchanged for a newer one. */
  authenticate(request: AuthRequest): Promise<AuthenticatedKey<S> | AuthError>;
  issue(
    key: AuthenticatedKey<S>,
    scope: string | readonly string[] | undefined,
    audience: readonly string[],
    proof: Proof | undefined,
  ): Promise<ExchangeResult<S>>;
}

/** RFC 6749, section 3.3 */
const SCOPE = /^[\x21\x23-\x5b\x5d-\x7e]+(?: [\x21\x23-\x5b\x5d-\x7e]+)*$/;

// A verifier of this package has its own timeouts; a custom one may have none.
const MIN_VERIFIER_TIMEOUT_MS = 5_000;

export function createExchange<S extends string>(prepared: PreparedTokenService<S>): Exchange<S> {
  const { options, ttlSeconds, keys, base, realm, dpop } = prepared;
  const { verifier, store, issuer } = options;
  const { scopes, now } = base;
  // Uncached: the record of the verifier may come from a cache.
  const findKey = createBoundKeyLookup(store, 0, base.timeoutMs);
  const verifierTimeoutMs = Math.max(MIN_VERIFIER_TIMEOUT_MS, base.timeoutMs);

  const invalidKey = new AuthError("invalid_key", "The API key is not valid.", {
    "WWW-Authenticate": `Bearer realm="${realm}", error="invalid_token"`,
  });
  const missingScope = new AuthError(
    "insufficient_scope",
    "The API key does not hold every requested scope.",
  );
  const tooManyScopes = new AuthError(
    "insufficient_scope",
    "A token cannot hold so many scopes; ask for some.",
  );
  const deny = (error: AuthError): ExchangeResult<S> => ({ ok: false, error });

  return {
    async authenticate(request) {
      const result = await boundedCall(
        () => verifier.verify(request),
        verifierTimeoutMs,
        "The verifier of API keys",
      );
      if (!result.ok) return result.error;
      const { principal, headers } = result;
      return principal.type === "api_key" ? { principal, headers } : invalidKey;
    },

    async issue({ principal, headers, clientId = principal.id }, scope, audience, proof) {
      const { id, ownerId, environment } = principal;
      const record = await findKey({ keyId: id, ownerId, version: 0 });
      const time = now();
      if (record?.ownerId !== ownerId) return deny(invalidKey);
      if (checkKey(record, { environment }, () => false, time) !== undefined) return deny(invalidKey);
      const granted = selectScopes(scopes, record.scopes, scope);
      if (granted === undefined) return deny(missingScope);

      const iat = Math.floor(time / 1_000);
      const keyExpiry = record.expiresAt?.getTime() ?? Number.POSITIVE_INFINITY;
      const exp = Math.min(iat + ttlSeconds, Math.floor(keyExpiry / 1_000));
      if (!(exp > iat)) return deny(invalidKey); // the key expires in less than a second

      const proofError = await dpop?.deny(record, proof);
      if (proofError !== undefined) return deny(proofError);
      await keys.refresh();
      const { alg, kid, privateKey } = keys.signer();
      // No `nbf`: a service with a clock that is slightly behind would reject a new token.
      const token = new SignJWT({
        iss: issuer,
        aud: audience.length === 1 ? (audience[0] as string) : [...audience],
        sub: record.id,
        client_id: clientId,
        key_id: record.id,
        key_version: record.version,
        owner_id: record.ownerId,
        ...(environment === undefined ? {} : { environment }),
        ...(granted.length === 0 ? {} : { scope: granted.join(" ") }),
        ...(proof === undefined ? {} : { cnf: { jkt: proof.jkt } }), // RFC 9449, section 6.1
        iat,
        exp,
        jti: crypto.randomUUID(),
      }).setProtectedHeader({ alg, kid, typ: "at+jwt" }); // RFC 9068, section 2.1
      const accessToken = await withCryptoTimeout(token.sign(privateKey), "The signing of a token");
      if (accessToken.length > MAX_TOKEN_LENGTH) return deny(tooManyScopes);
      return {
        ok: true,
        accessToken,
        tokenType: proof === undefined ? "Bearer" : "DPoP",
        expiresIn: exp - iat,
        expiresAt: new Date(exp * 1_000),
        scopes: Object.freeze(granted),
        headers,
      };
    },
  };
}

/**
 * Selects the scopes of a token: the requested ones, or by default every scope that was granted to the key and is still
 * defined. Returns `undefined` if the key does not hold every requested scope, directly or by implication.
 */
function selectScopes<S extends string>(
  scopes: Scopes<S>,
  held: readonly string[],
  requested: string | readonly string[] | undefined,
): readonly S[] | undefined {
  const holds = (name: string): name is S => scopes.holds(held, name);
  if (requested === undefined) return [...new Set(held)].filter(holds);
  if (typeof requested === "string" && !SCOPE.test(requested)) return undefined;
  const names = [...new Set(typeof requested === "string" ? requested.split(" ") : requested)];
  return names.length > 0 && names.every(holds) ? (names as readonly S[]) : undefined;
}
