import { createSharedCache } from "../internal/shared-cache.js";

/** Caches verified tokens by the SHA-256 of the whole token, signature included. */
export interface TokenCache<T extends object> {
  get(digest: string): T | undefined;
  /** `expiresAt` is in milliseconds of `performance.now()`. */
  set(digest: string, token: T, ownerId: string, expiresAt: number): void;
}

/** Creates a cache for at most `max` tokens; 0 disables it. */
export function createTokenCache<T extends object>(max: number): TokenCache<T> {
  if (max === 0) return { get: () => undefined, set: () => {} };
  const entries = createSharedCache<{ readonly token: T; readonly expiresAt: number }>(max);
  return {
    get(digest) {
      const entry = entries.get(digest);
      if (entry === undefined) return undefined;
      if (performance.now() < entry.expiresAt) return entry.token;
      entries.delete(digest);
      return undefined;
    },
    set(digest, token, ownerId, expiresAt) {
      if (performance.now() < expiresAt) entries.set(digest, { token, expiresAt }, ownerId);
    },
  };
}
