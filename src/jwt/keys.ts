import { createLocalJWKSet, type JSONWebKeySet, type JWTVerifyGetKey, type KeyInput } from "jose";
import { describe } from "../internal/validate.js";
import { StoreError, withStoreTimeout } from "../kit.js";
import { type Algorithms, usesSecret } from "./algorithms.js";
import type { TokenHeader } from "./header.js";
import { remoteKeys } from "./remote-keys.js";
import { readStaticKey, type StaticKey } from "./static-key.js";

/** Where the keys come from: exactly one of the two. */
export interface KeyOptions {
  /** A JWKS (RFC 7517): its URL, the set itself, or a function of jose such as `createRemoteJWKSet` makes. */
  readonly jwks?: string | URL | JSONWebKeySet | JWTVerifyGetKey;
  /** One key. A string is a public key in PEM (SPKI), or the secret of HS*. */
  readonly key?: StaticKey;
}

/** The keys that may have signed a token. */
export interface Candidates {
  readonly keys: readonly KeyInput[];
  /** As of when they are known to be keys of the issuer, in milliseconds of the monotonic clock. */
  readonly since: number;
}

/** Fails with a StoreError only. Without a key that fits, the list is empty. */
export type KeySource = (header: TokenHeader, token: string) => Promise<Candidates>;

const WHAT = "The JSON Web Key Set";
// A little more than a remote set is given: its own error says more.
const TIMEOUT_MS = 5_500;
/** Without `kid`, every key of a set that fits may have signed; trying them has to end. */
const MAX_CANDIDATES = 8;

/** @throws TypeError for options that are missing or cannot work, naming the option. */
export function readKeys(where: string, { jwks, key }: KeyOptions, algorithms: Algorithms): KeySource {
  if ((jwks === undefined) === (key === undefined)) {
    throw new TypeError(`${where}: exactly one of "jwks" and "key" must be given`);
  }
  if (key !== undefined) {
    const keys = Object.freeze([readStaticKey(where, key, algorithms)]);
    return async () => ({ keys, since: performance.now() });
  }
  if (usesSecret(algorithms)) {
    throw new TypeError(`${where}: "jwks" holds public keys; give the secret of HS* as "key"`);
  }
  if (typeof jwks === "string" || jwks instanceof URL) {
    const { getKey, knownSince } = remoteKeys(where, jwks);
    return fromSet(getKey, knownSince);
  }
  const getKey = typeof jwks === "function" ? jwks : localKeys(where, jwks);
  return fromSet(getKey, () => performance.now());
}

function localKeys(where: string, jwks: JSONWebKeySet | undefined): JWTVerifyGetKey {
  const keys: unknown = (jwks as Partial<JSONWebKeySet> | null | undefined)?.keys;
  if (!Array.isArray(keys) || keys.length === 0) {
    throw new TypeError(
      `${where}: "jwks" must be a URL, a set with keys or a function, got ${describe(jwks)}`,
    );
  }
  if (keys.some((key) => key?.kty === "oct" || key?.d !== undefined)) {
    throw new TypeError(`${where}: "jwks" must have public keys only`);
  }
  try {
    return createLocalJWKSet(jwks as JSONWebKeySet);
  } catch {
    throw new TypeError(`${where}: "jwks" is not a JSON Web Key Set`);
  }
}

function fromSet(getKey: JWTVerifyGetKey, knownSince: () => number): KeySource {
  const find = async (header: TokenHeader, token: string): Promise<readonly KeyInput[]> => {
    const [encoded = "", payload = "", signature = ""] = token.split(".");
    try {
      return [await getKey(header, { protected: encoded, payload, signature })];
    } catch (error) {
      return await candidatesOf(error);
    }
  };
  return async (header, token) => {
    const since = knownSince(); // before they are asked for: a set may be replaced meanwhile
    return { keys: await withStoreTimeout(find(header, token), TIMEOUT_MS, WHAT), since };
  };
}

/** What jose throws when a set has no key that fits, or several; anything else is for the operator. */
async function candidatesOf(error: unknown): Promise<readonly KeyInput[]> {
  const { code } = (error ?? {}) as { code?: unknown };
  if (code === "ERR_JWKS_NO_MATCHING_KEY") return [];
  if (code !== "ERR_JWKS_MULTIPLE_MATCHING_KEYS") throw error;
  const keys: KeyInput[] = [];
  for await (const key of error as AsyncIterable<KeyInput>) {
    keys.push(key);
    if (keys.length === MAX_CANDIDATES) break;
  }
  if (keys.length === 0) throw new StoreError(`${WHAT} has no key that can be used`, error);
  return keys;
}
