import { hash } from "node:crypto";
import { compactVerify, errors, type KeyInput } from "jose";
import type { Awaitable } from "../internal/awaitable.js";
import { deepFreeze } from "../internal/freeze.js";
import { type DenialReason, StoreError } from "../kit.js";
import { boundedCall, withCryptoTimeout } from "./bounded-call.js";
import {
  type ClaimRules,
  type Confirmation,
  checkClaims,
  type JwtClaims,
  readConfirmation,
} from "./claims.js";
import { type HeaderRules, MAX_TOKEN_LENGTH, readHeader, type TokenHeader } from "./header.js";
import { parseJsonObject } from "./json.js";
import type { KeySource } from "./key-source.js";
import { findRsaWeakness } from "./keys.js";
import {
  createSubject,
  type JwtSubject,
  type KeyBinding,
  readBinding,
  type TokenSubject,
} from "./subject.js";
import { createTokenCache } from "./token-cache.js";

/** A token with a valid signature. Holds only what stays the same while the token is valid. */
export interface VerifiedToken {
  readonly claims: JwtClaims;
  readonly subject: TokenSubject;
  /** Set if tokens must be bound to a key. */
  readonly binding: KeyBinding | undefined;
  /** The key that a client must prove possession of. */
  readonly confirmation: Confirmation | undefined;
  /** The key that signed the token. */
  readonly key: KeyInput;
}

/** The settings of {@link createTokenVerification}. */
export interface TokenRules extends HeaderRules, ClaimRules {
  readonly findKeys: KeySource;
  readonly principal: ((claims: JwtClaims) => Awaitable<JwtSubject | undefined>) | undefined;
  readonly isBound: boolean;
  readonly cacheMax: number;
  readonly timeoutMs: number;
  readonly now: () => number;
}

/**
 * Verifies a token. Returns synchronously if it is cached or malformed. The caller must check the claims again, because
 * a cached token may have expired. Fails with a `StoreError` only.
 */
export type VerifyToken = (token: string) => Awaitable<VerifiedToken | DenialReason>;

/** A key that the issuer removed from the JWKS must not work longer than this through cached tokens. */
const MAX_CACHED_MS = 10 * 60_000;
const NO_OVERRIDES: JwtSubject = Object.freeze({});

/** Creates a function that verifies tokens. Caches valid tokens only; concurrent verifications of one token are shared. */
export function createTokenVerification(rules: TokenRules): VerifyToken {
  const { findKeys, principal, isBound, timeoutMs, tolerance, now } = rules;
  const cache = createTokenCache<VerifiedToken>(rules.cacheMax);
  const pending = new Map<string, Promise<VerifiedToken | DenialReason>>();

  const identify = async (claims: JwtClaims): Promise<TokenSubject | undefined> => {
    if (principal === undefined) return createSubject(claims, NO_OVERRIDES);
    const result = await boundedCall(() => principal(claims), timeoutMs, "The principal callback");
    // `null` means no principal, as database drivers return it: do not apply the defaults.
    return result === undefined || result === null ? undefined : createSubject(claims, result);
  };

  const verify = async (
    token: string,
    header: TokenHeader,
    digest: string,
  ): Promise<VerifiedToken | DenialReason> => {
    const { keys, fetchedAt } = await findKeys(header, token);
    const signed = await withCryptoTimeout(
      verifySignature(token, header.alg, keys),
      "The verification of a signature",
    );
    const parsed = signed && parseJsonObject(signed.payload);
    if (signed === undefined || parsed === undefined) return "invalid_token";
    const [verifiedAt, time] = [performance.now(), now()];
    const denied = checkClaims(parsed, rules, time); // before the callback is called
    if (denied !== undefined) return denied;

    const claims = deepFreeze(parsed) as JwtClaims;
    const binding = isBound ? readBinding(claims) : undefined;
    if (isBound && binding === undefined) return "invalid_token";
    const subject = await identify(claims);
    if (subject === undefined) return "invalid_token";
    const confirmation = readConfirmation(claims);
    const verified = Object.freeze({ claims, subject, binding, confirmation, key: signed.key });
    const lifetimeMs = (claims.exp + tolerance) * 1_000 - time;
    const end = Math.min(fetchedAt + MAX_CACHED_MS, verifiedAt + lifetimeMs);
    cache.set(digest, verified, subject.ownerId, end);
    return verified;
  };

  return (token) => {
    if (token.length > MAX_TOKEN_LENGTH) return "invalid_token";
    const digest = hash("sha256", token);
    const known = cache.get(digest) ?? pending.get(digest);
    if (known !== undefined) return known;
    const header = readHeader(token, rules);
    if (header === undefined) return "invalid_token";
    const verification = verify(token, header, digest);
    pending.set(digest, verification);
    const settle = () => pending.delete(digest);
    verification.then(settle, settle);
    return verification;
  };
}

/**
 * Returns the payload and the key if one of the keys signed the token, else `undefined`.
 *
 * @throws StoreError if a key is unusable, such as a weak RSA key, and no other key verifies the signature.
 */
async function verifySignature(
  token: string,
  alg: string,
  keys: readonly KeyInput[],
): Promise<{ readonly payload: Uint8Array; readonly key: KeyInput } | undefined> {
  let failure: unknown;
  for (const key of keys) {
    try {
      const missing = findRsaWeakness(key);
      if (missing !== undefined) throw new TypeError(`An RSA key must have ${missing}`);
      return { payload: (await compactVerify(token, key, { algorithms: [alg] })).payload, key };
    } catch (error) {
      if (!(error instanceof errors.JOSEError)) failure = error; // jose reports invalid tokens as JOSEError
    }
  }
  if (failure !== undefined) throw new StoreError("A key cannot be used to verify tokens", failure);
  return undefined;
}
