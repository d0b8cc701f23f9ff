import type { KeyObject } from "node:crypto";
import type { JSONWebKeySet, JWK, KeyInput } from "jose";
import { readSigningKey, type Signer, type SigningKey } from "./signing-key.js";

/** The keys of a token service: the first signs, and all are published. */
export interface KeySet {
  /** Returns the key that signs. */
  signer(): Signer;
  /** Returns the public key with this `kid` and `alg`; `undefined` if there is none. */
  find(kid: unknown, alg: unknown): KeyObject | undefined;
  /** Returns a copy of the published set. */
  published(): JSONWebKeySet;
  /** Whether a key that `find` returned is still in the set. */
  has(key: KeyInput): boolean;
  /** Signs with another key, and keeps the previous one for `overlapMs` milliseconds. */
  rotate(key: SigningKey, overlapMs: number): void;
}

/** The maximum number of published keys, which every verifier of the tokens has to load. */
export const MAX_SIGNING_KEYS = 16;

interface Entry {
  readonly signer: Signer;
  /** When the last token of a rotated key expires, in milliseconds since 1970. */
  readonly until?: number;
}

/** @throws TypeError if there is no key, more than 16, a duplicate `kid` or an invalid key. */
export function createKeySet(
  where: string,
  given: SigningKey | readonly SigningKey[],
  now: () => number,
): KeySet {
  const list: readonly SigningKey[] = Array.isArray(given) ? given : [given as SigningKey];
  if (list.length === 0) throw new TypeError(`${where}: "signingKey" is an empty array`);
  if (list.length > MAX_SIGNING_KEYS) {
    throw new TypeError(`${where}: "signingKey" has more than ${MAX_SIGNING_KEYS} keys`);
  }
  let entries: readonly Entry[] = list.map((key) => ({ signer: readSigningKey(where, key) }));
  const kids = new Set(entries.map(({ signer }) => signer.kid));
  if (kids.size < entries.length)
    throw new TypeError(`${where}: "signingKey" has two keys with the same kid`);

  const current = (): readonly Entry[] => {
    if (entries.every(({ until }) => until === undefined)) return entries;
    const time = now();
    const isExpired = ({ until }: Entry) => until !== undefined && !(time < until);
    if (entries.some(isExpired)) entries = entries.filter((entry) => !isExpired(entry));
    return entries;
  };

  return {
    signer: () => (entries[0] as Entry).signer, // the first entry never expires

    find: (kid, alg) =>
      current().find(({ signer }) => signer.kid === kid && signer.alg === alg)?.signer.publicKey,

    published: () => ({ keys: current().map(({ signer }): JWK => ({ ...signer.jwk })) }),

    has: (key) => current().some(({ signer }) => signer.publicKey === key),

    rotate(key, overlapMs) {
      const where = "rotateSigningKey";
      const signer = readSigningKey(where, key);
      const [previous, ...others] = current() as readonly [Entry, ...Entry[]];
      if (previous.signer.kid === signer.kid) {
        throw new TypeError(`${where}: the key with this kid is already the signing key`);
      }
      const published = others.find((entry) => entry.signer.kid === signer.kid);
      if (published !== undefined && !isSame(published.signer, signer)) {
        throw new TypeError(`${where}: this kid belongs to another key, or to the same key with another alg`);
      }
      const next: readonly Entry[] = [
        { signer: published?.signer ?? signer }, // the same object: `has` compares identity
        ...(overlapMs > 0 ? [{ signer: previous.signer, until: now() + overlapMs }] : []),
        ...others.filter((entry) => entry !== published),
      ];
      if (next.length > MAX_SIGNING_KEYS) {
        throw new RangeError(
          `${where}: ${MAX_SIGNING_KEYS} keys are published already; wait until the tokens of one have expired`,
        );
      }
      entries = next;
    },
  };
}

function isSame(one: Signer, other: Signer): boolean {
  return one.alg === other.alg && one.publicKey.equals(other.publicKey);
}
