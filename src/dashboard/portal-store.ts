import type { Awaitable } from "../internal/awaitable.js";
import {
  type IoRedisScripting,
  type NodeRedisScripting,
  type RedisPrefixOptions,
  redisEntries,
  redisScript,
} from "../internal/redis-client.js";
import { StoreError } from "../kit.js";

/** An entry of a {@link PortalStore}. */
export interface PortalEntry {
  /** 43 characters of `A-Z a-z 0-9 _ -`: a hash, which reveals neither the code nor the session token. */
  readonly id: string;
  readonly ownerId: string;
  /** A JSON string. */
  readonly value: string;
  /** When the entry may be deleted. */
  readonly until: Date;
}

/**
 * Keeps the codes and sessions of portal links, where every process finds them. `redisPortalStore` creates one over Redis;
 * `docs/dashboard.md` shows one over PostgreSQL.
 */
export interface PortalStore {
  /** Adds an entry. */
  put(entry: PortalEntry): Awaitable<void>;
  /**
   * Returns the value of an entry that has not expired. With `remove`, deletes the entry in the same atomic step: of
   * concurrent calls, one returns the value.
   */
  get(id: string, options: { readonly remove: boolean }): Awaitable<string | undefined>;
}

const MAX_PER_OWNER = 1_000;
const MAX_TOTAL = 100_000;

/** Creates a store in memory, for one process. It rejects new entries of an owner that has too many, and when it is full. */
export function memoryPortalStore(): PortalStore {
  const entries = new Map<string, PortalEntry>();
  const counts = new Map<string, number>();

  const remove = ({ id, ownerId }: PortalEntry): void => {
    entries.delete(id);
    const count = (counts.get(ownerId) ?? 0) - 1;
    if (count > 0) counts.set(ownerId, count);
    else counts.delete(ownerId);
  };
  const isFull = (ownerId: string) =>
    (counts.get(ownerId) ?? 0) >= MAX_PER_OWNER || entries.size >= MAX_TOTAL;

  return Object.freeze({
    put(entry: PortalEntry) {
      if (isFull(entry.ownerId)) {
        const now = new Date();
        for (const one of [...entries.values()]) if (one.until <= now) remove(one);
      }
      if (isFull(entry.ownerId)) throw new StoreError("The portal store in memory has too many entries");
      entries.set(entry.id, entry);
      counts.set(entry.ownerId, (counts.get(entry.ownerId) ?? 0) + 1);
    },
    get(id: string, options: { readonly remove: boolean }) {
      const entry = entries.get(id);
      if (entry === undefined) return undefined;
      const isExpired = entry.until <= new Date();
      if (options.remove || isExpired) remove(entry);
      return isExpired ? undefined : entry.value;
    },
  });
}

/** Options of {@link redisPortalStore}. */
export interface RedisPortalOptions extends RedisPrefixOptions {}

// KEYS: the entry. ARGV: the value, its lifetime in milliseconds.
const PUT = redisScript("redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])");
// KEYS: the entry. ARGV: "remove" or "keep".
const GET = redisScript(`
local value = redis.call('GET', KEYS[1])
if value and ARGV[1] == 'remove' then redis.call('DEL', KEYS[1]) end
return value
`);

/**
 * Creates a store in Redis 6 or later, or in Valkey, for all processes.
 *
 * @throws TypeError if the client is neither node-redis nor ioredis, or an option is unknown or invalid.
 *
 * @example
 * const dashboard = createDashboard({ keys, portalStore: redisPortalStore(client), publicUrl });
 */
export function redisPortalStore(
  client: NodeRedisScripting | IoRedisScripting,
  given: RedisPortalOptions = {},
): PortalStore {
  const { name, run } = redisEntries("redisPortalStore", client, given, "portal");
  return Object.freeze({
    async put({ id, value, until }: PortalEntry) {
      const lifetime = Math.max(until.getTime() - Date.now(), 1);
      await run(PUT, [name + id], [value, String(lifetime)]);
    },
    async get(id: string, { remove }: { readonly remove: boolean }) {
      const value = await run(GET, [name + id], [remove ? "remove" : "keep"]);
      return typeof value === "string" ? value : undefined;
    },
  });
}
