import { createHmac, createSecretKey, hash, type KeyObject } from "node:crypto";
import { type Awaitable, isPromiseLike } from "../../internal/awaitable.js";
import {
  checkBoolean,
  checkFunction,
  checkOptions,
  describe,
  isNonEmptyString,
} from "../../internal/validate.js";
import { warn } from "../../internal/warn.js";
import { StoreError } from "../errors.js";

declare const keyHash: unique symbol;

/**
 * The stored form of a secret: 64 hex digits of SHA-256, `<pepper version>:<64 hex digits>` of HMAC-SHA-256, or
 * `<name>:<hash>` of a {@link LegacyHash}. The type is branded, so a secret cannot be passed where a hash is expected.
 */
export type KeyHash = string & { readonly [keyHash]: true };

/**
 * A secret of the service that goes into every hash, so that a stolen table is useless without it. A string is
 * version `v1`; use versions to replace a pepper without reissuing keys. A key of an older version works, and moves to
 * the current version when it is used. List the versions from oldest to newest, and give a new version to every process
 * before the first process has it as `current`: a key never moves to an older version.
 *
 * @example
 * const pepper: Pepper = { current: "v2", keys: { v1: readSecret("pepper-1"), v2: readSecret("pepper-2") } };
 */
export type Pepper =
  | string
  | {
      readonly current: string;
      readonly keys: Readonly<Record<string, string>>;
      /**
       * Whether keys that were stored before there was a pepper are found. Give it to every verifier, with
       * `rehash: false`, before the first key moves or is issued under the pepper. `false` by default.
       */
      readonly unpeppered?: boolean;
    };

/**
 * How another system hashed secrets whose hashes were imported. A key found by such a hash works, and moves to the
 * current hash when it is used.
 *
 * The hash must be determined by the secret. For a salted hash such as bcrypt, find the salt by the part of the secret
 * that identifies it. The time limit of the store applies.
 *
 * @example
 * const old: LegacyHash = { name: "old", hash: (secret) => createHash("sha512").update(secret).digest("base64") };
 */
export interface LegacyHash {
  /** Precedes the stored hash: 1 to 32 characters of `A-Z a-z 0-9 _ -`, different from every pepper version. */
  readonly name: string;
  /**
   * Returns the hash as it was imported: 1 to 190 printable ASCII characters. It is called for secrets of every format:
   * return `undefined` for a secret that cannot come from the other system, and do not throw.
   */
  readonly hash: (secret: string) => Awaitable<string | undefined>;
}

/** Returns the hash under which the key of a secret is stored. */
export type Hasher = (secret: string) => KeyHash;

/** Returns a hash under which the key of a secret may still be stored. */
export type OlderHasher = (secret: string) => Awaitable<KeyHash | undefined>;

/** The hasher of new keys, followed by those of older peppers and legacy hashes. */
export type Hashers = readonly [current: Hasher, ...older: OlderHasher[]];

const LEGACY = /^[\x21-\x7e]{1,190}$/;
const VERSION = /^[A-Za-z0-9_-]{1,32}$/;
const VERSION_FORMAT = "must be 1 to 32 characters of A-Z a-z 0-9 _ -";
// NIST SP 800-131A requires 112 bits for an HMAC key; a string of 16 bytes can reach that.
const SHORT_PEPPER_BYTES = 16;

/**
 * Hashes a secret in the same way as verifiers and managers with the same pepper, for stores that are not filled by a
 * manager. A random secret of at least 128 bits needs no slow hash, because it cannot be guessed.
 *
 * @throws TypeError if the secret is empty or the pepper is invalid.
 *
 * @example
 * await db.query("insert into api_keys (hash, owner) values ($1, $2)", [hashSecret(secret), owner]);
 */
export function hashSecret(secret: string, pepper?: Pepper): KeyHash {
  if (!isNonEmptyString(secret)) {
    throw new TypeError(`hashSecret: the secret must be a non-empty string; received ${describe(secret)}`);
  }
  return createHashers(pepper)[0](secret);
}

/**
 * Creates the hashers of a verifier or manager.
 *
 * @throws TypeError if a pepper is empty, `keys` lacks the current version, or a name is used twice.
 */
export function createHashers(pepper: Pepper | undefined, legacyHashes: readonly LegacyHash[] = []): Hashers {
  if (!Array.isArray(legacyHashes)) {
    throw new TypeError(
      `"legacyHashes" must be an array of { name, hash }; received ${describe(legacyHashes)}`,
    );
  }
  const [versions, hashers] = createPepperHashers(pepper);
  const names = new Set(versions);
  for (const legacy of legacyHashes as readonly LegacyHash[]) {
    const { name, hash: hasher } = checkOptions("legacyHashes", legacy, ["name", "hash"]);
    if (typeof name !== "string" || !VERSION.test(name)) {
      throw new TypeError(`legacyHashes: "name" ${VERSION_FORMAT}`);
    }
    if (names.has(name)) throw new TypeError(`legacyHashes: the name "${name}" is already used`);
    if (hasher === undefined)
      throw new TypeError('legacyHashes: "hash" must be a function; received undefined');
    checkFunction("legacyHashes", "hash", hasher);
    names.add(name);
  }
  return [...hashers, ...legacyHashes.map(createLegacyHasher)];
}

/** Returns the stored form of another system's hash; `undefined` if it cannot be stored. */
export function legacyKeyHash(name: string, hash: unknown): KeyHash | undefined {
  return typeof hash === "string" && LEGACY.test(hash) ? (`${name}:${hash}` as KeyHash) : undefined;
}

const PLAIN = "plain SHA-256"; // versions and names have no space

/** Names what a hash was made with: a pepper version, the name of a legacy hash, or plain SHA-256. */
export function hashKind(hash: string): string {
  const colon = hash.indexOf(":");
  return colon < 0 ? PLAIN : hash.slice(0, colon);
}

/** Returns the pepper versions listed after the current one: newer versions that other processes may already use. */
export function newerVersions(pepper: Pepper | undefined): readonly string[] {
  if (pepper === undefined || typeof pepper === "string") return [];
  const versions = Object.keys(pepper.keys);
  return versions.slice(versions.indexOf(pepper.current) + 1);
}

/** Returns the kinds of hash that are looked up with this pepper, without legacy hashes. */
export function ownHashKinds(pepper: Pepper | undefined): readonly string[] {
  if (pepper === undefined) return [PLAIN];
  if (typeof pepper === "string") return ["v1"];
  return [...Object.keys(pepper.keys), ...(pepper.unpeppered === true ? [PLAIN] : [])];
}

/**
 * Compares two hashes in constant time for their length. A loop, because two Buffers for `timingSafeEqual` would cost
 * more than the hash itself.
 */
export function sameHash(a: string, b: string): boolean {
  if (a.length !== b.length) return false;
  let difference = 0;
  for (let i = 0; i < a.length; i++) difference |= a.charCodeAt(i) ^ b.charCodeAt(i);
  return difference === 0;
}

function createPepperHashers(
  pepper: Pepper | undefined,
): readonly [versions: readonly string[], hashers: readonly [Hasher, ...Hasher[]]] {
  if (pepper === null || (typeof pepper !== "string" && typeof pepper !== "object" && pepper !== undefined)) {
    throw new TypeError(`pepper: expected a string or { current, keys }; received ${describe(pepper)}`);
  }
  if (pepper === undefined) return [[], [plainHasher]];
  const given = typeof pepper === "string" ? { current: "v1", keys: { v1: pepper } } : pepper;
  const {
    current,
    keys,
    unpeppered = false,
  } = checkOptions("pepper", given, ["current", "keys", "unpeppered"]);
  if (typeof keys !== "object" || keys === null || !Object.hasOwn(keys, current)) {
    throw new TypeError('pepper: "keys" must have a member for the version in "current"');
  }
  checkBoolean("pepper", "unpeppered", unpeppered);
  const older = Object.keys(keys).filter((version) => version !== current);
  const hashers: [Hasher, ...Hasher[]] = [
    createPepperHasher(current, keys[current]),
    ...older.reverse().map((version) => createPepperHasher(version, keys[version])),
  ];
  if (unpeppered) hashers.push(plainHasher);
  return [[current, ...older], hashers];
}

const plainHasher: Hasher = (secret) => hash("sha256", secret, "hex") as KeyHash;

function createPepperHasher(version: string, pepper: unknown): Hasher {
  if (!VERSION.test(version)) throw new TypeError(`pepper: a version ${VERSION_FORMAT}`);
  if (!isNonEmptyString(pepper)) {
    throw new TypeError(
      `pepper: version "${version}" must be a non-empty string; received ${describe(pepper)}`,
    );
  }
  const bytes = Buffer.from(pepper, "utf8");
  if (bytes.length < SHORT_PEPPER_BYTES) {
    warn("KEYBEARER_SHORT_PEPPER", `pepper version "${version}" is shorter than ${SHORT_PEPPER_BYTES} bytes`);
  }
  const key: KeyObject = createSecretKey(bytes);
  return (secret) => `${version}:${createHmac("sha256", key).update(secret).digest("hex")}` as KeyHash;
}

function createLegacyHasher({ name, hash: hasher }: LegacyHash): OlderHasher {
  const toStored = (value: string | undefined): KeyHash | undefined => {
    if (value === undefined) return undefined;
    const stored = legacyKeyHash(name, value);
    if (stored === undefined) throw new StoreError(`The legacy hash "${name}" returned an invalid hash`);
    return stored;
  };
  return (secret) => {
    const value = hasher(secret);
    return isPromiseLike(value) ? value.then(toStored) : toStored(value);
  };
}
