import { SignJWT } from "jose";
import { ask, inThreads } from "../jwt/ask.js";
import { createBoundKeys } from "../jwt/bound-keys.js";
import { MAX_CHARACTERS } from "../jwt/header.js";
import { AuthError, type AuthRequest, checkKey, type Principal, type Scopes } from "../kit.js";
import type { PreparedTokenService } from "./options.js";

/** What to exchange. */
export interface ExchangeRequest<S extends string = string> {
  /** The request that comes with the key. */
  readonly request: AuthRequest;
  /** The scopes of the token: names, or a text of names with single spaces. All that the key holds by default. */
  readonly scope?: string | readonly S[];
  /** Some of the service's audiences; all of them by default. */
  readonly audience?: readonly string[];
}

/** A token, or why there is none: `insufficient_scope` when the key does not hold all that was asked for. */
export type ExchangeResult<S extends string = string> =
  | IssuedToken<S>
  | { readonly ok: false; readonly error: AuthError };

/** A token for a key. */
export interface IssuedToken<S extends string = string> {
  readonly ok: true;
  /** The JWT; whoever has it is taken for the key until it is over. Not to be logged. */
  readonly accessToken: string;
  /** Seconds. */
  readonly expiresIn: number;
  readonly expiresAt: Date;
  readonly scopes: readonly S[];
  /** Headers for the response, such as `RateLimit`. */
  readonly headers: Readonly<Record<string, string>>;
}

/** A key that a verifier has let through. */
export interface Authenticated<S extends string> {
  readonly principal: Principal<S>;
  readonly headers: Readonly<Record<string, string>>;
}

/** Makes tokens of keys. */
export interface Exchange<S extends string> {
  /** Authenticates the key of a request. Tokens are refused: a token must not prolong itself. */
  authenticate(request: AuthRequest): Promise<Authenticated<S> | AuthError>;
  issue(
    key: Authenticated<S>,
    scope: string | readonly string[] | undefined,
    audience: readonly string[],
  ): Promise<ExchangeResult<S>>;
}

/** RFC 6749, 3.3 */
const SCOPE = /^[\x21\x23-\x5b\x5d-\x7e]+(?: [\x21\x23-\x5b\x5d-\x7e]+)*$/;

// A verifier of ours has limits of its own, which may be longer than those of the token service; one of the host's may
// have none.
const VERIFIER_MS = 5_000;

export function createExchange<S extends string>(prepared: PreparedTokenService<S>): Exchange<S> {
  const { options, ttlSeconds, keys, kit, realm } = prepared;
  const { verifier, store, issuer } = options;
  const { scopes, now } = kit;
  // As it is now; the verifier's own record may be of a cache.
  const findKey = createBoundKeys(store, 0, kit.timeoutMs);
  const verifierMs = Math.max(VERIFIER_MS, kit.timeoutMs);

  const invalidKey = new AuthError("invalid_key", "The API key is not valid.", {
    "WWW-Authenticate": `Bearer realm="${realm}", error="invalid_token"`,
  });
  const lacking = new AuthError("insufficient_scope", "The API key does not hold every requested scope.");
  const tooMany = new AuthError("insufficient_scope", "A token cannot hold so many scopes; ask for some.");
  const refuse = (error: AuthError): ExchangeResult<S> => ({ ok: false, error });

  return {
    async authenticate(request) {
      const result = await ask(() => verifier.verify(request), verifierMs, "The verifier of keys");
      if (!result.ok) return result.error;
      const { principal, headers } = result;
      return principal.type === "api_key" ? { principal, headers } : invalidKey;
    },

    async issue({ principal, headers }, scope, audience) {
      const { id, ownerId, environment } = principal;
      const record = await findKey({ keyId: id, ownerId, version: 0 });
      const time = now();
      if (record?.ownerId !== ownerId) return refuse(invalidKey);
      if (checkKey(record, { environment }, () => false, time) !== undefined) return refuse(invalidKey);
      const granted = narrow(scopes, record.scopes, scope);
      if (granted === undefined) return refuse(lacking);

      const iat = Math.floor(time / 1_000);
      const end = record.expiresAt?.getTime() ?? Number.POSITIVE_INFINITY;
      const exp = Math.min(iat + ttlSeconds, Math.floor(end / 1_000));
      if (!(exp > iat)) return refuse(invalidKey); // the key has less than a second to live

      const { alg, kid, privateKey } = keys.signer();
      // No nbf: services whose clock is a moment behind would refuse what was issued just now.
      const token = new SignJWT({
        iss: issuer,
        aud: audience.length === 1 ? (audience[0] as string) : [...audience],
        sub: record.id,
        client_id: record.id,
        key_id: record.id,
        key_version: record.version,
        owner_id: record.ownerId,
        ...(environment === undefined ? {} : { environment }),
        ...(granted.length === 0 ? {} : { scope: granted.join(" ") }),
        iat,
        exp,
        jti: crypto.randomUUID(),
      }).setProtectedHeader({ alg, kid, typ: "at+jwt" }); // RFC 9068, 2.1
      const accessToken = await inThreads(token.sign(privateKey), "The signing of a token");
      if (accessToken.length > MAX_CHARACTERS) return refuse(tooMany);
      return {
        ok: true,
        accessToken,
        expiresIn: exp - iat,
        expiresAt: new Date(exp * 1_000),
        scopes: Object.freeze(granted),
        headers,
      };
    },
  };
}

/**
 * The scopes of a token: those asked for, if the key holds every one, itself or by implication; without a
 * request those it was granted, as far as they are in force. `undefined` for anything that it does not hold.
 */
function narrow<S extends string>(
  scopes: Scopes<S>,
  held: readonly string[],
  scope: string | readonly string[] | undefined,
): readonly S[] | undefined {
  const holds = (name: string): name is S => scopes.holds(held, name);
  if (scope === undefined) return [...new Set(held)].filter(holds);
  if (typeof scope === "string" && !SCOPE.test(scope)) return undefined;
  const names = [...new Set(typeof scope === "string" ? scope.split(" ") : scope)];
  return names.length > 0 && names.every(holds) ? (names as readonly S[]) : undefined;
}
