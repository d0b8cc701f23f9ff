import { describe } from "../internal/validate.js";

/** What a key must be for an algorithm, in the words of JWK (`kty`, `crv`) and of WebCrypto (`name`, `hash`). */
export interface Algorithm {
  readonly kty: "oct" | "RSA" | "EC" | "OKP";
  readonly name: string;
  readonly hash?: string;
  readonly crv?: string;
  /** The least that a secret must have: as much as its hash (RFC 7518, 3.2). */
  readonly bytes?: number;
}

const hmac = (bits: number): Algorithm => ({
  kty: "oct",
  name: "HMAC",
  hash: `SHA-${bits}`,
  bytes: bits / 8,
});
const rsa = (name: string, bits: number): Algorithm => ({ kty: "RSA", name, hash: `SHA-${bits}` });
const ecdsa = (crv: string): Algorithm => ({ kty: "EC", name: "ECDSA", crv });
const ed25519: Algorithm = { kty: "OKP", name: "Ed25519", crv: "Ed25519" };

/** The algorithms that can be allowed: RFC 7518, 3.1; RFC 8037, 3.1; RFC 9864. `none` is none of them. */
const ALGORITHMS: ReadonlyMap<string, Algorithm> = new Map([
  ["HS256", hmac(256)],
  ["HS384", hmac(384)],
  ["HS512", hmac(512)],
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

/** The allowed algorithms by their name in a header. */
export type Algorithms = ReadonlyMap<string, Algorithm>;

/**
 * Reads the option `algorithms`. Secrets and public keys do not go together: whoever has the public key, which is
 * everybody, could sign with it as a secret (RFC 8725, 2.1 and 3.1).
 *
 * @throws TypeError for anything but a list of known algorithms of one sort.
 */
export function readAlgorithms(where: string, value: unknown): Algorithms {
  if (!Array.isArray(value) || value.length === 0) {
    throw new TypeError(
      `${where}: "algorithms" must list the algorithms to accept, such as ["RS256"], got ${Array.isArray(value) ? "an empty list" : describe(value)}`,
    );
  }
  const allowed = new Map<string, Algorithm>();
  for (const name of value as readonly unknown[]) {
    const algorithm = typeof name === "string" ? ALGORITHMS.get(name) : undefined;
    if (algorithm === undefined) {
      const known = [...ALGORITHMS.keys()].join(", ");
      throw new TypeError(
        `${where}: "algorithms" has ${typeof name === "string" ? JSON.stringify(name.slice(0, 40)) : describe(name)}; known are ${known}`,
      );
    }
    allowed.set(name as string, algorithm);
  }
  const sorts = new Set([...allowed.values()].map(({ kty }) => kty === "oct"));
  if (sorts.size > 1) {
    throw new TypeError(`${where}: "algorithms" mixes HS* with others; a public key must never be a secret`);
  }
  return allowed;
}

/** Whether tokens are signed with a secret that both sides have. */
export function usesSecret(algorithms: Algorithms): boolean {
  return [...algorithms.values()].some(({ kty }) => kty === "oct");
}
