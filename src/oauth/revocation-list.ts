import type { Awaitable } from "../internal/awaitable.js";
import { StoreError } from "../kit.js";

/**
 * Where revoked tokens are remembered. The one by default is of this process alone; with several, put a table or
 * a Redis behind these two methods. Throw (or reject) when it cannot be done; it is answered with 503.
 *
 * @example
 * const revocations: Revocations = {
 *   add: (jti, until) =>
 *     redis.set(`revoked:${jti}`, "1", { expiration: { type: "PXAT", value: until.getTime() } }),
 *   has: async (jti) => (await redis.exists(`revoked:${jti}`)) === 1,
 * };
 */
export interface RevocationList {
  /** Remembers that a token is revoked, until it is over anyway. */
  add(jti: string, until: Date): Awaitable<unknown>;
  /** Whether a token is revoked. Asked at every request with a token. */
  has(jti: string): Awaitable<boolean>;
}

/** The most revocations that are remembered in memory. */
export const MAX_REVOCATIONS = 100_000;

const SWEEP_MS = 60_000;
const SWEEP_WHEN_FULL_MS = 1_000;

/** When a token is over. */
interface End {
  /** By the clock of the service, in milliseconds since 1970. */
  readonly until: number;
  /** By the monotonic clock, in milliseconds of `performance.now()`. */
  readonly deadline: number;
}

/**
 * Remembers revocations in memory, each until its token is over. It holds so many and no more: when it is full
 * it fails, because one that is forgotten would let its token in again.
 *
 * A token is over when it is by the clock of the service and as much time has really passed: a clock that is set
 * forward and back again would else bring a revoked token back.
 */
export function memoryRevocationList(now: () => number, most: number = MAX_REVOCATIONS): RevocationList {
  const revoked = new Map<string, End>();
  let sweptAt = performance.now();

  const sweep = (): void => {
    const passed = performance.now();
    const rest = revoked.size >= most ? SWEEP_WHEN_FULL_MS : SWEEP_MS;
    if (passed - sweptAt < rest) return;
    sweptAt = passed;
    const time = now();
    for (const [jti, { until, deadline }] of revoked)
      if (time >= until && passed >= deadline) revoked.delete(jti);
  };

  return {
    add(jti, until) {
      sweep();
      if (revoked.size >= most && !revoked.has(jti)) {
        throw new StoreError("There is no room for another revocation");
      }
      const end = until.getTime();
      revoked.set(jti, { until: end, deadline: performance.now() + (end - now()) });
    },
    has: (jti) => revoked.has(jti),
  };
}
