import type { KeyObject } from "node:crypto";
import type { JSONWebKeySet, JWK } from "jose";
import { readSigningKey, type Signer, type SigningKey } from "./signing-key.js";

/** The keys of a token service: the one that signs, and the others whose tokens are accepted. */
export interface SigningKeys {
  /** The key that signs. */
  signer(): Signer;
  /** The public key of a token, by both its `kid` and its `alg`; `undefined` when there is none, any more. */
  find(kid: unknown, alg: unknown): KeyObject | undefined;
  /** What is published; a copy. */
  published(): JSONWebKeySet;
  /** Another number once a key is out or another one signs: what was verified before does not count any more. */
  revision(): number;
  /** Signs with another key from now on, and keeps the former for so many milliseconds. */
  rotate(key: SigningKey, overlapMs: number): void;
}

/** The most keys that a service publishes: every verifier of its tokens keeps all of them. */
export const MAX_SIGNING_KEYS = 16;

interface Kept {
  readonly signer: Signer;
  /** When the last token that it signed is over; `undefined` for keys that were not rotated out. */
  readonly until?: number;
}

/** @throws TypeError for keys that cannot work, two keys of one `kid`, none, and too many. */
export function createSigningKeys(
  where: string,
  given: SigningKey | readonly SigningKey[],
  now: () => number,
): SigningKeys {
  const list: readonly SigningKey[] = Array.isArray(given) ? given : [given as SigningKey];
  if (list.length === 0) throw new TypeError(`${where}: "signingKey" is an empty list`);
  if (list.length > MAX_SIGNING_KEYS) {
    throw new TypeError(`${where}: "signingKey" lists more than ${MAX_SIGNING_KEYS} keys`);
  }
  let keys: readonly Kept[] = list.map((each) => ({ signer: readSigningKey(where, each) }));
  const names = new Set(keys.map(({ signer }) => signer.kid));
  if (names.size < keys.length) throw new TypeError(`${where}: two keys of "signingKey" have one kid`);

  let revision = 0;
  const replace = (others: readonly Kept[]): void => {
    keys = others;
    revision += 1;
  };

  const alive = (): readonly Kept[] => {
    if (keys.every(({ until }) => until === undefined)) return keys;
    const time = now();
    const isOver = ({ until }: Kept) => until !== undefined && !(time < until);
    if (keys.some(isOver)) replace(keys.filter((kept) => !isOver(kept)));
    return keys;
  };

  return {
    signer: () => (keys[0] as Kept).signer, // the first is never one that was rotated out

    find: (kid, alg) =>
      alive().find(({ signer }) => signer.kid === kid && signer.alg === alg)?.signer.publicKey,

    published: () => ({ keys: alive().map(({ signer }): JWK => ({ ...signer.jwk })) }),

    revision() {
      alive();
      return revision;
    },

    rotate(key, overlapMs) {
      const where = "rotateSigningKey";
      const signer = readSigningKey(where, key);
      const [former, ...others] = alive() as readonly [Kept, ...Kept[]];
      if (former.signer.kid === signer.kid) throw new TypeError(`${where}: this kid is the one that signs`);
      const known = others.find((kept) => kept.signer.kid === signer.kid);
      if (known !== undefined && !isSame(known.signer, signer)) {
        throw new TypeError(`${where}: another key, or one of another algorithm, has this kid`);
      }
      const kept: readonly Kept[] = [
        { signer },
        ...(overlapMs > 0 ? [{ signer: former.signer, until: now() + overlapMs }] : []),
        ...others.filter((other) => other !== known),
      ];
      if (kept.length > MAX_SIGNING_KEYS) {
        throw new RangeError(
          `${where}: ${MAX_SIGNING_KEYS} keys are published; wait until the tokens of one are over`,
        );
      }
      replace(kept);
    },
  };
}

function isSame(one: Signer, other: Signer): boolean {
  return one.alg === other.alg && one.publicKey.equals(other.publicKey);
}
