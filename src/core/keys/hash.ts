import { createHmac, createSecretKey, hash, type KeyObject } from "node:crypto";
import { type Awaitable, isPromiseLike } from "../../internal/awaitable.js";
import { checkFunction, checkOptions, describe } from "../../internal/validate.js";
import { warn } from "../../internal/warn.js";
import { StoreError } from "../errors.js";

declare const keyHash: unique symbol;

/**
 * The stored form of a secret: 64 hex digits of SHA-256, `<pepper version>:<64 hex digits>` of HMAC-SHA-256, or
 * `<name>:<text>` of a {@link LegacyHash}. The brand keeps a secret from being passed where a hash belongs.
 */
export type KeyHash = string & { readonly [keyHash]: true };

/**
 * A secret of the service that goes into every hash, so that a stolen table alone proves nothing. A plain
 * string is version `v1`; give versions to replace it without reissuing keys. A key of an older version works,
 * and moves to the current one when it is used. List the versions from the oldest to the newest, and let every
 * process know a new one before the first one has it as `current`: a key never moves to an older version.
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
       * Find keys too that were stored before there was a pepper. By default they are not found. Let every
       * verifier have this, with `rehash: false`, before the first key moves or is issued under the pepper.
       */
      readonly unpeppered?: boolean;
    };

/**
 * How another system hashed the secrets whose hashes were imported, such as the one that this library replaces.
 * A key that is found by it works, and moves to the current hash when it is used.
 *
 * The hash must be determined by the secret. For a salted one, such as bcrypt, find the salt by the part of the
 * secret that identifies it, and answer the hash that comes out; the time limit of the store holds for it.
 *
 * @example
 * const old: LegacyHash = { name: "old", hash: (secret) => createHash("sha512").update(secret).digest("base64") };
 */
export interface LegacyHash {
  /** Goes in front of the stored hash: 1 to 32 of `A-Z a-z 0-9 _ -`, and no version of a pepper. */
  readonly name: string;
  /**
   * The hash as it was imported: 1 to 190 printable characters of ASCII. It is asked for secrets of every form:
   * answer `undefined`, and do not throw, for one that cannot be the other system's.
   */
  readonly hash: (secret: string) => Awaitable<string | undefined>;
}

/** Turns a secret into the hash that its key is stored under. */
export type Hasher = (secret: string) => KeyHash;

/** Turns a secret into the hash that its key may still be stored under. */
export type OlderHasher = (secret: string) => Awaitable<KeyHash | undefined>;

/** The hasher of new keys, and behind it those of older peppers and legacy hashes. */
export type Hashers = readonly [current: Hasher, ...older: OlderHasher[]];

const LEGACY = /^[\x21-\x7e]{1,190}$/;
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

/** @throws TypeError when a pepper is empty, the current version is not among its keys, or a name is taken. */
export function createHashers(pepper: Pepper | undefined, legacyHashes: readonly LegacyHash[] = []): Hashers {
  if (!Array.isArray(legacyHashes)) throw new TypeError('"legacyHashes" must be a list of { name, hash }');
  const [versions, hashers] = pepperHashers(pepper);
  const names = new Set(versions);
  for (const legacy of legacyHashes as readonly LegacyHash[]) {
    const { name, hash: hasher } = checkOptions("legacyHashes", legacy, ["name", "hash"]);
    if (typeof name !== "string" || !VERSION.test(name)) {
      throw new TypeError('legacyHashes: "name" is 1 to 32 of A-Z a-z 0-9 _ -');
    }
    if (names.has(name)) throw new TypeError(`legacyHashes: the name "${name}" is taken`);
    if (hasher === undefined) throw new TypeError('legacyHashes: "hash" must be a function, got undefined');
    checkFunction("legacyHashes", "hash", hasher);
    names.add(name);
  }
  return [...hashers, ...legacyHashes.map(legacyHasher)];
}

/** Writes the hash that another system made as the one that its key is stored under; `undefined` if it cannot. */
export function legacyKeyHash(name: string, hash: unknown): KeyHash | undefined {
  return typeof hash === "string" && LEGACY.test(hash) ? (`${name}:${hash}` as KeyHash) : undefined;
}

// No version and no name is written with a space.
const PLAIN = "plain SHA-256";

/** What a hash was made with, for people: the version of a pepper, the name of a legacy hash, or none of them. */
export function hashKind(hash: string): string {
  const colon = hash.indexOf(":");
  return colon < 0 ? PLAIN : hash.slice(0, colon);
}

/** The versions of a pepper that stand behind the current one in `keys`: newer ones, that others write already. */
export function newerVersions(pepper: Pepper | undefined): readonly string[] {
  if (pepper === undefined || typeof pepper === "string") return [];
  const versions = Object.keys(pepper.keys);
  return versions.slice(versions.indexOf(pepper.current) + 1);
}

/** The kinds of hash, without the legacy ones, that are looked for with this pepper. */
export function ownHashKinds(pepper: Pepper | undefined): readonly string[] {
  if (pepper === undefined) return [PLAIN];
  if (typeof pepper === "string") return ["v1"];
  return [...Object.keys(pepper.keys), ...(pepper.unpeppered === true ? [PLAIN] : [])];
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

function pepperHashers(
  pepper: Pepper | undefined,
): readonly [versions: readonly string[], hashers: readonly [Hasher, ...Hasher[]]] {
  if (pepper === null || (typeof pepper !== "string" && typeof pepper !== "object" && pepper !== undefined)) {
    throw new TypeError(`pepper: expected a text or { current, keys }, got ${describe(pepper)}`);
  }
  if (pepper === undefined) return [[], [plain]];
  const given = typeof pepper === "string" ? { current: "v1", keys: { v1: pepper } } : pepper;
  const {
    current,
    keys,
    unpeppered = false,
  } = checkOptions("pepper", given, ["current", "keys", "unpeppered"]);
  if (typeof keys !== "object" || keys === null || !Object.hasOwn(keys, current)) {
    throw new TypeError('pepper: "keys" must have a member for the version that "current" names');
  }
  if (typeof unpeppered !== "boolean") throw new TypeError('pepper: "unpeppered" must be true or false');
  const older = Object.keys(keys).filter((version) => version !== current);
  const hashers: [Hasher, ...Hasher[]] = [
    peppered(current, keys[current]),
    ...older.reverse().map((version) => peppered(version, keys[version])),
  ];
  if (unpeppered) hashers.push(plain);
  return [[current, ...older], hashers];
}

const plain: Hasher = (secret) => hash("sha256", secret, "hex") as KeyHash;

function legacyHasher({ name, hash: hasher }: LegacyHash): OlderHasher {
  const written = (value: string | undefined): KeyHash | undefined => {
    if (value === undefined) return undefined;
    const stored = legacyKeyHash(name, value);
    if (stored === undefined)
      throw new StoreError(`The legacy hash "${name}" answered something that is no hash`);
    return stored;
  };
  return (secret) => {
    const value = hasher(secret);
    return isPromiseLike(value) ? value.then(written) : written(value);
  };
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
