import { LRUCache } from "lru-cache";

/** Remembers what was proven of tokens, by the whole SHA-256 of each. */
export interface TokenCache<T extends object> {
  recall(digest: string): T | undefined;
  /** `until`: milliseconds of the monotonic clock. */
  remember(digest: string, proof: T, until: number): void;
}

/**
 * The times are compared here and not by lru-cache, which may hold on to its reading of the clock until a timer
 * fires. A token is never taken for another one: the digest is that of all its bytes, signature included.
 */
export function createTokenCache<T extends object>(max: number): TokenCache<T> {
  if (max === 0) return { recall: () => undefined, remember: () => {} };
  const proofs = new LRUCache<string, { readonly proof: T; readonly until: number }>({ max });
  return {
    recall(digest) {
      const entry = proofs.get(digest);
      if (entry === undefined) return undefined;
      if (performance.now() < entry.until) return entry.proof;
      proofs.delete(digest);
      return undefined;
    },
    remember(digest, proof, until) {
      if (performance.now() < until) proofs.set(digest, { proof, until });
    },
  };
}
