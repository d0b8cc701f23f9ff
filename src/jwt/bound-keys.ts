import { LRUCache } from "lru-cache";
import { type Awaitable, isPromiseLike } from "../internal/awaitable.js";
import {
  type AuthRequest,
  checkKey,
  checkNetwork,
  type DenialReason,
  isReadableRecord,
  type KeyRecord,
  type ManagedKeyStore,
  StoreError,
  type VerifierBase,
} from "../kit.js";
import { ask } from "./ask.js";
import type { Proof } from "./proof.js";
import type { Binding } from "./subject.js";

/** Where the keys of bound tokens are looked up. */
export type BoundKeyStore = Pick<ManagedKeyStore, "findById">;

/** The key of a bound token; `undefined` when it is gone. Fails with a StoreError only. */
export type BoundKeys = (binding: Binding) => Awaitable<KeyRecord | undefined>;

const MAX_KEYS = 10_000;
const WHAT = "The key store";

interface Answer {
  /** Milliseconds of the monotonic clock, at which the store was asked. */
  readonly began: number;
  readonly record: Awaitable<KeyRecord | undefined>;
}

/**
 * Remembers the answers of a store for `ttl` milliseconds, and nothing that failed. For that long a revocation may
 * go unnoticed.
 *
 * An answer that is older than the token is none: the key was changed, and exchanged again, since it was read.
 */
export function createBoundKeys(store: BoundKeyStore, ttl: number, timeoutMs: number): BoundKeys {
  const answers = new LRUCache<string, Answer>({ max: MAX_KEYS });

  const look = (keyId: string): Awaitable<KeyRecord | undefined> => {
    const began = performance.now();
    const asked = ask(() => store.findById(keyId), timeoutMs, WHAT);
    if (!isPromiseLike(asked)) {
      const record = recognised(asked, keyId);
      if (ttl > 0) answers.set(keyId, { began, record });
      return record;
    }
    const record = asked.then((found) => recognised(found, keyId));
    if (ttl === 0) return record;
    const flight: Answer = { began, record };
    answers.set(keyId, flight);
    const isLatest = () => answers.peek(keyId) === flight;
    record.then(
      (found) => isLatest() && answers.set(keyId, { began, record: found }),
      () => isLatest() && answers.delete(keyId),
    );
    return record;
  };

  return ({ keyId, version }) => {
    const known = answers.get(keyId);
    if (known === undefined || !(performance.now() - known.began < ttl)) return look(keyId);
    const isOlder = (found: KeyRecord | undefined) => found === undefined || found.version < version;
    const { record } = known;
    if (!isPromiseLike(record)) return isOlder(record) ? look(keyId) : record;
    return record.then((found) => (isOlder(found) ? look(keyId) : found));
  };
}

function recognised(answer: KeyRecord | null | undefined, keyId: string): KeyRecord | undefined {
  if (answer === undefined || answer === null) return undefined;
  if (!isReadableRecord(answer) || !Number.isSafeInteger(answer.version)) {
    throw new StoreError(`${WHAT} answered something that is not a key record`);
  }
  if (answer.id !== keyId) throw new StoreError(`${WHAT} answered the record of another id`);
  return answer as KeyRecord;
}

/** Why the key of a token does not let it in, from where the request comes; `undefined` when it does. */
export function judgeBinding(
  { binding, subject }: Proof,
  key: KeyRecord | undefined,
  request: AuthRequest,
  { serves, clientIp }: Pick<VerifierBase<string>, "serves" | "clientIp">,
  now: number,
): DenialReason | undefined {
  if (binding === undefined) return undefined;
  if (key === undefined) return "unknown_key";
  if (key.version !== binding.version || key.ownerId !== binding.ownerId) return "key_changed";
  return (
    checkKey(key, { environment: subject.environment }, serves, now) ?? checkNetwork(key, request, clientIp)
  );
}
