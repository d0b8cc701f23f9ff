import type { Awaitable } from "../internal/awaitable.js";
import { StoreError } from "../kit.js";

/** A token made from a key, as a {@link RevocationList} receives it. */
export interface RevocableToken {
  readonly keyId: string;
  readonly ownerId: string;
  /** The claim `iat`, in seconds since 1970. */
  readonly issuedAt: number;
}

/**
 * The list of revoked tokens, over a table or Redis that every process uses. If a method throws or rejects, the request fails with 503.
 *
 * @example
 * const revocations: RevocationList = {
 *   add: (jti, until) =>
 *     redis.set(`revoked:${jti}`, "1", { expiration: { type: "PXAT", value: until.getTime() } }),
 *   has: async (jti) => (await redis.exists(`revoked:${jti}`)) === 1,
 * };
 */
export interface RevocationList {
  /** Adds a token. The entry may be deleted at `until`, when the token expires. */
  add(jti: string, until: Date, token: RevocableToken): Awaitable<unknown>;
  /** Returns whether a token is revoked. Called for every request with a token. */
  has(jti: string, token: RevocableToken): Awaitable<boolean>;
}

/** Reads the claims of a token of this service. */
export function revocableToken(claims: Readonly<Record<string, unknown>>): RevocableToken {
  return {
    keyId: String(claims.key_id),
    ownerId: String(claims.owner_id),
    issuedAt: Number(claims.iat),
  };
}

/** The maximum length of the list in memory. */
export const MAX_REVOCATIONS = 100_000;
/** How many of them one key can have. */
export const MAX_REVOCATIONS_OF_KEY = 1_000;

const SWEEP_INTERVAL_MS = 60_000;
const SWEEP_INTERVAL_WHEN_FULL_MS = 1_000;

interface Expiry {
  /** By the clock of the service, in milliseconds since 1970. */
  readonly until: number;
  /** In milliseconds of `performance.now()`. */
  readonly deadline: number;
}

/** The revoked tokens of one key. */
interface RevokedTokens {
  readonly ownerId: string;
  readonly byId: Map<string, Expiry>;
  /** The latest `issuedAt` of a revoked token: the clock may have been set back since. */
  latest: number;
  /** Revokes every token that was issued in this second or before, in seconds since 1970. */
  all: (Expiry & { readonly issuedUntil: number }) | undefined;
}

/** What differs in tests. */
export interface MemoryRevocationOptions {
  readonly max?: number;
  readonly maxOfKey?: number;
}

/**
 * Creates a list in memory for tokens that live at most `lifetimeMs`. Entries are deleted when their token has expired.
 *
 * When a key has too many entries, or the list is full, the entries of a key are replaced by one that revokes every token
 * issued for that key so far: evicting an entry would make its token valid again. In a full list it is a key of the owner
 * with the most entries. `add` throws only if the list is full of keys with one entry each.
 *
 * An entry is deleted only when both the clock of the service and the monotonic clock say so: the first can be set
 * forward and back again.
 */
export function memoryRevocationList(
  now: () => number,
  lifetimeMs: number,
  { max = MAX_REVOCATIONS, maxOfKey = MAX_REVOCATIONS_OF_KEY }: MemoryRevocationOptions = {},
): RevocationList {
  const keys = new Map<string, RevokedTokens>();
  let size = 0;
  let sweptAt = performance.now();

  const expiryOf = (until: number): Expiry => ({ until, deadline: performance.now() + (until - now()) });

  const sweep = (): void => {
    const elapsed = performance.now();
    const interval = size >= max ? SWEEP_INTERVAL_WHEN_FULL_MS : SWEEP_INTERVAL_MS;
    if (elapsed - sweptAt < interval) return;
    sweptAt = elapsed;
    const time = now();
    const isOver = ({ until, deadline }: Expiry) => time >= until && elapsed >= deadline;
    size = 0;
    for (const [keyId, tokens] of keys) {
      for (const [jti, expiry] of tokens.byId) if (isOver(expiry)) tokens.byId.delete(jti);
      if (tokens.all !== undefined && isOver(tokens.all)) tokens.all = undefined;
      if (sizeOf(tokens) === 0) keys.delete(keyId);
      size += sizeOf(tokens);
    }
  };

  /** Replaces the entries of a key by one. */
  const revokeAll = (tokens: RevokedTokens): void => {
    size -= sizeOf(tokens) - 1;
    tokens.byId.clear();
    const issuedUntil = Math.max(Math.floor(now() / 1_000), tokens.latest, tokens.all?.issuedUntil ?? 0);
    tokens.all = { ...expiryOf((issuedUntil + 1) * 1_000 + lifetimeMs), issuedUntil };
  };

  return {
    add(jti, until, token) {
      sweep();
      const { keyId, ownerId, issuedAt } = token;
      const tokens = keys.get(keyId) ?? { ownerId, byId: new Map(), latest: issuedAt, all: undefined };
      if (isRevoked(tokens, jti, token)) return;
      tokens.latest = Math.max(tokens.latest, issuedAt);
      if (tokens.byId.size >= maxOfKey) return revokeAll(tokens);
      if (size >= max) {
        const largest = findLargest(keys.values());
        if (largest !== undefined) revokeAll(largest);
        if (isRevoked(tokens, jti, token)) return;
      }
      if (size >= max) throw new StoreError(`The revocation list is full (${max} tokens)`);
      tokens.byId.set(jti, expiryOf(until.getTime()));
      keys.set(keyId, tokens);
      size += 1;
    },
    has(jti, token) {
      const tokens = keys.get(token.keyId);
      return tokens !== undefined && isRevoked(tokens, jti, token);
    },
  };
}

function sizeOf({ byId, all }: RevokedTokens): number {
  return byId.size + (all === undefined ? 0 : 1);
}

function isRevoked({ byId, all }: RevokedTokens, jti: string, { issuedAt }: RevocableToken): boolean {
  return byId.has(jti) || (all !== undefined && !(issuedAt > all.issuedUntil));
}

/** Returns the key with the most entries of the owner with the most; `undefined` if no key has several. */
function findLargest(keys: Iterable<RevokedTokens>): RevokedTokens | undefined {
  const owners = new Map<string, { size: number; largest: RevokedTokens }>();
  for (const tokens of keys) {
    if (sizeOf(tokens) < 2) continue;
    const owner = owners.get(tokens.ownerId) ?? { size: 0, largest: tokens };
    owner.size += sizeOf(tokens);
    if (sizeOf(tokens) > sizeOf(owner.largest)) owner.largest = tokens;
    owners.set(tokens.ownerId, owner);
  }
  return [...owners.values()].reduce<{ size: number; largest: RevokedTokens } | undefined>(
    (most, owner) => (most === undefined || owner.size > most.size ? owner : most),
    undefined,
  )?.largest;
}
