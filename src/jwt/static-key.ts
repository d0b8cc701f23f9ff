import { createPublicKey, createSecretKey, KeyObject } from "node:crypto";
import type { CryptoKey, JWK } from "jose";
import { describe } from "../internal/validate.js";
import { type Algorithm, type Algorithms, usesSecret } from "./algorithms.js";

/** A key that is given as it is. A string is a public key in PEM (SPKI), or the UTF-8 secret of HS*. */
export type StaticKey = CryptoKey | KeyObject | JWK | Uint8Array | string;

// RFC 7518, 3.3: 2048 bits or more.
const MIN_RSA_BITS = 2_048;
const CURVES: Readonly<Record<string, string>> = {
  prime256v1: "P-256",
  secp384r1: "P-384",
  secp521r1: "P-521",
};

/**
 * Reads the option `key`, which must fit every one of the algorithms (RFC 8725, 3.1: one key for one algorithm).
 *
 * @throws TypeError when it does not, or is not a key to verify with.
 */
export function readStaticKey(where: string, key: StaticKey, algorithms: Algorithms): KeyObject | CryptoKey {
  const refuse = (problem: string) => new TypeError(`${where}: "key" ${problem}`);
  if (isJwk(key)) checkJwk(key, algorithms, refuse);
  const object = usesSecret(algorithms) ? toSecret(key, refuse) : toPublicKey(key, refuse);
  for (const [name, algorithm] of algorithms) {
    const problem = isCryptoKey(key) ? unfitCryptoKey(key, algorithm) : unfit(object, algorithm);
    if (problem !== undefined) throw refuse(`does not fit ${name}: ${problem}`);
  }
  if (
    object.asymmetricKeyType === "rsa" &&
    !((object.asymmetricKeyDetails?.modulusLength ?? 0) >= MIN_RSA_BITS)
  ) {
    throw refuse(`must have at least ${MIN_RSA_BITS} bits`);
  }
  return isCryptoKey(key) ? key : object;
}

type Refuse = (problem: string) => TypeError;

function toSecret(key: StaticKey, refuse: Refuse): KeyObject {
  const secret = read(refuse, "is not the secret that HS* needs", () => {
    if (typeof key === "string") return createSecretKey(key, "utf8");
    if (key instanceof Uint8Array) return createSecretKey(key);
    if (isJwk(key)) return createSecretKey((key as { k: string }).k, "base64url");
    return toKeyObject(key);
  });
  if (secret.type !== "secret") throw refuse(`is a ${secret.type} key, and HS* needs a secret`);
  // The one mistake that opens everything: a public key is known to everybody.
  if (/-----BEGIN |^ssh-/.test(secret.export().toString("latin1")))
    throw refuse("is a file of a key, no secret of HS*");
  return secret;
}

function toPublicKey(key: StaticKey, refuse: Refuse): KeyObject {
  if (key instanceof Uint8Array) throw refuse("is a secret, and the algorithms need a public key");
  if (typeof key === "string" && !/^\s*-----BEGIN PUBLIC KEY-----/.test(key)) {
    throw refuse('must be a public key in PEM, which begins with "-----BEGIN PUBLIC KEY-----"');
  }
  const object = read(refuse, "is not a public key that can be read", () => {
    if (typeof key === "string") return createPublicKey(key);
    return isJwk(key) ? createPublicKey({ key, format: "jwk" }) : toKeyObject(key);
  });
  if (object.type !== "public") throw refuse(`is a ${object.type} key; give the public one`);
  return object;
}

function toKeyObject(key: unknown): KeyObject {
  if (key instanceof KeyObject) return key;
  if (isCryptoKey(key)) return KeyObject.from(key as Parameters<typeof KeyObject.from>[0]);
  throw new TypeError(describe(key));
}

/** Runs a reader of Node, whose errors may quote what they could not read. */
function read(refuse: Refuse, problem: string, reader: () => KeyObject): KeyObject {
  try {
    return reader();
  } catch {
    throw refuse(problem);
  }
}

/** RFC 7517, 4.2 to 4.4: what a key says of its use is binding. */
function checkJwk(jwk: JWK, algorithms: Algorithms, refuse: Refuse): void {
  if (jwk.kty !== "oct" && jwk.d !== undefined) throw refuse("is a private key; give the public one");
  if (jwk.use !== undefined && jwk.use !== "sig") throw refuse('must have the "use" sig, or none');
  const operations: unknown = jwk.key_ops;
  if (operations !== undefined && !(Array.isArray(operations) && operations.includes("verify"))) {
    throw refuse('must have verify among its "key_ops", or none');
  }
  for (const name of algorithms.keys()) {
    if (jwk.alg !== undefined && jwk.alg !== name)
      throw refuse(`does not fit ${name}: its "alg" is another one`);
  }
}

function unfit(key: KeyObject, { kty, crv, bytes = 0 }: Algorithm): string | undefined {
  if (kty === "oct") {
    return (key.symmetricKeySize ?? 0) >= bytes ? undefined : `the secret must have at least ${bytes} bytes`;
  }
  const { asymmetricKeyType: type, asymmetricKeyDetails: details } = key;
  const isOfKind =
    (kty === "RSA" && type === "rsa") ||
    (kty === "EC" && type === "ec" && CURVES[details?.namedCurve ?? ""] === crv) ||
    (kty === "OKP" && type === "ed25519");
  return isOfKind
    ? undefined
    : `it is of type ${type}${details?.namedCurve ? ` (${details.namedCurve})` : ""}`;
}

/** What a CryptoKey may be used for is fixed in it. */
function unfitCryptoKey(key: CryptoKey, algorithm: Algorithm): string | undefined {
  const { name, hash, namedCurve, length } = key.algorithm as {
    name: string;
    hash?: { name: string };
    namedCurve?: string;
    length?: number;
  };
  if (!key.usages.includes("verify")) return "its usages do not include verify";
  if (name !== algorithm.name) return `it is for ${name}`;
  if (algorithm.hash !== undefined && hash?.name !== algorithm.hash) return `it is for ${hash?.name}`;
  if (algorithm.name === "ECDSA" && namedCurve !== algorithm.crv) return `it is for ${namedCurve}`;
  if (algorithm.bytes !== undefined && !((length ?? 0) >= algorithm.bytes * 8)) {
    return `the secret must have at least ${algorithm.bytes} bytes`;
  }
  return undefined;
}

function isCryptoKey(key: unknown): key is CryptoKey {
  return (key as { [Symbol.toStringTag]?: unknown } | null)?.[Symbol.toStringTag] === "CryptoKey";
}

function isJwk(key: unknown): key is JWK {
  if (typeof key !== "object" || key === null || key instanceof Uint8Array) return false;
  return !isCryptoKey(key) && !(key instanceof KeyObject);
}
