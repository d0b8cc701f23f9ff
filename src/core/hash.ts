import { createHmac, createSecretKey, hash, type KeyObject } from "node:crypto";
import { checkOptions, describe, warn } from "./options.js";

declare const keyHash: unique symbol;

/**
 * The stored form of a secret: 64 hex digits of SHA-256, or `<pepper version>:<64 hex digits>` of HMAC-SHA-256.
 * The brand keeps a secret from being passed where a hash belongs.
 */
export type KeyHash = string & { readonly [keyHash]: true };

/**
 * A secret of the service that goes into every hash, so that a stolen table alone proves nothing. A plain
 * string is version `v1`; give versions to replace it without reissuing keys. Keys that were stored without a
 * pepper are not found with one: reissue them.
 *
 * @example
 * const pepper: Pepper = { current: "v2", keys: { v1: readSecret("pepper-1"), v2: readSecret("pepper-2") } };
 */
export type Pepper =
  | string
  | {
      readonly current: string;
      readonly keys: Readonly<Record<string, string>>;
    };

/** Turns a secret into the hash that its key is stored under. */
export type Hasher = (secret: string) => KeyHash;

/** The hasher of new keys, and behind it those of older peppers. */
export type Hashers = readonly [current: Hasher, ...older: Hasher[]];

const VERSION = /^[A-Za-z0-9_-]{1,32}$/;
// 112 bits is the least that NIST SP 800-131A accepts for an HMAC key; a text of 16 bytes can reach it.
const SHORT_PEPPER_BYTES = 16;

/**
 * Hashes a secret as verifiers and managers with the same pepper do; for stores that are filled by other
 * means than a manager. A random secret of 128 bits and more needs no slow hash: there is nothing to guess.
 *
 * @throws TypeError for an empty secret or a pepper that is none.
 *
 * @example
 * await db.query("insert into api_keys (hash, owner) values ($1, $2)", [hashSecret(secret), owner]);
 */
export function hashSecret(secret: string, pepper?: Pepper): KeyHash {
  if (typeof secret !== "string" || secret === "")
    throw new TypeError("hashSecret: the secret must be a text");
  return createHashers(pepper)[0](secret);
}

/** @throws TypeError when a pepper is empty, or the current version is not among its keys. */
export function createHashers(pepper: Pepper | undefined): Hashers {
  if (pepper === null || (typeof pepper !== "string" && typeof pepper !== "object" && pepper !== undefined)) {
    throw new TypeError(`pepper: expected a text or { current, keys }, got ${describe(pepper)}`);
  }
  if (pepper === undefined) return [(secret) => hash("sha256", secret, "hex") as KeyHash];
  const { current, keys } = typeof pepper === "string" ? { current: "v1", keys: { v1: pepper } } : pepper;
  if (typeof pepper !== "string") checkOptions("pepper", pepper, ["current", "keys"]);
  if (typeof keys !== "object" || keys === null || !Object.hasOwn(keys, current)) {
    throw new TypeError('pepper: "keys" must have a member for the version that "current" names');
  }
  const older = Object.keys(keys).filter((version) => version !== current);
  return [
    peppered(current, keys[current]),
    ...older.reverse().map((version) => peppered(version, keys[version])),
  ];
}

/**
 * Compares two hashes in a time that depends on their length alone. The work is a loop over the characters:
 * two Buffers for `timingSafeEqual` would cost more than the hash itself.
 */
export function sameHash(a: string, b: string): boolean {
  if (a.length !== b.length) return false;
  let difference = 0;
  for (let i = 0; i < a.length; i++) difference |= a.charCodeAt(i) ^ b.charCodeAt(i);
  return difference === 0;
}

function peppered(version: string, pepper: unknown): Hasher {
  if (!VERSION.test(version)) throw new TypeError("pepper: a version is 1 to 32 of A-Z a-z 0-9 _ -");
  if (typeof pepper !== "string" || pepper === "") {
    throw new TypeError(`pepper: version "${version}" must be a text that is not empty`);
  }
  const bytes = Buffer.from(pepper, "utf8");
  if (bytes.length < SHORT_PEPPER_BYTES) {
    warn("KEYBEARER_SHORT_PEPPER", `pepper version "${version}" is shorter than ${SHORT_PEPPER_BYTES} bytes`);
  }
  const key: KeyObject = createSecretKey(bytes);
  return (secret) => `${version}:${createHmac("sha256", key).update(secret).digest("hex")}` as KeyHash;
}
