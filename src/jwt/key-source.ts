import { createLocalJWKSet, type JSONWebKeySet, type JWTVerifyGetKey, type KeyInput } from "jose";
import { readUrl } from "../http/remote-url.js";
import { checkBoolean, describe } from "../internal/validate.js";
import { StoreError, withStoreTimeout } from "../kit.js";
import { type Algorithms, usesSecret } from "./algorithms.js";
import { createDiscovery, type LocateJwks } from "./discovery.js";
import type { TokenHeader } from "./header.js";
import { findRsaWeakness, importVerificationKey, type StaticKey } from "./keys.js";
import { createRemoteJwks } from "./remote-jwks.js";

/** The keys of the issuer: one of `jwks`, `key` and `discover`. */
export interface KeyOptions {
  /** A JWKS (RFC 7517): its URL, the set itself, or a function such as jose's `createRemoteJWKSet` returns. */
  readonly jwks?: string | URL | JSONWebKeySet | JWTVerifyGetKey;
  /** One key. A string is a public key in PEM (SPKI), or the secret of HS*. */
  readonly key?: StaticKey;
  /**
   * Whether the JWKS is found through the metadata of `issuer`, a URL (OpenID Connect Discovery, or RFC 8414). `false` by
   * default.
   */
  readonly discover?: boolean;
}

/** The keys that may have signed a token. */
export interface CandidateKeys {
  readonly keys: readonly KeyInput[];
  /** When the keys were read from the issuer, in milliseconds of `performance.now()`. */
  readonly fetchedAt: number;
}

/** Finds the keys for a token; an empty array if no key matches. Fails with a `StoreError` only. */
export type KeySource = (header: TokenHeader, token: string) => Promise<CandidateKeys>;

const JWKS = "The JSON Web Key Set";
// Longer than the timeout of a remote JWKS, so that its more precise error is reported.
const TIMEOUT_MS = 5_500;
/** How many keys are tried for a token without `kid`. */
const MAX_CANDIDATES = 8;

/** @throws TypeError if the options are missing or invalid. */
export function readKeySource(
  where: string,
  { jwks, key, discover, issuer }: KeyOptions & { readonly issuer: unknown },
  algorithms: Algorithms,
): KeySource {
  checkBoolean(where, "discover", discover);
  if ([jwks !== undefined, key !== undefined, discover === true].filter(Boolean).length !== 1) {
    throw new TypeError(`${where}: exactly one of "jwks", "key" and "discover" is required`);
  }
  if (key !== undefined) {
    const fail = (problem: string) => new TypeError(`${where}: "key" ${problem}`);
    const keys = Object.freeze([importVerificationKey(key, algorithms, fail)]);
    return async () => ({ keys, fetchedAt: performance.now() });
  }
  if (usesSecret(algorithms)) {
    throw new TypeError(`${where}: "jwks" contains public keys; pass the secret of HS* as "key"`);
  }
  if (discover === true || typeof jwks === "string" || jwks instanceof URL) {
    const { getKey, fetchedAt } = createRemoteJwks(
      discover === true ? createDiscovery(where, issuer) : readLocation(where, jwks),
    );
    return fromJwks(getKey, fetchedAt);
  }
  const getKey = typeof jwks === "function" ? jwks : createLocalJwks(where, jwks);
  return fromJwks(getKey, () => performance.now());
}

function readLocation(where: string, jwks: unknown): LocateJwks {
  const url = readUrl(jwks, (problem) => new TypeError(`${where}: "jwks" ${problem}`));
  return async () => url;
}

function createLocalJwks(where: string, jwks: JSONWebKeySet | undefined): JWTVerifyGetKey {
  const fail = (problem: string) => new TypeError(`${where}: "jwks" ${problem}`);
  const keys: unknown = (jwks as Partial<JSONWebKeySet> | null | undefined)?.keys;
  if (!Array.isArray(keys) || keys.length === 0) {
    throw fail(`must be a URL, a JSON Web Key Set with keys, or a function; received ${describe(jwks)}`);
  }
  if (keys.some((key) => key?.kty === "oct" || key?.d !== undefined)) {
    throw fail("must contain public keys only");
  }
  for (const key of keys.filter((key) => key?.kty === "RSA")) {
    const missing = findRsaWeakness(key);
    if (missing !== undefined) throw fail(`contains an RSA key without ${missing}`);
  }
  try {
    return createLocalJWKSet(jwks as JSONWebKeySet);
  } catch {
    throw fail("is not a JSON Web Key Set");
  }
}

function fromJwks(getKey: JWTVerifyGetKey, getFetchedAt: () => number): KeySource {
  const find = async (header: TokenHeader, token: string): Promise<readonly KeyInput[]> => {
    const [encoded = "", payload = "", signature = ""] = token.split(".");
    try {
      return [await getKey(header, { protected: encoded, payload, signature })];
    } catch (error) {
      return await readCandidates(error);
    }
  };
  return async (header, token) => {
    const fetchedAt = getFetchedAt(); // before the lookup, which may replace the set
    return { keys: await withStoreTimeout(find(header, token), TIMEOUT_MS, JWKS), fetchedAt };
  };
}

/** Reads the candidates from the error that jose throws if no key matches, or several. Rethrows other errors. */
async function readCandidates(error: unknown): Promise<readonly KeyInput[]> {
  const { code } = (error ?? {}) as { code?: unknown };
  if (code === "ERR_JWKS_NO_MATCHING_KEY") return [];
  if (code !== "ERR_JWKS_MULTIPLE_MATCHING_KEYS") throw error;
  const keys: KeyInput[] = [];
  for await (const key of error as AsyncIterable<KeyInput>) {
    keys.push(key);
    if (keys.length === MAX_CANDIDATES) break;
  }
  if (keys.length === 0) throw new StoreError(`${JWKS} has no usable key`, error);
  return keys;
}
