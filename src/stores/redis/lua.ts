import { type RedisScript, redisScript } from "../../internal/redis-client.js";

// Every script is all or nothing. Redis runs a script alone, but does not undo its writes if it fails later. So each
// script checks everything first, and then writes with commands that cannot fail: it checks the type of every key that
// it writes. Redis checks memory at the first write and not after it. While a cluster migrates the slot, it rejects scripts
// that change something, because their last key never exists.
//
// The scripts use keys that are not in KEYS, because only the record shows which: the record of an id, or the keys of
// an owner. Their names are derived from KEYS[1], and so have its hash tag, and any prefix that the client adds.
//
// There is no shebang line, because Redis 6 does not support one. Redis 7 runs scripts without one as Redis 6 does.

/** The most changes that one reading returns. The stream of changes keeps at least one more. */
export const MAX_CHANGES = 10_000;

// Scripts that change a key share the first KEYS and ARGV: see UPDATE in scripts.ts.
const PRELUDE = `
local base = string.sub(KEYS[1], 1, -5)
local trail, entry_position, entry_body = KEYS[2], ARGV[1], ARGV[2]

-- Errors begin with a code. An id may follow, and no other stored data.
local function damaged(id_key)
  return redis.error_reply('KEYBEARER_DAMAGED ' .. string.sub(id_key, #base + 4))
end

local function key_exists()
  return redis.error_reply('KEYBEARER_EXISTS already')
end

-- An error if one of the keys exists and is of another type.
local function check_type(type, keys)
  for _, key in ipairs(keys) do
    local found = redis.call('TYPE', key).ok
    if found ~= 'none' and found ~= type then
      return redis.error_reply('WRONGTYPE a key of the store holds something else')
    end
  end
end

-- Where the JSON of a member begins and ends. A record has one member per line.
local function member_range(record, name)
  local label = '\\n,"' .. name .. '":'
  local start = string.find(record, label, 1, true)
  local stop = start and string.find(record, '\\n', start + #label, true)
  if stop then
    return start + #label, stop - 1
  end
end

local function get_member(record, name)
  local from, to = member_range(record, name)
  return from and string.sub(record, from, to)
end

local function set_member(record, name, json)
  local from, to = member_range(record, name)
  local is_new = name == 'disabledBy' or name == 'suspendedAt'
  if not from and is_new and string.sub(record, -2) == '\\n}' then
    return string.sub(record, 1, -2) .. ',"' .. name .. '":' .. json .. '\\n}' -- a record of version 0.1
  end
  return from and string.sub(record, 1, from - 1) .. json .. string.sub(record, to + 1)
end

-- The id of the key that created this one, and the name of the list of all keys that it created.
local function creator_of(record)
  local creator = get_member(record, 'createdByKey')
  if creator and creator ~= 'null' then
    creator = string.sub(creator, 2, -2)
    return creator, base .. 'made:' .. creator
  end
end

local function position_of(record)
  local id, at = string.match(record, '^{"id":"([^\\n]*)"\\n'), get_member(record, 'createdAt')
  return id and at and string.rep('0', 16 - #at) .. at .. ':' .. id
end

-- The name of the record of an id, and the record: false if it is missing.
local function find(id_key)
  local hash = redis.call('GET', id_key)
  if hash then
    local key = base .. 'key:' .. hash
    return key, redis.call('GET', key)
  end
end

-- The records of many ids, with two commands: false for each that is missing or not a string.
local function find_many(id_keys)
  if #id_keys == 0 then
    return {}
  end
  local keys = {}
  for index, hash in ipairs(redis.call('MGET', unpack(id_keys))) do
    keys[index] = hash and base .. 'key:' .. hash or id_keys[index]
  end
  return redis.call('MGET', unpack(keys)), keys
end

-- Imported and moved keys claim hashes: claim:<hash> holds the id, and claims:<id> the hashes, one a line.
local function claims_of(id_key)
  local hashes = {}
  for hash in string.gmatch(redis.call('GET', base .. 'claims:' .. string.sub(id_key, #base + 4)) or '', '[^\\n]+') do
    hashes[#hashes + 1] = hash
  end
  return hashes
end

local function set_claims(id_key, hashes)
  local id = string.sub(id_key, #base + 4)
  for _, hash in ipairs(hashes) do
    redis.call('SET', base .. 'claim:' .. hash, id, 'KEEPTTL')
  end
  redis.call('SET', base .. 'claims:' .. id, table.concat(hashes, '\\n'), 'KEEPTTL')
end

-- Every key that is deleted with the record.
local function keys_of(key, id_key)
  local result = { key, id_key, base .. 'claims:' .. string.sub(id_key, #base + 4) }
  for _, hash in ipairs(claims_of(id_key)) do
    result[#result + 1] = base .. 'claim:' .. hash
  end
  return result
end

local function live_of(owner)
  return base .. 'live:' .. owner
end

local function state_of(owner)
  return base .. 'state:' .. owner
end

-- The owner of a record, escaped as in the names of keys.
local function owner_of(record)
  local json = get_member(record, 'ownerId')
  return json and string.sub(json, 2, -2)
end

-- The bytes of a record that count towards the ceiling of its owner.
local function size_of(record)
  local size = 0
  for _, name in ipairs({ 'ipAllowlist', 'metadata' }) do
    local json = get_member(record, name)
    if json and json ~= 'null' then size = size + #json end
  end
  return size
end

-- Adds a key to the live keys of its owner, or removes it if it is revoked.
local function index_key(record, id)
  local live, expires = live_of(owner_of(record) or ''), get_member(record, 'expiresAt')
  if get_member(record, 'revokedAt') == 'null' then
    redis.call('ZADD', live, expires == 'null' and '+inf' or tonumber(expires) and expires or '+inf', id)
  else
    redis.call('ZREM', live, id)
  end
end

-- expiry: a time in milliseconds, 'never', or '' to leave it as it is.
local function set_expiry(expiry, keys)
  for _, each in ipairs(keys) do
    if expiry == 'never' then
      redis.call('PERSIST', each)
    elseif expiry ~= '' then
      redis.call('PEXPIREAT', each, expiry)
    end
  end
end

local function has_entry(position)
  return redis.call('ZLEXCOUNT', trail, '[' .. position .. '\\n', '(' .. position .. '\\11') > 0
end

-- The trail of the actor of an entry, if it has one. The actor is escaped in JSON as it is in names.
local function trail_of_actor(body)
  local _, stop = string.find(body, ',"actor":', 1, true)
  if stop and string.sub(body, stop + 1, stop + 1) == '"' then
    return base .. 'audit:actor:' .. string.sub(body, stop + 2, string.find(body, '","details":', stop + 2, true) - 1)
  end
end

local function add_entry(position, body, trail_of_key, trail_of_owner)
  local of_actor = trail_of_actor(body)
  if of_actor then
    redis.call('ZADD', of_actor, 0, position)
  end
  redis.call('ZADD', trail, 0, position .. '\\n' .. body)
  redis.call('ZADD', trail_of_key, 0, position)
  redis.call('ZADD', trail_of_owner, 0, position)
end

-- Whether this change was made before. A client that lost its connection may send a script twice; the second run
-- returns the result of the first.
local function is_repeated()
  return redis.call('ZSCORE', trail, entry_position .. '\\n' .. entry_body)
end

local function check_entry()
  if has_entry(entry_position) then
    return redis.error_reply('KEYBEARER_ENTRY exists')
  end
  return check_type('zset', { trail_of_actor(entry_body) })
end

local function check_change()
  return check_entry() or check_type('stream', { base .. 'changes' })
end

-- Records and announces a change of KEYS[5]. The first write of its script: an ACL may forbid XADD. It may also forbid
-- the channel, which must not fail the change. Clients add a prefix to keys, not to channels.
local function add_change()
  local id = string.sub(KEYS[5], #base + 4)
  redis.call('XADD', base .. 'changes', 'MAXLEN', '~', ${MAX_CHANGES + 1}, '*', 'id', id)
  redis.pcall('PUBLISH', string.match(base, '.*({.*)$') .. 'changes', id)
end

-- Redis checks its memory at the first write of a script, unless that command frees memory. Revoking and disabling
-- must work when memory is full, so these scripts begin by deleting a key that never exists.
local function skip_memory_check()
  redis.call('DEL', base .. 'none')
end

-- The record of KEYS[5] with the next version and the members in ARGV from 'first' on; or nil and the result of the
-- script.
local function changed_record(first)
  local key, record = find(KEYS[5])
  if not key then
    return nil, 0
  end
  local version = record and get_member(record, 'version')
  if not version then
    return nil, damaged(KEYS[5])
  end
  if version ~= ARGV[3] then
    return nil, is_repeated() and tonumber(version) >= tonumber(ARGV[4]) and 1 or 0
  end
  local result = set_member(record, 'version', ARGV[4])
  for index = first, #ARGV, 2 do
    result = result and set_member(result, ARGV[index], ARGV[index + 1])
  end
  if not result then
    return nil, damaged(KEYS[5])
  end
  return key, result
end
`;

/** Creates a script that may use the functions above. */
export function storeScript(body: string): RedisScript {
  return redisScript(PRELUDE + body);
}
