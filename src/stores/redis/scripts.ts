import type { Script } from "./client.js";
import { script } from "./lua.js";

// Each is the body of a script; what they call is in lua.ts.

/**
 * KEYS: keys, trail, trail of the key, trail of the owner, id; record, owner.
 * ARGV: place and body of the entry; hash, record, place, end.
 */
export const INSERT: Script = script(`
local stop = unfit('zset', { KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[7] }) or unfit('string', { KEYS[5], KEYS[6] })
if stop then return stop end
if redis.call('EXISTS', KEYS[5], KEYS[6]) > 0 then
  if made() and redis.call('GET', KEYS[5]) == ARGV[3] then return 1 end
  return exists()
end
stop = unfit_for_entry()
if stop then return stop end
redis.call('SET', KEYS[6], ARGV[4])
redis.call('SET', KEYS[5], ARGV[3])
forget(ARGV[6], KEYS[6], KEYS[5])
redis.call('ZADD', KEYS[1], 0, ARGV[5])
redis.call('ZADD', KEYS[7], 0, ARGV[5])
note(entry_place, entry_body, KEYS[3], KEYS[4])
return 1
`);

/**
 * KEYS: keys, trail, trail of the key, trail of the owner, id.
 * ARGV: place and body of the entry; version, next version, end, members and their JSON.
 */
export const UPDATE: Script = script(`
local stop = unfit('zset', { KEYS[2], KEYS[3], KEYS[4] })
if stop then return stop end
local key, record = changed(6)
if not key then return record end
stop = unfit_for_entry()
if stop then return stop end
redis.call('SET', key, record, 'KEEPTTL')
forget(ARGV[5], key, KEYS[5])
note(entry_place, entry_body, KEYS[3], KEYS[4])
return 1
`);

/**
 * KEYS: those of an update; id, record and owner of the successor.
 * ARGV: place and body of the entry; version, next version, end; hash, record, place and end of the
 * successor; members and their JSON.
 */
export const REPLACE: Script = script(`
local stop = unfit('zset', { KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[8] }) or unfit('string', { KEYS[6], KEYS[7] })
if stop then return stop end
local key, record = changed(10)
if not key then return record end
if redis.call('EXISTS', KEYS[6], KEYS[7]) > 0 then return exists() end
stop = unfit_for_entry()
if stop then return stop end
redis.call('SET', key, record, 'KEEPTTL')
forget(ARGV[5], key, KEYS[5])
redis.call('SET', KEYS[7], ARGV[7])
redis.call('SET', KEYS[6], ARGV[6])
forget(ARGV[9], KEYS[7], KEYS[6])
redis.call('ZADD', KEYS[1], 0, ARGV[8])
redis.call('ZADD', KEYS[8], 0, ARGV[8])
note(entry_place, entry_body, KEYS[3], KEYS[4])
return 1
`);

/**
 * KEYS: keys, trail, trail of the key, trail of the owner, id.
 * ARGV: place and body of the entry; version.
 */
export const REMOVE: Script = script(`
local key, record = find(KEYS[5])
if not key then return made() and 1 or 0 end
local version = record and member(record, 'version')
local place, owner = record and place_of(record), record and member(record, 'ownerId')
if not version or not place or not owner then return damaged(KEYS[5]) end
if version ~= ARGV[3] then return 0 end
local keys_of_owner = base .. 'owner:' .. string.sub(owner, 2, -2)
local stop = unfit('zset', { KEYS[1], KEYS[2], KEYS[3], KEYS[4], keys_of_owner }) or unfit_for_entry()
if stop then return stop end
redis.call('DEL', key, KEYS[5])
redis.call('ZREM', KEYS[1], place)
redis.call('ZREM', keys_of_owner, place)
note(entry_place, entry_body, KEYS[3], KEYS[4])
return 1
`);

/**
 * KEYS: keys, trail, trail of the key, trail of the owner, id; record under the old and under the new hash.
 * ARGV: place and body of the entry; old hash, new hash, JSON of the new hash.
 */
export const REHASH: Script = script(`
local stop = unfit('zset', { KEYS[2], KEYS[3], KEYS[4] }) or unfit('string', { KEYS[5], KEYS[6], KEYS[7] })
if stop then return stop end
local hash = redis.call('GET', KEYS[5])
if hash ~= ARGV[3] then return hash == ARGV[4] and made() and 1 or 0 end
local record = redis.call('GET', KEYS[6])
local moved = record and with(record, 'hash', ARGV[5])
if not moved then return damaged(KEYS[5]) end
if redis.call('EXISTS', KEYS[7]) > 0 then return exists() end
stop = unfit_for_entry()
if stop then return stop end
redis.call('SET', KEYS[6], moved, 'KEEPTTL')
redis.call('RENAME', KEYS[6], KEYS[7])
redis.call('SET', KEYS[5], ARGV[4], 'KEEPTTL')
note(entry_place, entry_body, KEYS[3], KEYS[4])
return 1
`);

/**
 * KEYS: keys, trail; for each entry the trail of its key and the trail of its owner.
 * ARGV: place and body of each entry.
 */
export const APPEND: Script = script(`
local stop = unfit('zset', KEYS)
if stop then return stop end
for index = 1, #ARGV, 2 do
  if not taken(ARGV[index]) then note(ARGV[index], ARGV[index + 1], KEYS[index + 2], KEYS[index + 3]) end
end
return 1
`);

/**
 * KEYS: keys; the ids. ARGV: a time for each id, in milliseconds.
 */
export const TOUCH: Script = script(`
local records, keys = find_many({ unpack(KEYS, 2) })
for index, record in ipairs(records) do
  local last = record and member(record, 'lastUsedAt')
  if last and (last == 'null' or (tonumber(last) or math.huge) < tonumber(ARGV[index])) then
    redis.call('SET', keys[index], with(record, 'lastUsedAt', ARGV[index]), 'KEEPTTL')
  end
end
return 1
`);

/** KEYS: keys; id. Answers the record, or nothing. */
export const FIND: Script = script(`
local key, record = find(KEYS[2])
if key and not record then return damaged(KEYS[2]) end
return record or false
`);

/**
 * KEYS: keys; the places to read. ARGV: where to begin, how many places to read at most.
 * Answers the last place if there may be others behind it, or "", and the records.
 */
export const LIST: Script = script(`
local places = redis.call('ZREVRANGEBYLEX', KEYS[2], ARGV[1], '-', 'LIMIT', 0, ARGV[2])
local answer, gone, pointers = { #places == tonumber(ARGV[2]) and places[#places] or '' }, {}, {}
for index, place in ipairs(places) do
  pointers[index] = base .. 'id:' .. string.sub(place, 18)
end
local records = find_many(pointers)
for index, place in ipairs(places) do
  local record = records[index]
  local own = record and place_of(record)
  if own == place then
    answer[#answer + 1] = record
  else
    -- Left over from a key that was forgotten, unless there is one that should be here. Asked for alone, one that
    -- holds something else is an error, and not missing.
    local lost = record and not (own and redis.call('ZSCORE', KEYS[1], own)) or not record and find(pointers[index])
    if lost then return damaged(pointers[index]) end
    gone[#gone + 1] = place
  end
end
for _, place in ipairs(gone) do
  redis.call('ZREM', KEYS[1], place)
  redis.call('ZREM', KEYS[2], place)
end
return answer
`);

/**
 * KEYS: keys, trail; the places to read. ARGV: where to begin, how many places to read at most.
 * Answers the last place if there may be others behind it, or "", and the entries, each with its place.
 */
export const TRAIL: Script = script(`
local places = redis.call('ZREVRANGEBYLEX', KEYS[3], ARGV[1], '-', 'LIMIT', 0, ARGV[2])
local answer = { #places == tonumber(ARGV[2]) and places[#places] or '' }
for _, place in ipairs(places) do
  local entry = place
  if KEYS[3] ~= trail then
    entry = redis.call('ZRANGEBYLEX', trail, '[' .. place .. '\\n', '(' .. place .. '\\11', 'LIMIT', 0, 1)[1]
  end
  if not entry then return redis.error_reply('KEYBEARER_LOST ' .. string.sub(place, 18)) end
  answer[#answer + 1] = entry
end
return answer
`);
