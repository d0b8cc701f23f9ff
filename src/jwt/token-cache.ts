import { LRUCache } from "lru-cache";

/** Caches verified tokens by the SHA-256 of the whole token, signature included. */
export interface TokenCache<T extends object> {
  get(digest: string): T | undefined;
  /** `expiresAt` is in milliseconds of `performance.now()`. */
  set(digest: string, token: T, expiresAt: number): void;
}

/** Creates a cache for at most `max` tokens; 0 disables it. */
export function createTokenCache<T extends object>(max: number): TokenCache<T> {
  if (max === 0) return { get: () => undefined, set: () => {} };
  const entries = new LRUCache<string, { readonly token: T; readonly expiresAt: number }>({ max });
  return {
    get(digest) {
      const entry = entries.get(digest);
      if (entry === undefined) return undefined;
      // Not the TTL of lru-cache, which reads the clock at most once per timer.
      if (performance.now() < entry.expiresAt) return entry.token;
      entries.delete(digest);
      return undefined;
    },
    set(digest, token, expiresAt) {
      if (performance.now() < expiresAt) entries.set(digest, { token, expiresAt });
    },
  };
}
