import { createPublicKey, type KeyObject, sign, verify } from "node:crypto";
import type { JWK } from "jose";
import { checkOptions } from "../internal/validate.js";
import type { SigningAlgorithm } from "../jwt/algorithms.js";
import { importPrivateKey, type PrivateKey, thumbprint } from "../jwt/keys.js";

/**
 * A private key, or an object with the key, its `kid` and its algorithm. By default `kid` is the thumbprint of the key
 * (RFC 7638), and `alg` is `RS256`, `ES256`, `ES384`, `ES512` or `EdDSA`, depending on the key. The `kid` and `alg` of a
 * JWK are used.
 *
 * @example
 * const signingKey: SigningKey = { key: process.env.TOKEN_KEY, kid: "2030-01", alg: "ES256" };
 */
export type SigningKey =
  | PrivateKey
  | { readonly key: PrivateKey; readonly kid?: string; readonly alg?: SigningAlgorithm };

/** An imported signing key. */
export interface Signer {
  readonly kid: string;
  readonly alg: SigningAlgorithm;
  readonly privateKey: KeyObject;
  readonly publicKey: KeyObject;
  /** The published JWK: public members only. */
  readonly jwk: Readonly<JWK>;
}

/**
 * Imports a signing key.
 *
 * @throws TypeError if the key cannot be read, is not private, too short, or does not fit its algorithm. The error never
 *   contains key material.
 */
export function readSigningKey(where: string, given: SigningKey): Signer {
  const fail = (problem: string) => new TypeError(`${where}: "signingKey" ${problem}`);
  const { key, ...named } = unwrap(where, given);
  const { privateKey, algorithms } = importPrivateKey(key, fail);
  const fromJwk: JWK = (key as JWK).kty === undefined ? {} : (key as JWK);
  const alg = (named.alg ?? fromJwk.alg ?? algorithms[0]) as SigningAlgorithm;
  if (!algorithms.includes(alg)) {
    throw fail(`cannot sign with the given "alg"; this key supports ${algorithms.join(", ")}`);
  }
  const publicKey = createPublicKey(privateKey);
  if (!isPair(privateKey, publicKey)) throw fail("has a private and a public part that do not match");
  const members = publicKey.export({ format: "jwk" }) as JWK;
  const kid = named.kid ?? fromJwk.kid ?? thumbprint(members);
  if (typeof kid !== "string" || !/^[\x21-\x7e]{1,128}$/.test(kid)) {
    throw fail('must have a "kid" of 1 to 128 characters of visible ASCII');
  }
  const jwk = Object.freeze({ ...members, kid, alg, use: "sig" });
  return Object.freeze({ kid, alg, privateKey, publicKey, jwk });
}

function unwrap(where: string, given: SigningKey): { key: PrivateKey; kid?: unknown; alg?: unknown } {
  const isWrapped = typeof given === "object" && given !== null && Object.hasOwn(given, "key");
  if (!isWrapped) return { key: given as PrivateKey };
  return checkOptions(`${where}: signingKey`, given as { key: PrivateKey }, ["key", "kid", "alg"]);
}

/** A JWK contains both parts, and node:crypto does not check that they match. */
function isPair(privateKey: KeyObject, publicKey: KeyObject): boolean {
  const hash = privateKey.asymmetricKeyType === "ed25519" ? null : "sha256";
  const data = Buffer.from("keybearer");
  return verify(hash, data, publicKey, sign(hash, data, privateKey));
}
