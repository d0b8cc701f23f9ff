import {
  createHash,
  createPrivateKey,
  createPublicKey,
  KeyObject,
  sign,
  verify,
  type webcrypto,
} from "node:crypto";
import type { CryptoKey, JWK } from "jose";
import { checkOptions } from "../internal/validate.js";

/** What a token may be signed with: asymmetric algorithms only, so that who verifies tokens cannot make them. */
export type SigningAlgorithm = (typeof SIGNING_ALGORITHMS)[number];

/** A private key: RSA of 2,048 bits or more, P-256, P-384, P-521 or Ed25519. A text is PEM (PKCS #8). */
export type PrivateKey = KeyObject | CryptoKey | JWK | string;

/**
 * A private key; or one with the `kid` that it is published under (by default its thumbprint, RFC 7638) and the
 * algorithm that it signs with (by default `RS256`, `ES256`, `ES384`, `ES512` or `EdDSA`, as the key has it).
 * The `kid` and `alg` of a JWK are taken over.
 *
 * @example
 * const signingKey: SigningKey = { key: process.env.TOKEN_KEY, kid: "2030-01", alg: "ES256" };
 */
export type SigningKey =
  | PrivateKey
  | { readonly key: PrivateKey; readonly kid?: string; readonly alg?: SigningAlgorithm };

/** A signing key, ready for use. */
export interface Signer {
  readonly kid: string;
  readonly alg: SigningAlgorithm;
  readonly privateKey: KeyObject;
  readonly publicKey: KeyObject;
  /** What is published: public members only. */
  readonly jwk: Readonly<JWK>;
}

/** Every algorithm that a signing key can have. */
export const SIGNING_ALGORITHMS = [
  "ES256",
  "ES384",
  "ES512",
  "RS256",
  "RS384",
  "RS512",
  "PS256",
  "PS384",
  "PS512",
  "EdDSA",
  "Ed25519",
] as const;

const OF_RSA = ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512"] as const;
const OF_ED25519 = ["EdDSA", "Ed25519"] as const;
const OF_CURVE: Readonly<Record<string, readonly SigningAlgorithm[]>> = {
  prime256v1: ["ES256"],
  secp384r1: ["ES384"],
  secp521r1: ["ES512"],
};

/** RFC 7638, 3.2: the members that make a thumbprint, in their order. */
const THUMBPRINT: Readonly<Record<string, readonly (keyof JWK & string)[]>> = {
  EC: ["crv", "kty", "x", "y"],
  OKP: ["crv", "kty", "x"],
  RSA: ["e", "kty", "n"],
};

/**
 * Reads a signing key, at once, so that one that cannot work fails at start-up.
 *
 * @throws TypeError for a key that is public, a shared secret, too short, of another kind than its algorithm,
 *   or that cannot be read. It never holds any of the key.
 */
export function readSigningKey(where: string, given: SigningKey): Signer {
  const wrong = (problem: string) => new TypeError(`${where}: "signingKey" ${problem}`);
  const { key, kid: named, alg: asked } = unwrap(where, given);
  const { privateKey, hint } = importKey(key, wrong);
  const fitting = algorithmsOf(privateKey, wrong);
  const jwk = isJwk(key) ? key : undefined;

  const alg = asked ?? jwk?.alg ?? hint ?? fitting[0];
  if (!fitting.includes(alg as SigningAlgorithm)) {
    throw wrong(`does not fit its algorithm; this key signs with ${fitting.join(", ")}`);
  }
  if (hint !== undefined && alg !== hint) throw wrong(`was made for ${hint} and cannot sign with another`);

  const publicKey = createPublicKey(privateKey);
  if (!belongTogether(privateKey, publicKey)) throw wrong("has public members of another key");
  const members = publicKey.export({ format: "jwk" }) as JWK;
  const kid = named ?? jwk?.kid ?? thumbprint(members);
  if (typeof kid !== "string" || !/^[\x21-\x7e]{1,128}$/.test(kid)) {
    throw wrong('needs a "kid" of 1 to 128 characters of visible ASCII');
  }
  return Object.freeze({
    kid,
    alg: alg as SigningAlgorithm,
    privateKey,
    publicKey,
    jwk: Object.freeze({ ...members, kid, alg: alg as SigningAlgorithm, use: "sig" }),
  });
}

type Wrong = (problem: string) => TypeError;

function unwrap(where: string, given: SigningKey): { key: PrivateKey; kid?: unknown; alg?: unknown } {
  const isWrapped = typeof given === "object" && given !== null && Object.hasOwn(given, "key");
  if (!isWrapped) return { key: given as PrivateKey };
  return checkOptions(`${where}: signingKey`, given as { key: PrivateKey }, ["key", "kid", "alg"]);
}

function importKey(key: unknown, wrong: Wrong): { privateKey: KeyObject; hint?: SigningAlgorithm } {
  if (typeof key === "string") return { privateKey: readPrivate(key, wrong) };
  if (key instanceof KeyObject) return { privateKey: privateOnly(key, wrong) };
  if (isCryptoKey(key)) {
    if (key.type === "private" && !key.usages.includes("sign")) throw wrong('lacks the usage "sign"');
    const privateKey = privateOnly(KeyObject.from(key), wrong);
    const hint = algorithmOf(key.algorithm);
    return hint === undefined ? { privateKey } : { privateKey, hint };
  }
  if (!isJwk(key)) throw wrong("must be a private key: a KeyObject, a CryptoKey, a JWK or PEM");
  if (key.kty === "oct") throw wrong(SHARED);
  if (key.d === undefined) throw wrong(PUBLIC);
  // RFC 7517, 4.2 and 4.3: a key that says what it is for is for nothing else.
  if ((key.use ?? "sig") !== "sig" || (key.key_ops !== undefined && !key.key_ops.includes("sign"))) {
    throw wrong("is a JWK that is not for signing");
  }
  return { privateKey: readPrivate({ key, format: "jwk" }, wrong) };
}

const SHARED = "is a shared secret: whoever verifies tokens with it could make them";
const PUBLIC = "is a public key; tokens are signed with the private one";

function readPrivate(input: string | { key: JWK; format: "jwk" }, wrong: Wrong): KeyObject {
  try {
    return createPrivateKey(input as Parameters<typeof createPrivateKey>[0]);
  } catch {
    // Not even as a cause: what a library says of a key that it could not read is not ours to vouch for.
    throw wrong(
      typeof input === "string" && input.includes("PUBLIC KEY") ? PUBLIC : "cannot be read as a private key",
    );
  }
}

function privateOnly(key: KeyObject, wrong: Wrong): KeyObject {
  if (key.type === "secret") throw wrong(SHARED);
  if (key.type !== "private") throw wrong(PUBLIC);
  return key;
}

function algorithmsOf(key: KeyObject, wrong: Wrong): readonly SigningAlgorithm[] {
  const { asymmetricKeyType, asymmetricKeyDetails = {} } = key;
  if (asymmetricKeyType === "ed25519") return OF_ED25519;
  if (asymmetricKeyType === "rsa") {
    // RFC 7518, 3.3 and 3.5
    if (!((asymmetricKeyDetails.modulusLength ?? 0) >= 2048)) throw wrong("needs 2048 bits or more for RSA");
    return OF_RSA;
  }
  const algorithms = asymmetricKeyType === "ec" ? OF_CURVE[asymmetricKeyDetails.namedCurve ?? ""] : undefined;
  if (algorithms === undefined) throw wrong("must be of RSA, P-256, P-384, P-521 or Ed25519");
  return algorithms;
}

/** Web Crypto fixes the padding and the hash of an RSA key when the key is made. */
function algorithmOf(algorithm: { readonly name: string; readonly hash?: { readonly name: string } }) {
  const bits = algorithm.hash?.name.replace("SHA-", "");
  const family = { "RSASSA-PKCS1-v1_5": "RS", "RSA-PSS": "PS" }[algorithm.name];
  return family === undefined ? undefined : SIGNING_ALGORITHMS.find((name) => name === `${family}${bits}`);
}

/** A JWK names both halves, and nothing makes sure that they are of one key. */
function belongTogether(privateKey: KeyObject, publicKey: KeyObject): boolean {
  const hash = privateKey.asymmetricKeyType === "ed25519" ? null : "sha256";
  const probe = Buffer.from("probe");
  return verify(hash, probe, publicKey, sign(hash, probe, privateKey));
}

function thumbprint(jwk: JWK): string {
  const members = THUMBPRINT[jwk.kty ?? ""] ?? [];
  const canonical = JSON.stringify(Object.fromEntries(members.map((name) => [name, jwk[name]])));
  return createHash("sha256").update(canonical).digest("base64url");
}

function isCryptoKey(value: unknown): value is webcrypto.CryptoKey & {
  readonly algorithm: { readonly name: string; readonly hash?: { readonly name: string } };
} {
  return Object.prototype.toString.call(value) === "[object CryptoKey]";
}

function isJwk(value: unknown): value is JWK & { readonly kty: string } {
  return typeof (value as JWK | null | undefined)?.kty === "string";
}
