import type { Awaitable } from "../internal/awaitable.js";
import { StoreError } from "../kit.js";

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
  add(jti: string, until: Date): Awaitable<unknown>;
  /** Returns whether a token is revoked. Called for every request with a token. */
  has(jti: string): Awaitable<boolean>;
}

/** The maximum length of the list in memory. */
export const MAX_REVOCATIONS = 100_000;

const SWEEP_INTERVAL_MS = 60_000;
const SWEEP_INTERVAL_WHEN_FULL_MS = 1_000;

interface Expiry {
  /** By the clock of the service, in milliseconds since 1970. */
  readonly until: number;
  /** In milliseconds of `performance.now()`. */
  readonly deadline: number;
}

/**
 * Creates a list in memory. Entries are deleted when their token has expired. When the list is full, `add` throws,
 * because evicting an entry would make a revoked token valid again.
 *
 * An entry is deleted only when both the clock of the service and the monotonic clock say so: the first can be set
 * forward and back again.
 */
export function memoryRevocationList(now: () => number, max: number = MAX_REVOCATIONS): RevocationList {
  const revoked = new Map<string, Expiry>();
  let sweptAt = performance.now();

  const sweep = (): void => {
    const elapsed = performance.now();
    const interval = revoked.size >= max ? SWEEP_INTERVAL_WHEN_FULL_MS : SWEEP_INTERVAL_MS;
    if (elapsed - sweptAt < interval) return;
    sweptAt = elapsed;
    const time = now();
    for (const [jti, { until, deadline }] of revoked) {
      if (time >= until && elapsed >= deadline) revoked.delete(jti);
    }
  };

  return {
    add(jti, until) {
      sweep();
      if (revoked.size >= max && !revoked.has(jti)) {
        throw new StoreError(`The revocation list is full (${max} tokens)`);
      }
      const expiresAt = until.getTime();
      revoked.set(jti, { until: expiresAt, deadline: performance.now() + (expiresAt - now()) });
    },
    has: (jti) => revoked.has(jti),
  };
}
