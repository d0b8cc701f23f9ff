import { createHash } from "node:crypto";
import { isPromiseLike } from "../internal/awaitable.js";
import { checkOptions } from "../internal/validate.js";
import { StoreError } from "../kit.js";
import type { Counter, LimitStore, TakeResult } from "./store.js";

/** What `redisLimits` calls of a client of node-redis (`redis` 4 to 6). */
export interface NodeRedisScripts {
  evalSha(sha1: string, options: { keys: string[]; arguments: string[] }): PromiseLike<unknown>;
  eval(script: string, options: { keys: string[]; arguments: string[] }): PromiseLike<unknown>;
}

/** What `redisLimits` calls of a client of ioredis: `Redis` or `Cluster`. */
export interface IoRedisScripts {
  evalsha(sha1: string, numberOfKeys: number, ...keysAndArguments: string[]): PromiseLike<unknown>;
  eval(script: string, numberOfKeys: number, ...keysAndArguments: string[]): PromiseLike<unknown>;
}

/** Options of {@link redisLimits}. */
export interface RedisLimitsOptions {
  /** What the names of all counters begin with: `"keybearer"` by default. */
  readonly prefix?: string;
}

// KEYS: the counters. ARGV: the cost; of each counter its limit and its window in milliseconds.
// A counter without an end, which only somebody else can have made, counts as none: it would never be reset.
const TAKE = `
local cost = tonumber(ARGV[1])
local allowed = 1
local used = {}
local ends = {}
for i, key in ipairs(KEYS) do
  ends[i] = redis.call('PTTL', key)
  used[i] = ends[i] > 0 and tonumber(redis.call('GET', key) or '0') or 0
  if cost > 0 and used[i] + cost > tonumber(ARGV[2 * i]) then allowed = 0 end
end
local answer = { allowed }
for i, key in ipairs(KEYS) do
  local window = ARGV[2 * i + 1]
  if allowed == 1 and cost > 0 then
    if ends[i] > 0 then redis.call('INCRBY', key, ARGV[1]) else redis.call('SET', key, ARGV[1], 'PX', window) end
    used[i] = used[i] + cost
  end
  answer[2 * i] = used[i]
  answer[2 * i + 1] = ends[i] > 0 and ends[i] or tonumber(window)
end
return answer
`;
const SHA1 = createHash("sha1").update(TAKE).digest("hex");

/**
 * Counts in Redis 6 or later, or in Valkey, for all processes together, by the clock of Redis. One request is one
 * script, whatever the number of windows: it is counted in all of them or in none, also when this process dies on
 * the way. In a cluster the counters of one owner lie on one node.
 *
 * Counters go when their window ends. A Redis that evicts keys, or a failover to a replica that lags, forgets some
 * sooner, and those limits begin anew.
 *
 * A request whose answer came too late was refused, and may have been counted all the same.
 *
 * @throws TypeError for a client of another kind, and for options that are unknown or cannot work.
 *
 * @example
 * const client = await createClient().connect();
 * const rateLimiter = createRateLimiter({ store: redisLimits(client), windows });
 */
export function redisLimits(
  client: NodeRedisScripts | IoRedisScripts,
  given: RedisLimitsOptions = {},
): LimitStore {
  const where = "redisLimits";
  const { prefix = "keybearer" } = checkOptions(where, given, ["prefix"]);
  if (typeof prefix !== "string" || !/^[A-Za-z0-9_.:-]{1,64}$/.test(prefix)) {
    throw new TypeError(`${where}: "prefix" must be 1 to 64 of A-Z a-z 0-9 _ . : -`);
  }
  const run = runner(where, client);

  return Object.freeze({
    async take(counters, cost) {
      const keys = counters.map(({ key }) => `${prefix}:limit:${key}`);
      const limits = counters.flatMap(({ limit, windowMs }) => [String(limit), String(windowMs)]);
      return readAnswer(counters, await run(keys, [String(cost), ...limits]));
    },
  } satisfies LimitStore);
}

type Run = (keys: string[], args: string[]) => Promise<unknown>;

/** Tells the kinds of client apart by their methods. Clients answer scripts with promises; pipelines do not. */
function runner(where: string, client: NodeRedisScripts | IoRedisScripts): Run {
  if (has(client, "evalSha", "eval", "on")) {
    const { evalSha, eval: evaluate } = client as NodeRedisScripts;
    return scripted(
      (keys, args) => evalSha.call(client, SHA1, { keys, arguments: args }),
      (keys, args) => evaluate.call(client, TAKE, { keys, arguments: args }),
    );
  }
  if (has(client, "evalsha", "eval", "on", "pipeline")) {
    const { evalsha, eval: evaluate } = client as IoRedisScripts;
    return scripted(
      (keys, args) => evalsha.call(client, SHA1, keys.length, ...keys, ...args),
      (keys, args) => evaluate.call(client, TAKE, keys.length, ...keys, ...args),
    );
  }
  throw new TypeError(`${where}: the client must be one of node-redis (version 4 or later) or ioredis`);
}

function scripted(known: (...args: Parameters<Run>) => unknown, whole: typeof known): Run {
  return async (keys, args) => {
    try {
      return await promised(known(keys, args));
    } catch (error) {
      // It did not run: this Redis has been restarted, has taken over, or has dropped its scripts.
      const { message } = (error ?? {}) as { message?: unknown };
      if (typeof message !== "string" || !message.startsWith("NOSCRIPT")) throw error;
      return await promised(whole(keys, args));
    }
  };
}

function promised(answer: unknown): unknown {
  if (isPromiseLike(answer)) return answer;
  throw new StoreError("The Redis client promises nothing");
}

function has(client: unknown, ...methods: readonly string[]): boolean {
  const members = client as Record<string, unknown> | null | undefined;
  return methods.every((method) => typeof members?.[method] === "function");
}

function readAnswer(counters: readonly Counter[], answer: unknown): TakeResult {
  const numbers: readonly number[] = Array.isArray(answer) ? answer.map(Number) : [];
  if (numbers.length !== 1 + 2 * counters.length || !numbers.every(Number.isInteger)) {
    throw new StoreError("Redis answered something that is no count");
  }
  return {
    allowed: numbers[0] === 1,
    standings: counters.map((_, index) => ({
      used: numbers[2 * index + 1] as number,
      resetMs: numbers[2 * index + 2] as number,
    })),
  };
}
