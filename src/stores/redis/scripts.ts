import type { RedisScript } from "../../internal/redis-client.js";
import { MAX_CHANGES, storeScript } from "./lua.js";
import { ownerScript, QUOTA_LENGTH } from "./owners.js";

// The functions that the scripts call are in lua.ts.

/**
 * KEYS: keys, trail, trail of the key, trail of the owner, id; record, owner.
 * ARGV: position and body of the entry; hash, record, position, expiry; quota; the claimed hashes of an imported key, its own
 * first.
 */
export const INSERT: RedisScript = ownerScript(`
local failure = check_type('zset', { KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[7] }) or check_type('string', { KEYS[5], KEYS[6] })
if failure then return failure end
if redis.call('EXISTS', KEYS[5], KEYS[6]) > 0 then
  if is_repeated() and redis.call('GET', KEYS[5]) == ARGV[3] then return 1 end
  return key_exists()
end
local creator, made = creator_of(ARGV[4])
if creator then
  local _, record = find(base .. 'id:' .. creator)
  if not record or get_member(record, 'revokedAt') ~= 'null' then return redis.error_reply('KEYBEARER_CREATOR ended') end
end
for index = ${7 + QUOTA_LENGTH}, #ARGV do
  if redis.call('EXISTS', base .. 'claim:' .. ARGV[index], base .. 'key:' .. ARGV[index]) > 0 then return key_exists() end
end
local owner = string.sub(KEYS[7], #base + 7)
failure = check_entry() or check_type('zset', { made }) or check_quota(owner, 7)
if failure then return failure end
redis.call('SET', KEYS[6], ARGV[4])
redis.call('SET', KEYS[5], ARGV[3])
if #ARGV >= ${7 + QUOTA_LENGTH} then set_claims(KEYS[5], { unpack(ARGV, ${7 + QUOTA_LENGTH}) }) end
set_expiry(ARGV[6], keys_of(KEYS[6], KEYS[5]))
redis.call('ZADD', KEYS[1], 0, ARGV[5])
redis.call('ZADD', KEYS[7], 0, ARGV[5])
index_key(ARGV[4], string.sub(KEYS[5], #base + 4))
add_bytes(owner, ARGV[8])
if made then redis.call('ZADD', made, 0, ARGV[5]) end
add_entry(entry_position, entry_body, KEYS[3], KEYS[4])
return 1
`);

/**
 * KEYS: keys, trail, trail of the key, trail of the owner, id.
 * ARGV: position and body of the entry; version, next version, expiry; quota, or as many empty strings; members and their
 * JSON.
 */
export const UPDATE: RedisScript = ownerScript(`
local failure = check_type('zset', { KEYS[2], KEYS[3], KEYS[4] })
if failure then return failure end
local key, record = changed_record(${6 + QUOTA_LENGTH})
if not key then return record end
local owner = owner_of(record)
if not owner then return damaged(KEYS[5]) end
failure = check_change() or (ARGV[6] == '' and check_owner(owner) or ARGV[6] ~= '' and check_quota(owner, 6) or nil)
if failure then return failure end
local keys = keys_of(key, KEYS[5])
for index = ${6 + QUOTA_LENGTH}, #ARGV, 2 do
  local stops = ARGV[index] == 'revokedAt' or ARGV[index] == 'disabledAt'
  if stops and ARGV[index + 1] ~= 'null' then skip_memory_check() end
end
add_change()
redis.call('SET', key, record, 'KEEPTTL')
set_expiry(ARGV[5], keys)
index_key(record, string.sub(KEYS[5], #base + 4))
if ARGV[6] ~= '' then add_bytes(owner, ARGV[7]) end
add_entry(entry_position, entry_body, KEYS[3], KEYS[4])
return 1
`);

/**
 * KEYS: those of UPDATE; id, record and owner of the successor.
 * ARGV: position and body of the entry; version, next version, expiry; hash, record, position and expiry of the
 * successor; quota; members and their JSON.
 */
export const REPLACE: RedisScript = ownerScript(`
local failure = check_type('zset', { KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[8] }) or check_type('string', { KEYS[6], KEYS[7] })
if failure then return failure end
local key, record = changed_record(${10 + QUOTA_LENGTH})
if not key then return record end
if redis.call('EXISTS', KEYS[6], KEYS[7]) > 0 then return key_exists() end
local owner = string.sub(KEYS[8], #base + 7)
local _, made = creator_of(ARGV[7])
failure = check_change() or check_type('zset', { made }) or check_quota(owner, 10)
if failure then return failure end
local keys = keys_of(key, KEYS[5])
add_change()
redis.call('SET', key, record, 'KEEPTTL')
set_expiry(ARGV[5], keys)
redis.call('SET', KEYS[7], ARGV[7])
redis.call('SET', KEYS[6], ARGV[6])
set_expiry(ARGV[9], { KEYS[7], KEYS[6] })
redis.call('ZADD', KEYS[1], 0, ARGV[8])
redis.call('ZADD', KEYS[8], 0, ARGV[8])
index_key(record, string.sub(KEYS[5], #base + 4))
index_key(ARGV[7], string.sub(KEYS[6], #base + 4))
add_bytes(owner, ARGV[11])
if made then redis.call('ZADD', made, 0, ARGV[8]) end
add_entry(entry_position, entry_body, KEYS[3], KEYS[4])
return 1
`);

/**
 * KEYS: keys, trail, trail of the key, trail of the owner, id.
 * ARGV: position and body of the entry; version.
 */
export const REMOVE: RedisScript = storeScript(`
local key, record = find(KEYS[5])
if not key then return is_repeated() and 1 or 0 end
local version = record and get_member(record, 'version')
local position, owner = record and position_of(record), record and get_member(record, 'ownerId')
if not version or not position or not owner then return damaged(KEYS[5]) end
if version ~= ARGV[3] then return 0 end
local keys_of_owner = base .. 'owner:' .. string.sub(owner, 2, -2)
local _, made = creator_of(record)
local live = live_of(string.sub(owner, 2, -2))
local zsets = { KEYS[1], KEYS[2], KEYS[3], KEYS[4], keys_of_owner, live, made }
local failure = check_type('zset', zsets) or check_change()
if failure then return failure end
local keys = keys_of(key, KEYS[5])
skip_memory_check()
add_change()
redis.call('DEL', unpack(keys))
redis.call('ZREM', KEYS[1], position)
redis.call('ZREM', keys_of_owner, position)
redis.call('ZREM', live, string.sub(KEYS[5], #base + 4))
if made then redis.call('ZREM', made, position) end
add_entry(entry_position, entry_body, KEYS[3], KEYS[4])
return 1
`);

/**
 * KEYS: keys, trail, trail of the key, trail of the owner, id; record under the old and under the new hash.
 * ARGV: position and body of the entry; old hash, new hash, JSON of the new hash.
 */
export const REHASH: RedisScript = storeScript(`
local failure = check_type('zset', { KEYS[2], KEYS[3], KEYS[4] }) or check_type('string', { KEYS[5], KEYS[6], KEYS[7] })
if failure then return failure end
local hash = redis.call('GET', KEYS[5])
if hash ~= ARGV[3] then return hash == ARGV[4] and is_repeated() and 1 or 0 end
local record = redis.call('GET', KEYS[6])
local moved = record and set_member(record, 'hash', ARGV[5])
if not moved then return damaged(KEYS[5]) end
if redis.call('EXISTS', KEYS[7]) > 0 then return key_exists() end
local claims = claims_of(KEYS[5])
for index = 3, 4 do
  local holder = redis.call('GET', base .. 'claim:' .. ARGV[index])
  if not holder then
    claims[#claims + 1] = ARGV[index]
  elseif base .. 'id:' .. holder ~= KEYS[5] then
    return key_exists()
  end
end
failure = check_change()
if failure then return failure end
add_change()
redis.call('SET', KEYS[6], moved, 'KEEPTTL')
redis.call('RENAME', KEYS[6], KEYS[7])
redis.call('SET', KEYS[5], ARGV[4], 'KEEPTTL')
set_claims(KEYS[5], claims)
local ttl = redis.call('PTTL', KEYS[5])
if ttl > 0 then
  for _, each in ipairs(keys_of(KEYS[7], KEYS[5])) do redis.call('PEXPIRE', each, ttl) end
end
add_entry(entry_position, entry_body, KEYS[3], KEYS[4])
return 1
`);

/**
 * KEYS: keys, trail; for each entry the trail of its key and the trail of its owner.
 * ARGV: position and body of each entry.
 */
export const APPEND: RedisScript = storeScript(`
local failure = check_type('zset', KEYS)
for index = 2, #ARGV, 2 do
  failure = failure or check_type('zset', { trail_of_actor(ARGV[index]) })
end
if failure then return failure end
for index = 1, #ARGV, 2 do
  if not has_entry(ARGV[index]) then add_entry(ARGV[index], ARGV[index + 1], KEYS[index + 2], KEYS[index + 3]) end
end
return 1
`);

/** KEYS: keys; the ids. ARGV: a time for each id, in milliseconds. */
export const TOUCH: RedisScript = storeScript(`
local records, keys = find_many({ unpack(KEYS, 2) })
for index, record in ipairs(records) do
  local last = record and get_member(record, 'lastUsedAt')
  if last and (last == 'null' or (tonumber(last) or math.huge) < tonumber(ARGV[index])) then
    redis.call('SET', keys[index], set_member(record, 'lastUsedAt', ARGV[index]), 'KEEPTTL')
  end
end
return 1
`);

/** KEYS: keys; id. Returns the record, or nil. */
export const FIND: RedisScript = storeScript(`
local key, record = find(KEYS[2])
if key and not record then return damaged(KEYS[2]) end
return record or false
`);

/**
 * KEYS: keys; the sorted set to read. ARGV: where to start, the maximum number of positions.
 * Returns the last position, or "" if there are no more, and each position with its record, which is empty if it is lost.
 */
export const LIST: RedisScript = storeScript(`
local positions = redis.call('ZREVRANGEBYLEX', KEYS[2], ARGV[1], '-', 'LIMIT', 0, ARGV[2])
local result, stale, id_keys = { #positions == tonumber(ARGV[2]) and positions[#positions] or '' }, {}, {}
for index, position in ipairs(positions) do
  id_keys[index] = base .. 'id:' .. string.sub(position, 18)
end
local records = find_many(id_keys)
for index, position in ipairs(positions) do
  local record = records[index]
  local own = record and position_of(record)
  if own == position then
    result[#result + 1] = position .. '\\n' .. record
  else
    -- Stale if its key is gone, or is listed at another position. find() fails for a key that is not a string, which
    -- find_many() returns as missing.
    local lost = record and not (own and redis.call('ZSCORE', KEYS[1], own)) or not record and find(id_keys[index])
    if lost then result[#result + 1] = position .. '\\n' else stale[#stale + 1] = position end
  end
end
for _, position in ipairs(stale) do
  redis.call('ZREM', KEYS[1], position)
  redis.call('ZREM', KEYS[2], position)
end
return result
`);

/**
 * KEYS: keys, trail; the sorted set to read. ARGV: where to start, the maximum number of positions.
 * Returns the last position, or "" if there are no more, and each position with its entry, which is empty if it is lost.
 */
export const TRAIL: RedisScript = storeScript(`
local positions = redis.call('ZREVRANGEBYLEX', KEYS[3], ARGV[1], '-', 'LIMIT', 0, ARGV[2])
local result = { #positions == tonumber(ARGV[2]) and positions[#positions] or '' }
for _, position in ipairs(positions) do
  local entry = position
  if KEYS[3] ~= trail then
    entry = redis.call('ZRANGEBYLEX', trail, '[' .. position .. '\\n', '(' .. position .. '\\11', 'LIMIT', 0, 1)[1]
  end
  result[#result + 1] = entry or position .. '\\n'
end
return result
`);

/**
 * KEYS: keys. ARGV: the position of the previous reading, or "" to return only the position.
 * Returns the position, "all" if the change at the previous position is gone or there are too many, and the ids.
 */
export const CHANGES: RedisScript = storeScript(`
local stream, since = base .. 'changes', ARGV[1]
local failure = check_type('stream', { stream })
if failure then return failure end
local last = redis.call('XREVRANGE', stream, '+', '-', 'COUNT', 1)[1]
local result, seen = { last and last[1] or '0-0', '' }, {}
if since == '' then return result end
local entries = redis.call('XRANGE', stream, since, '+', 'COUNT', ${MAX_CHANGES + 2})
local first = since == '0-0' and 1 or 2
if first == 2 and not (entries[1] and entries[1][1] == since) or #entries - first >= ${MAX_CHANGES} then
  return { result[1], 'all' }
end
for index = first, #entries do
  local id = entries[index][2][2]
  if not seen[id] then result[#result + 1] = id end
  seen[id] = true
end
return result
`);
