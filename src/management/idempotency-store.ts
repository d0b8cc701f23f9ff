import { hash } from "node:crypto";
import type { Awaitable } from "../internal/awaitable.js";
import {
  type IoRedisScripting,
  type NodeRedisScripting,
  type RedisPrefixOptions,
  redisEntries,
  redisScript,
} from "../internal/redis-client.js";
import { StoreError } from "../kit.js";
import { createProblem } from "./error-codes.js";

/** An entry of an {@link IdempotencyStore}. */
export interface IdempotencyEntry {
  /** 43 characters of `A-Z a-z 0-9 _ -`. It cannot be traced back to the caller or its `Idempotency-Key`. */
  readonly id: string;
  /** The owner of the caller. */
  readonly ownerId: string;
  /** When the entry may be deleted. */
  readonly until: Date;
}

/**
 * Keeps the encrypted responses to requests with an `Idempotency-Key`, where every process finds them. `redisIdempotency`
 * creates one over Redis.
 */
export interface IdempotencyStore {
  /**
   * Sets the value of an entry if its current value equals `expected`, in one atomic step. `undefined` stands for a missing
   * entry; `null` deletes it. Returns the value before the call. A rejection is a 503, and an {@link HttpProblem} is the
   * response; after 10 seconds the response is a 503 too.
   */
  compareAndSet(
    entry: IdempotencyEntry,
    expected: string | undefined,
    value: string | null,
  ): Awaitable<string | undefined>;
}

/** What a store may hold, in characters: of one owner and, in memory, altogether. */
const MAX_PER_OWNER = 4 * 1024 * 1024;
const MAX_TOTAL = 64 * 1024 * 1024;

interface StoredValue {
  readonly value: string;
  readonly ownerId: string;
  readonly until: number;
}

/**
 * Creates a store in memory, for one process. It rejects new entries of an owner that has too many, and all new entries
 * when it is full: evicting one could create a second key.
 */
export function memoryIdempotency(
  maxPerOwner: number = MAX_PER_OWNER,
  maxTotal: number = MAX_TOTAL,
): IdempotencyStore {
  const entries = new Map<string, StoredValue>(); // in the order of their expiry, because all live equally long
  const sizes = new Map<string, number>();
  let total = 0;

  const remove = (id: string): void => {
    const entry = entries.get(id);
    if (entry === undefined) return;
    entries.delete(id);
    total -= entry.value.length;
    const size = (sizes.get(entry.ownerId) ?? 0) - entry.value.length;
    if (size > 0) sizes.set(entry.ownerId, size);
    else sizes.delete(entry.ownerId);
  };

  const removeExpired = (wanted: string): void => {
    const now = Date.now();
    if ((entries.get(wanted)?.until ?? now) <= now) remove(wanted);
    for (const [id, { until }] of entries) {
      if (until > now) return;
      remove(id);
    }
  };

  return {
    compareAndSet({ id, ownerId, until }, expected, value) {
      removeExpired(id);
      const current = entries.get(id)?.value;
      if (current !== expected) return current;
      if (value === null) {
        remove(id);
        return current;
      }
      const growth = value.length - (current?.length ?? 0);
      const size = (sizes.get(ownerId) ?? 0) + growth;
      if (size > maxPerOwner) throw tooManyEntries();
      if (total + growth > maxTotal) throw new StoreError("The idempotency store in memory is full");
      remove(id);
      entries.set(id, { value, ownerId, until: until.getTime() });
      sizes.set(ownerId, size);
      total += value.length;
      return current;
    },
  };
}

function tooManyEntries() {
  return createProblem(
    "rate_limited",
    {},
    {
      message: "Too many requests had an Idempotency-Key within 24 hours. Try again later, or without one.",
      headers: { "Retry-After": "3600" },
    },
  );
}

/** Options of {@link redisIdempotency}. */
export interface RedisIdempotencyOptions extends RedisPrefixOptions {}

// KEYS: the entry, the size of the entries of its owner. ARGV: the expected value, the new value (both may be empty for
// none), its lifetime in milliseconds, the maximum size. Returns the value before the call, or an array if it is too large.
const COMPARE_AND_SET = redisScript(`
local current = redis.call('GET', KEYS[1])
if (current or '') ~= ARGV[1] then return current end
local growth = #ARGV[2] - #ARGV[1]
local size = tonumber(redis.call('GET', KEYS[2]) or '0') + growth
if growth > 0 and size > tonumber(ARGV[4]) then return {} end
if ARGV[2] == '' then
  redis.call('DEL', KEYS[1])
else
  redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3])
end
if size > 0 then
  redis.call('INCRBY', KEYS[2], growth)
  if redis.call('PTTL', KEYS[2]) < 0 then redis.call('PEXPIRE', KEYS[2], ARGV[3]) end
else
  redis.call('DEL', KEYS[2])
end
return current
`);

/**
 * Creates a store in Redis 6 or later, or in Valkey, for all processes. Entries expire after 24 hours. If Redis evicts
 * them earlier, or loses them in a failover, a repeated request is executed again. New entries of an owner are rejected
 * with a 429 when it has added 4 MiB within 24 hours.
 *
 * @throws TypeError if the client is neither node-redis nor ioredis, or an option is unknown or invalid.
 *
 * @example
 * const idempotency = { store: redisIdempotency(client), secret: process.env.IDEMPOTENCY_SECRET };
 * const api = createManagementApi({ keys, verifier, idempotency });
 */
export function redisIdempotency(
  client: NodeRedisScripting | IoRedisScripting,
  given: RedisIdempotencyOptions = {},
): IdempotencyStore {
  const { name, run } = redisEntries("redisIdempotency", client, given, "idempotency");
  return Object.freeze({
    async compareAndSet({ id, ownerId, until }: IdempotencyEntry, expected = "", value: string | null) {
      const lifetime = String(Math.max(until.getTime() - Date.now(), 1));
      // A hash tag, so that both keys are on one node of a cluster.
      const owner = `${name}{${hash("sha256", ownerId, "base64url")}}`;
      const args = [expected, value ?? "", lifetime, String(MAX_PER_OWNER)];
      const result = await run(COMPARE_AND_SET, [`${owner}:${id}`, owner], args);
      if (Array.isArray(result)) throw tooManyEntries();
      return (result ?? undefined) as string | undefined;
    },
  });
}
