import { type Awaitable, StoreError } from "../index.js";

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
export interface Revocations {
  /** Remembers that a token is revoked, until it is over anyway. */
  add(jti: string, until: Date): Awaitable<unknown>;
  /** Whether a token is revoked. Asked at every request with a token. */
  has(jti: string): Awaitable<boolean>;
}

/** The most revocations that are remembered in memory. */
export const MOST_REVOCATIONS = 100_000;

const SWEEP_MS = 60_000;
const SWEEP_WHEN_FULL_MS = 1_000;

/**
 * Remembers revocations in memory, each until its token is over. It holds so many and no more: when it is full
 * it fails, because one that is forgotten would let its token in again.
 */
export function memoryRevocations(now: () => number, most: number = MOST_REVOCATIONS): Revocations {
  const revoked = new Map<string, number>();
  let sweptAt = now();

  const sweep = (time: number): void => {
    const rest = revoked.size >= most ? SWEEP_WHEN_FULL_MS : SWEEP_MS;
    if (Math.abs(time - sweptAt) < rest) return;
    sweptAt = time;
    for (const [jti, until] of revoked) if (time >= until) revoked.delete(jti);
  };

  return {
    add(jti, until) {
      sweep(now());
      if (revoked.size >= most && !revoked.has(jti)) {
        throw new StoreError("There is no room for another revocation");
      }
      revoked.set(jti, until.getTime());
    },
    has: (jti) => revoked.has(jti),
  };
}
