import type { Awaitable } from "../../internal/awaitable.js";
import { StoreError } from "../../kit.js";

/**
 * The DPoP proofs that were used, over a table or Redis that every process uses. If `use` throws or rejects, the request
 * fails with 503.
 *
 * @example
 * const replays: ReplayStore = {
 *   use: async (id, until) => {
 *     const expiration = { type: "PX", value: until.getTime() - Date.now() } as const;
 *     return (await redis.set(`dpop:${id}`, "1", { condition: "NX", expiration })) === "OK";
 *   },
 * };
 */
export interface ReplayStore {
  /**
   * Records a proof. Returns `true` if it was not recorded before. Of concurrent calls with the same id, only one may
   * return `true`. The entry may be deleted at `until`.
   *
   * @param id 43 characters of base64url, a hash of the proof's key and `jti`.
   * @param ownerId The owner of the token, for a limit of entries per owner.
   */
  use(id: string, until: Date, ownerId: string): Awaitable<boolean>;
}

/** The maximum number of proofs in memory, unless several owners use up their shares. */
export const MAX_REPLAYS = 200_000;

interface Generation {
  readonly startedAt: number;
  /** In milliseconds of `performance.now()`. */
  readonly started: number;
  readonly owners: Map<string, Set<string>>;
  count: number;
}

/**
 * Creates a store in memory. Proofs are kept for `lifetimeMs` at least, in two generations, so that deletion takes no
 * time per proof. When the store is full, an owner with its equal share of the places or more is rejected, and others
 * are not: a full store can grow, with the logarithm of the number of owners.
 */
export function memoryReplays(now: () => number, lifetimeMs: number, max: number = MAX_REPLAYS): ReplayStore {
  const create = (): Generation => ({
    startedAt: now(),
    started: performance.now(),
    owners: new Map(),
    count: 0,
  });
  let [previous, current] = [create(), create()];

  // Both clocks, because the system clock can be set forward and back again.
  const isOver = ({ startedAt, started }: Generation): boolean =>
    performance.now() - started >= lifetimeMs && now() - startedAt >= lifetimeMs;

  return {
    use(id, _, ownerId) {
      if (isOver(current)) [previous, current] = [current, create()];
      const old = previous.owners.get(ownerId);
      const used = current.owners.get(ownerId) ?? new Set<string>();
      if (old?.has(id) || used.has(id)) return false;
      if (previous.count + current.count >= max) {
        const owners = Math.max(previous.owners.size, current.owners.size, 1);
        if ((old?.size ?? 0) + used.size >= max / owners) {
          throw new StoreError(
            `The store of DPoP proofs is full (${max} proofs), and this owner has its share`,
          );
        }
      }
      current.owners.set(ownerId, used.add(id));
      current.count += 1;
      return true;
    },
  };
}
