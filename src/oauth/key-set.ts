import type { KeyObject } from "node:crypto";
import type { JSONWebKeySet, JWK, KeyInput } from "jose";
import type { Awaitable } from "../internal/awaitable.js";
import { StoreError } from "../kit.js";
import {
  type KeyState,
  type KeyStates,
  localKeyStates,
  type SigningKeyStore,
  sharedKeyStates,
} from "./key-state.js";
import { readSigningKey, type Signer, type SigningKey } from "./signing-key.js";

/** The keys of a token service: one signs, and all that are not retired are published. */
export interface KeySet {
  /** Prepares the other methods, which throw a `StoreError` if the state of the keys is unknown. */
  refresh(): Awaitable<void>;
  /** Returns the key that signs. */
  signer(): Signer;
  /** Returns the public key with this `kid` and `alg`; `undefined` if there is none. */
  find(kid: unknown, alg: unknown): KeyObject | undefined;
  /** Whether a key that `find` returned is still in the set. */
  has(key: KeyInput): boolean;
  /** Returns a copy of the published set. */
  published(): JSONWebKeySet;
  /** Signs with another key, and keeps the previous one for `overlapMs` milliseconds. */
  rotate(key: SigningKey, overlapMs: number): Awaitable<void>;
  /** Rejects a key that does not sign, and its tokens. */
  retire(kid: string): Awaitable<void>;
}

/** Where the state of the keys is shared, and for how long a reading of it is used. */
export interface SharedKeys {
  readonly store: SigningKeyStore;
  readonly heartbeatMs: number;
  readonly timeoutMs: number;
}

/** The maximum number of published keys, which every verifier of the tokens has to load. */
export const MAX_SIGNING_KEYS = 16;

/** @throws TypeError if there is no key, more than 16, a duplicate `kid` or an invalid key. */
export function createKeySet(
  where: string,
  given: SigningKey | readonly SigningKey[],
  now: () => number,
  shared?: SharedKeys,
): KeySet {
  const list: readonly SigningKey[] = Array.isArray(given) ? given : [given as SigningKey];
  if (list.length > MAX_SIGNING_KEYS) {
    throw new TypeError(`${where}: "signingKey" has more than ${MAX_SIGNING_KEYS} keys`);
  }
  const signers = new Map(
    list.map((key) => {
      const signer = readSigningKey(where, key);
      return [signer.kid, signer] as const;
    }),
  );
  const [first] = signers.keys();
  if (first === undefined) throw new TypeError(`${where}: "signingKey" is an empty array`);
  if (signers.size < list.length)
    throw new TypeError(`${where}: "signingKey" has two keys with the same kid`);

  const initial: KeyState = { signing: first, retired: new Map() };
  const states: KeyStates =
    shared === undefined ? localKeyStates(initial) : sharedKeyStates(shared.store, initial, shared);

  const isRetired = (kid: string, { signing, retired }: KeyState): boolean =>
    kid !== signing && !(now() < (retired.get(kid) ?? Number.POSITIVE_INFINITY));

  /** The accepted keys, the one that signs first. */
  const current = (state: KeyState = states.get()): readonly Signer[] =>
    [...signers.values()]
      .filter(({ kid }) => !isRetired(kid, state))
      .sort((a, b) => Number(b.kid === state.signing) - Number(a.kid === state.signing));

  return {
    refresh: states.refresh,

    signer() {
      const signer = signers.get(states.get().signing);
      if (signer !== undefined) return signer;
      throw new StoreError('The key that signs is not in "signingKey" of this process');
    },

    find: (kid, alg) => current().find((signer) => signer.kid === kid && signer.alg === alg)?.publicKey,

    has(key) {
      const state = states.get();
      for (const { kid, publicKey } of signers.values()) if (publicKey === key) return !isRetired(kid, state);
      return false;
    },

    published: () => ({ keys: current().map(({ jwk }): JWK => ({ ...jwk })) }),

    rotate(key, overlapMs) {
      const where = "rotateSigningKey";
      const signer = readSigningKey(where, key);
      const { kid } = signer;
      return states.change((state) => {
        if (kid === state.signing) {
          throw new TypeError(`${where}: the key with this kid is already the signing key`);
        }
        const known = signers.get(kid);
        const isFresh = known === undefined || isRetired(kid, state);
        if (shared !== undefined && isFresh) {
          const problem = known === undefined ? 'must be in "signingKey" of every process' : "is retired";
          throw new TypeError(`${where}: the key ${problem}`);
        }
        if (!isFresh && !isSame(known as Signer, signer)) {
          throw new TypeError(
            `${where}: this kid belongs to another key, or to the same key with another alg`,
          );
        }
        // Not the current time for no overlap: the clock can be set back.
        const retired = new Map(state.retired).set(state.signing, overlapMs === 0 ? 0 : now() + overlapMs);
        retired.delete(kid);
        const next: KeyState = { signing: kid, retired };
        if (current(next).length + Number(known === undefined) > MAX_SIGNING_KEYS) {
          throw new RangeError(
            `${where}: ${MAX_SIGNING_KEYS} keys are published already; wait until the tokens of one have expired`,
          );
        }
        if (shared !== undefined) return next;
        if (isFresh) signers.set(kid, signer);
        for (const one of [...signers.keys()]) if (isRetired(one, next)) signers.delete(one);
        return next;
      });
    },

    retire(kid) {
      const where = "retireSigningKey";
      if (!signers.has(kid)) throw new TypeError(`${where}: no key in "signingKey" has this kid`);
      return states.change(({ signing, retired }) => {
        if (kid === signing) throw new TypeError(`${where}: the key signs; rotate to another key first`);
        return { signing, retired: new Map(retired).set(kid, 0) };
      });
    },
  };
}

function isSame(one: Signer, other: Signer): boolean {
  return one.alg === other.alg && one.publicKey.equals(other.publicKey);
}
