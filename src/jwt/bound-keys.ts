import { type Awaitable, isPromiseLike } from "../internal/awaitable.js";
import { createSharedCache, weightOf } from "../internal/shared-cache.js";
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
import { boundedCall } from "./bounded-call.js";
import type { KeyBinding } from "./subject.js";
import type { VerifiedToken } from "./token-verification.js";

/** The store in which the keys of key-bound tokens are looked up. */
export type BoundKeyStore = Pick<ManagedKeyStore, "findById">;

/** Looks up the key of a token; `undefined` if it does not exist. Fails with a `StoreError` only. */
export type FindBoundKey = (binding: KeyBinding) => Awaitable<KeyRecord | undefined>;

const MAX_KEYS = 10_000;
const STORE = "The key store";

interface CachedLookup {
  /** When the lookup started, in milliseconds of `performance.now()`. */
  readonly startedAt: number;
  readonly record: Awaitable<KeyRecord | undefined>;
}

/**
 * Creates the lookup of bound keys. Results are cached, and concurrent lookups shared, for `ttl` milliseconds after the
 * lookup started. Failures and missing keys are not cached.
 *
 * A cached record with an older version than the token is looked up again: the key was changed, and exchanged again,
 * since it was read.
 */
export function createBoundKeyLookup(store: BoundKeyStore, ttl: number, timeoutMs: number): FindBoundKey {
  const cache = createSharedCache<CachedLookup>(MAX_KEYS);
  const keep = ({ keyId, ownerId }: KeyBinding, startedAt: number, record: KeyRecord | undefined) =>
    cache.set(keyId, { startedAt, record }, ownerId, weightOf(record?.ipAllowlist, record?.metadata));

  const lookUp = (binding: KeyBinding): Awaitable<KeyRecord | undefined> => {
    const { keyId, ownerId } = binding;
    const startedAt = performance.now();
    const result = boundedCall(() => store.findById(keyId), timeoutMs, STORE);
    if (!isPromiseLike(result)) {
      const record = checkRecord(result, keyId);
      if (ttl > 0) keep(binding, startedAt, record);
      return record;
    }
    const record = result.then((found) => checkRecord(found, keyId));
    if (ttl === 0) return record;
    const pending: CachedLookup = { startedAt, record };
    cache.set(keyId, pending, ownerId);
    const isLatest = () => cache.peek(keyId) === pending;
    record.then(
      (found) => isLatest() && keep(binding, startedAt, found),
      () => isLatest() && cache.delete(keyId),
    );
    return record;
  };

  return (binding) => {
    const { keyId, version } = binding;
    const cached = cache.get(keyId);
    if (cached === undefined || !(performance.now() - cached.startedAt < ttl)) return lookUp(binding);
    const isOlder = (found: KeyRecord | undefined) => found === undefined || found.version < version;
    const { record } = cached;
    if (!isPromiseLike(record)) return isOlder(record) ? lookUp(binding) : record;
    return record.then((found) => (isOlder(found) ? lookUp(binding) : found));
  };
}

function checkRecord(found: KeyRecord | null | undefined, keyId: string): KeyRecord | undefined {
  if (found === undefined || found === null) return undefined;
  if (!isReadableRecord(found) || !Number.isSafeInteger(found.version)) {
    throw new StoreError(`${STORE} returned something that is not a key record`);
  }
  if (found.id !== keyId) throw new StoreError(`${STORE} returned the record of another key`);
  return found as KeyRecord;
}

/** Checks the key of a token, and the network of the request. Returns the reason to deny it, or `undefined`. */
export function checkBinding(
  { binding, subject }: VerifiedToken,
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
