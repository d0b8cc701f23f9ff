import {
  type IoRedisScripting,
  type NodeRedisScripting,
  type RedisPrefixOptions,
  redisEntries,
  redisScript,
} from "../internal/redis-client.js";
import { StoreError } from "../kit.js";
import type { Counter, LimitStore, TakeResult } from "./store.js";

/** The methods of a node-redis client (`redis` 4 to 6) that `redisLimits` calls. */
export type NodeRedisScripts = NodeRedisScripting;

/** The methods of an ioredis client, `Redis` or `Cluster`, that `redisLimits` calls. */
export type IoRedisScripts = IoRedisScripting;

/** Options of {@link redisLimits}. */
export interface RedisLimitsOptions extends RedisPrefixOptions {}

// KEYS: the counters. ARGV: the cost; then the limit and the window in milliseconds of each counter.
// A counter without a TTL, which no code here creates, is replaced: it would never be reset. If the clock of Redis was
// set back, a window ends one window length from now at the latest.
const TAKE = redisScript(`
local cost = tonumber(ARGV[1])
local allowed = 1
local used = {}
local ttl = {}
for i, key in ipairs(KEYS) do
  local window = tonumber(ARGV[2 * i + 1])
  ttl[i] = redis.call('PTTL', key)
  if ttl[i] > window then
    ttl[i] = window
    redis.call('PEXPIRE', key, window)
  end
  used[i] = ttl[i] > 0 and tonumber(redis.call('GET', key) or '0') or 0
  if cost > 0 and used[i] + cost > tonumber(ARGV[2 * i]) then allowed = 0 end
end
local reply = { allowed }
for i, key in ipairs(KEYS) do
  local window = ARGV[2 * i + 1]
  if allowed == 1 and cost > 0 then
    if ttl[i] > 0 then redis.call('INCRBY', key, ARGV[1]) else redis.call('SET', key, ARGV[1], 'PX', window) end
    used[i] = used[i] + cost
  end
  reply[2 * i] = used[i]
  reply[2 * i + 1] = ttl[i] > 0 and ttl[i] or tonumber(window)
end
return reply
`);

/**
 * Creates a store that counts in Redis 6 or later, or in Valkey, for all processes, by the clock of Redis. One script
 * counts a request in all windows or in none, even if the process dies during it. In a cluster, all counters of an
 * owner are on one node.
 *
 * Counters expire with their window. If Redis evicts keys, or fails over to a replica that lags behind, counters can be
 * lost; their limits then start again at 0.
 *
 * A client without an `error` listener ends the process when its connection breaks; the process warning
 * `KEYBEARER_NO_ERROR_LISTENER` is emitted for it.
 *
 * A request that was denied because Redis responded too late may have been counted.
 *
 * @throws TypeError if the client is neither node-redis nor ioredis, or an option is unknown or invalid.
 *
 * @example
 * const client = createClient({ url: "redis://127.0.0.1:6379" });
 * client.on("error", console.error);
 * await client.connect();
 * const rateLimiter = createRateLimiter({ store: redisLimits(client), windows });
 */
export function redisLimits(
  client: NodeRedisScripts | IoRedisScripts,
  given: RedisLimitsOptions = {},
): LimitStore {
  const { name, run } = redisEntries("redisLimits", client, given, "limit");

  return Object.freeze({
    async take(counters, cost) {
      const keys = counters.map(({ key }) => `${name}${key}`);
      const limits = counters.flatMap(({ limit, windowMs }) => [String(limit), String(windowMs)]);
      return readReply(counters, await run(TAKE, keys, [String(cost), ...limits]));
    },
  } satisfies LimitStore);
}

function readReply(counters: readonly Counter[], reply: unknown): TakeResult {
  const numbers: readonly number[] = Array.isArray(reply) ? reply.map(Number) : [];
  if (numbers.length !== 1 + 2 * counters.length || !numbers.every(Number.isInteger)) {
    throw new StoreError("Redis returned an invalid reply to the script of redisLimits");
  }
  return {
    allowed: numbers[0] === 1,
    states: counters.map((_, index) => ({
      used: numbers[2 * index + 1] as number,
      resetMs: numbers[2 * index + 2] as number,
    })),
  };
}
