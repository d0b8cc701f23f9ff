import {
  createPrivateKey,
  createPublicKey,
  createSecretKey,
  hash,
  KeyObject,
  type webcrypto,
} from "node:crypto";
import type { CryptoKey, JWK, KeyInput } from "jose";
import { type Algorithm, type Algorithms, SIGNING_ALGORITHMS, usesSecret } from "./algorithms.js";

/** A key that verifies tokens. A string is a public key in PEM (SPKI), or the UTF-8 secret of HS*. */
export type StaticKey = CryptoKey | KeyObject | JWK | Uint8Array | string;

/** A private key: RSA of at least 2048 bits, P-256, P-384, P-521 or Ed25519. A string is PEM (PKCS #8). */
export type PrivateKey = KeyObject | CryptoKey | JWK | string;

/** Creates an error that begins with the name of the option. No message may contain key material. */
type Fail = (problem: string) => TypeError;

const MIN_RSA_BITS = 2_048; // RFC 7518, sections 3.3 and 3.5
const KEY_KINDS: ReadonlyMap<string, Algorithm["keyKind"]> = new Map([
  ["rsa", "RSA"],
  ["prime256v1", "P-256"],
  ["secp384r1", "P-384"],
  ["secp521r1", "P-521"],
  ["ed25519", "Ed25519"],
]);

/**
 * Imports a key that verifies tokens. It must fit all of the algorithms.
 *
 * @throws TypeError if the key is unreadable, private or too short, or does not fit an algorithm.
 */
export function importVerificationKey(
  key: StaticKey,
  algorithms: Algorithms,
  fail: Fail,
): KeyObject | CryptoKey {
  const isSecret = usesSecret(algorithms);
  if (!isSecret && typeof key === "string" && !/^\s*-----BEGIN PUBLIC KEY-----/.test(key)) {
    throw fail('must be a public key in PEM, which begins with "-----BEGIN PUBLIC KEY-----"');
  }
  const object = importKey(key, isSecret ? "secret" : "public", fail);
  // With a public key as the secret, anyone could sign.
  if (isSecret && /-----BEGIN |^ssh-/.test(object.export().toString("latin1"))) {
    throw fail("is the content of a key file; HS* needs a secret");
  }
  for (const [name, algorithm] of algorithms) {
    const mismatch =
      isJwk(key) && key.alg !== undefined && key.alg !== name
        ? 'its "alg" names another algorithm'
        : findMismatch(key, object, algorithm);
    if (mismatch !== undefined) throw fail(`does not fit ${name}: ${mismatch}`);
  }
  checkRsa(object, fail);
  return isCryptoKey(key) ? key : object;
}

/**
 * Imports a key that signs tokens, and returns it with the algorithms that it fits; the first is the default.
 *
 * @throws TypeError if the key is unreadable, not private or too short, or fits no algorithm.
 */
export function importPrivateKey(
  key: PrivateKey,
  fail: Fail,
): { readonly privateKey: KeyObject; readonly algorithms: readonly string[] } {
  const privateKey = importKey(key, "private", fail);
  checkRsa(privateKey, fail);
  const algorithms = [...SIGNING_ALGORITHMS]
    .filter(([, algorithm]) => findMismatch(key, privateKey, algorithm) === undefined)
    .map(([name]) => name);
  if (algorithms.length === 0) throw fail("must be an RSA, P-256, P-384, P-521 or Ed25519 key");
  return { privateKey, algorithms };
}

/** RFC 7638: the members of a public JWK that node:crypto exports are those of the thumbprint. */
export function thumbprint(jwk: JWK): string {
  const canonical = JSON.stringify(jwk, Object.keys(jwk).sort());
  return hash("sha256", canonical, "base64url");
}

function importKey(key: StaticKey, type: "secret" | "public" | "private", fail: Fail): KeyObject {
  const given = typeOf(key);
  if (given !== undefined && given !== type) throw fail(`is a ${given} key; pass a ${type} key`);
  checkUsage(key, type === "private" ? "sign" : "verify", fail);
  try {
    if (key instanceof KeyObject) return key;
    if (isCryptoKey(key)) return KeyObject.from(key as webcrypto.CryptoKey);
    if (type === "secret") {
      return isJwk(key)
        ? createSecretKey(key.k as string, "base64url")
        : createSecretKey(key as string, "utf8");
    }
    // Without `format`, node:crypto would accept an options object as the key, with a key of any type inside.
    const input = isJwk(key)
      ? ({ key, format: "jwk" } as const)
      : { key: key as string, format: "pem" as const };
    return type === "public" ? createPublicKey(input) : createPrivateKey(input);
  } catch {
    // Without the cause: an error of node:crypto may quote the key.
    const format = type === "secret" ? "a string, bytes" : "PEM";
    throw fail(`cannot be read as a ${type} key; pass ${format}, a JWK, a KeyObject or a CryptoKey`);
  }
}

function typeOf(key: StaticKey): KeyObject["type"] | undefined {
  if (key instanceof KeyObject) return key.type;
  if (isCryptoKey(key)) return key.type as KeyObject["type"];
  if (key instanceof Uint8Array) return "secret";
  if (!isJwk(key)) return undefined;
  if (key.kty === "oct") return "secret";
  return key.d === undefined ? "public" : "private";
}

/** RFC 7517, sections 4.2 and 4.3, and the usages of WebCrypto: a key is used for its declared purpose only. */
function checkUsage(key: StaticKey, usage: "sign" | "verify", fail: Fail): void {
  if (isCryptoKey(key) && !key.usages.includes(usage)) throw fail(`lacks the usage "${usage}"`);
  if (!isJwk(key)) return;
  if (key.use !== undefined && key.use !== "sig") throw fail('must have the "use" "sig", or no "use"');
  const operations: unknown = key.key_ops;
  if (operations !== undefined && !(Array.isArray(operations) && operations.includes(usage))) {
    throw fail(`must have "${usage}" in its "key_ops", or no "key_ops"`);
  }
}

function checkRsa(key: KeyObject, fail: Fail): void {
  const missing = findRsaWeakness(key);
  if (missing !== undefined) throw fail(`must have ${missing}`);
}

/** Returns what an RSA key lacks; `undefined` if it lacks nothing, or is no RSA key. */
export function findRsaWeakness(key: KeyInput): string | undefined {
  const numbers = readRsaNumbers(key);
  if (numbers === undefined) return undefined;
  if (!(numbers.bits >= MIN_RSA_BITS)) return `at least ${MIN_RSA_BITS} bits`;
  // With an exponent of 1 every message is its own signature (RFC 8017, section 3.1).
  const { exponent } = numbers;
  return exponent < 3n || exponent % 2n === 0n ? "an odd exponent of at least 3" : undefined;
}

/** Not by converting the key to a KeyObject, which not every runtime can. */
function readRsaNumbers(key: KeyInput): { readonly bits: number; readonly exponent: bigint } | undefined {
  if (key instanceof KeyObject) {
    if (key.asymmetricKeyType !== "rsa") return undefined;
    const { modulusLength = 0, publicExponent = 0n } = key.asymmetricKeyDetails ?? {};
    return { bits: modulusLength, exponent: publicExponent };
  }
  if (isCryptoKey(key)) {
    const { modulusLength, publicExponent } = key.algorithm as Partial<webcrypto.RsaKeyAlgorithm>;
    if (modulusLength === undefined || publicExponent === undefined) return undefined;
    return { bits: modulusLength, exponent: toInteger(publicExponent) };
  }
  if (!isJwk(key) || key.kty !== "RSA") return undefined;
  const [modulus, exponent] = [key.n, key.e].map((part) => toInteger(Buffer.from(String(part), "base64url")));
  return { bits: (modulus as bigint).toString(2).length, exponent: exponent as bigint };
}

function toInteger(bytes: Uint8Array): bigint {
  return BigInt(`0x0${Buffer.from(bytes).toString("hex")}`);
}

/** Says why a key cannot be used with an algorithm; `undefined` if it can. */
function findMismatch(key: StaticKey, object: KeyObject, algorithm: Algorithm): string | undefined {
  const { keyKind, name, hash, minBytes = 0 } = algorithm;
  const { type, asymmetricKeyType, asymmetricKeyDetails, symmetricKeySize = 0 } = object;
  const nodeName = asymmetricKeyDetails?.namedCurve ?? asymmetricKeyType ?? type;
  const kind = KEY_KINDS.get(nodeName) ?? nodeName;
  if (kind !== keyKind) return `its type is ${kind}`;
  if (isCryptoKey(key)) {
    const created = key.algorithm as { readonly name: string; readonly hash?: { readonly name: string } };
    if (created.name !== name) return `it was created for ${created.name}`;
    if (hash !== undefined && created.hash?.name !== hash) return `it was created for ${created.hash?.name}`;
  }
  return symmetricKeySize >= minBytes ? undefined : `the secret must have at least ${minBytes} bytes`;
}

function isCryptoKey(key: unknown): key is CryptoKey {
  return (key as { [Symbol.toStringTag]?: unknown } | null | undefined)?.[Symbol.toStringTag] === "CryptoKey";
}

function isJwk(key: unknown): key is JWK {
  return typeof (key as JWK | null | undefined)?.kty === "string" && !(key instanceof Uint8Array);
}
