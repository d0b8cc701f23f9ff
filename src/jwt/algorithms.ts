import { describe } from "../internal/validate.js";

/** An algorithm that signs tokens. Asymmetric, so that services that verify tokens cannot sign them. */
export type SigningAlgorithm = `${"RS" | "PS" | "ES"}${256 | 384 | 512}` | "EdDSA" | "Ed25519";

/** The kind of key that an algorithm needs. */
export interface Algorithm {
  readonly keyKind: "secret" | "RSA" | "P-256" | "P-384" | "P-521" | "Ed25519";
  /** The name and hash of the same algorithm in WebCrypto. */
  readonly name: string;
  readonly hash?: string;
  /** The minimum length of a secret: as long as the hash (RFC 7518, section 3.2). */
  readonly minBytes?: number;
}

const hmac = (bits: number): Algorithm => ({
  keyKind: "secret",
  name: "HMAC",
  hash: `SHA-${bits}`,
  minBytes: bits / 8,
});
const rsa = (name: string, bits: number): Algorithm => ({ keyKind: "RSA", name, hash: `SHA-${bits}` });
const ecdsa = (curve: "P-256" | "P-384" | "P-521"): Algorithm => ({ keyKind: curve, name: "ECDSA" });
const ed25519: Algorithm = { keyKind: "Ed25519", name: "Ed25519" };

/** The asymmetric algorithms: RFC 7518, section 3.1; RFC 8037; RFC 9864. */
export const SIGNING_ALGORITHMS: Algorithms = new Map<SigningAlgorithm, Algorithm>([
  ["RS256", rsa("RSASSA-PKCS1-v1_5", 256)],
  ["RS384", rsa("RSASSA-PKCS1-v1_5", 384)],
  ["RS512", rsa("RSASSA-PKCS1-v1_5", 512)],
  ["PS256", rsa("RSA-PSS", 256)],
  ["PS384", rsa("RSA-PSS", 384)],
  ["PS512", rsa("RSA-PSS", 512)],
  ["ES256", ecdsa("P-256")],
  ["ES384", ecdsa("P-384")],
  ["ES512", ecdsa("P-521")],
  ["EdDSA", ed25519],
  ["Ed25519", ed25519],
]);

/** Every algorithm that can be allowed. `none` is not among them. */
const ALGORITHMS: Algorithms = new Map([
  ["HS256", hmac(256)],
  ["HS384", hmac(384)],
  ["HS512", hmac(512)],
  ...SIGNING_ALGORITHMS,
]);

/** Algorithms by the name that the `alg` header parameter has. */
export type Algorithms = ReadonlyMap<string, Algorithm>;

/**
 * Reads the option `algorithms`. HS* cannot be combined with asymmetric algorithms: an attacker could use the public
 * key, which is no secret, as the secret of HS* (RFC 8725, sections 2.1 and 3.1).
 *
 * @throws TypeError if `value` is not an array of known algorithms, or mixes HS* with others.
 */
export function readAlgorithms(where: string, value: unknown): Algorithms {
  const fail = (problem: string) => new TypeError(`${where}: "algorithms" ${problem}`);
  if (!Array.isArray(value) || value.length === 0) {
    const received = Array.isArray(value) ? "an empty array" : describe(value);
    throw fail(`must be an array of algorithms, such as ["RS256"]; received ${received}`);
  }
  const allowed = new Map<string, Algorithm>();
  for (const name of value as readonly unknown[]) {
    const algorithm = typeof name === "string" ? ALGORITHMS.get(name) : undefined;
    if (algorithm === undefined) {
      const received = typeof name === "string" ? JSON.stringify(name.slice(0, 40)) : describe(name);
      throw fail(`contains ${received}; supported are ${[...ALGORITHMS.keys()].join(", ")}`);
    }
    allowed.set(name as string, algorithm);
  }
  if (usesSecret(allowed) && [...allowed.values()].some(({ keyKind }) => keyKind !== "secret")) {
    throw fail("mixes HS* with asymmetric algorithms; a public key must never be accepted as a secret");
  }
  return allowed;
}

/** Whether tokens are signed with a shared secret (HS*). */
export function usesSecret(algorithms: Algorithms): boolean {
  return [...algorithms.values()].some(({ keyKind }) => keyKind === "secret");
}
