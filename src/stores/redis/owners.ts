import type { RedisScript } from "../../internal/redis-client.js";
import { CLOCK_TOLERANCE_MS, KeyLimitError, type OwnerQuota, StoreError } from "../../kit.js";
import { encodeTime } from "../record-codec.js";
import { storeScript } from "./lua.js";

// The keys of an owner that are not revoked are members of a sorted set, by the time of their expiry, so that live keys
// are counted without reading them. A hash holds an upper bound of the bytes of their allowlists and metadata, and when
// the owner was suspended.

/** The number of arguments of a quota. */
export const QUOTA_LENGTH = 5;

const FUNCTIONS = `
local BATCH = 250

local function check_owner(owner)
  return check_type('zset', { base .. 'owner:' .. owner, live_of(owner) }) or check_type('hash', { state_of(owner) })
end

local function each_batch(ids, use)
  for first = 1, #ids, BATCH do
    local id_keys = {}
    for index = first, math.min(first + BATCH - 1, #ids) do
      id_keys[#id_keys + 1] = base .. 'id:' .. ids[index]
    end
    local records, keys = find_many(id_keys)
    for index = 1, #id_keys do
      if records[index] then use(records[index], keys[index]) end
    end
  end
end

-- Adds the keys that an older version of the library wrote to the live keys of their owner, once.
local function index_owner(owner)
  if redis.call('HEXISTS', state_of(owner), 'indexed') == 1 then return end
  local positions, ids, bytes = redis.call('ZRANGE', base .. 'owner:' .. owner, 0, -1), {}, 0
  for index, position in ipairs(positions) do
    ids[index] = string.sub(position, 18)
  end
  each_batch(ids, function(record)
    local id = string.match(record, '^{"id":"([^\\n]*)"\\n')
    if id then index_key(record, id) end
    bytes = bytes + size_of(record)
  end)
  redis.call('HSET', state_of(owner), 'indexed', '1', 'bytes', bytes)
end

-- An error if the quota in ARGV from 'first' on cannot be added to an owner.
local function check_quota(owner, first)
  local live, state = live_of(owner), state_of(owner)
  local keys, bytes = tonumber(ARGV[first]), tonumber(ARGV[first + 1])
  local max_keys, max_bytes, now = tonumber(ARGV[first + 2]), tonumber(ARGV[first + 3]), ARGV[first + 4]
  local failure = check_owner(owner)
  if failure then return failure end
  if redis.call('HEXISTS', state, 'suspendedAt') == 1 then
    return redis.error_reply('KEYBEARER_SUSPENDED owner')
  end
  index_owner(owner)
  if max_keys and keys > 0 and redis.call('ZCOUNT', live, '(' .. now, '+inf') + keys > max_keys then
    return redis.error_reply('KEYBEARER_LIMIT keys')
  end
  if max_bytes and bytes > 0 and (tonumber(redis.call('HGET', state, 'bytes')) or 0) + bytes > max_bytes then
    local counted = 0
    each_batch(redis.call('ZRANGEBYSCORE', live, '(' .. now, '+inf'), function(record)
      counted = counted + size_of(record)
    end)
    redis.call('HSET', state, 'bytes', counted)
    if counted + bytes > max_bytes then
      return redis.error_reply('KEYBEARER_LIMIT bytes')
    end
  end
end

local function add_bytes(owner, bytes)
  redis.call('HINCRBY', state_of(owner), 'bytes', bytes)
end

-- Sets 'suspendedAt' of the live keys of an owner, for those where it is not set or, for 'null', is set. A record that
-- cannot be read is denied anyway.
local function mark_keys(owner, from, at, value)
  local changed = {}
  each_batch(redis.call('ZRANGEBYSCORE', live_of(owner), '(' .. from, '+inf'), function(record, key)
    local version, found = get_member(record, 'version'), get_member(record, 'suspendedAt') or 'null'
    if not version or (found == 'null') == (value == 'null') then return end
    local result = set_member(record, 'version', string.format('%.0f', (tonumber(version) or 0) + 1))
    result = result and set_member(result, 'updatedAt', at)
    result = result and set_member(result, 'suspendedAt', value)
    if result then changed[#changed + 1] = { key, result } end
  end)
  return changed
end

local function write_marks(changed)
  for _, each in ipairs(changed) do
    redis.call('SET', each[1], each[2], 'KEEPTTL')
  end
end
`;

/** Creates a script that may use the functions above, and those of `storeScript`. */
export function ownerScript(body: string): RedisScript {
  return storeScript(FUNCTIONS + body);
}

/** Encodes a quota, or none, as arguments of a script. */
export function encodeQuota(quota: OwnerQuota | undefined): string[] {
  if (quota === undefined) return Array.from({ length: QUOTA_LENGTH }, () => "");
  const { keys, bytes, maxKeys, maxBytes, now } = quota;
  const max = [maxKeys, maxBytes].map((value) => (value === Number.POSITIVE_INFINITY ? "" : `${value}`));
  return [`${keys}`, `${bytes}`, ...max, `${encodeTime(now)}`];
}

/** Returns a function that converts the error of a script about a ceiling. */
export function explainLimit(quota: OwnerQuota | undefined): (error: unknown) => never {
  return (error) => {
    const { message } = ((error instanceof StoreError ? error.driverError : undefined) ?? {}) as {
      readonly message?: unknown;
    };
    const [, limit] = /^KEYBEARER_LIMIT (keys|bytes)/.exec(`${message}`) ?? [];
    if (quota === undefined || limit === undefined) throw error;
    throw limit === "keys"
      ? new KeyLimitError("keys", quota.maxKeys)
      : new KeyLimitError("bytes", quota.maxBytes);
  };
}

/** Encodes the time of a suspension: from which expiry on keys are marked, and the time. */
export function encodeSuspension(at: Date): string[] {
  const time = encodeTime(at);
  return [`${time - CLOCK_TOLERANCE_MS}`, `${time}`];
}

/**
 * KEYS: keys, trail, trail of no key, trail of the owner, id of no key; keys of the owner.
 * ARGV: position and body of the entry; from which expiry on, the time.
 */
export const SUSPEND: RedisScript = ownerScript(`
local owner = string.sub(KEYS[6], #base + 7)
local failure = check_type('zset', { KEYS[2], KEYS[3], KEYS[4] }) or check_owner(owner)
if failure then return failure end
if redis.call('HEXISTS', state_of(owner), 'suspendedAt') == 1 then return is_repeated() and 1 or 0 end
failure = check_change()
if failure then return failure end
skip_memory_check()
add_change()
index_owner(owner)
redis.call('HSET', state_of(owner), 'suspendedAt', ARGV[4], 'suspendedFrom', ARGV[3])
write_marks(mark_keys(owner, ARGV[3], ARGV[4], ARGV[4]))
add_entry(entry_position, entry_body, KEYS[3], KEYS[4])
return 1
`);

/** KEYS and ARGV: those of SUSPEND. */
export const RESUME: RedisScript = ownerScript(`
local owner = string.sub(KEYS[6], #base + 7)
local failure = check_type('zset', { KEYS[2], KEYS[3], KEYS[4] }) or check_owner(owner)
if failure then return failure end
local from = redis.call('HGET', state_of(owner), 'suspendedFrom')
if not from then return is_repeated() and 1 or 0 end
failure = check_change()
if failure then return failure end
add_change()
redis.call('HDEL', state_of(owner), 'suspendedAt', 'suspendedFrom')
write_marks(mark_keys(owner, from, ARGV[4], 'null'))
add_entry(entry_position, entry_body, KEYS[3], KEYS[4])
return 1
`);
