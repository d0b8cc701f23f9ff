import { createHash } from "node:crypto";
import type { Script } from "./client.js";

// How the scripts are written, so that each is all or nothing. Redis runs a script alone, but does not undo what
// one has written before it fails. So each checks everything first and then writes with commands that cannot
// fail: it looks at the type of every key that it is going to write. That is also the moment at which a cluster
// that is moving the slot refuses a key. Memory is checked by Redis itself, at the first write and not after it.
//
// They name keys that are not among KEYS, because only the record says which: what an id leads to, or whose the
// key is. Those names are made of the first key, which every script is given, and so carry its hash tag, and the
// prefix that a client may add.
//
// No shebang line: Redis 6 cannot read one. Without one, Redis 7 runs scripts as Redis 6 did.

// KEYS and ARGV begin alike in all scripts that change a key: see UPDATE.
const PRELUDE = `
local base = string.sub(KEYS[1], 1, -5)
local trail, entry_place, entry_body = KEYS[2], ARGV[1], ARGV[2]

-- Errors begin with a code. An id may follow, and nothing else of what is stored.
local function damaged(pointer)
  return redis.error_reply('KEYBEARER_DAMAGED ' .. string.sub(pointer, #base + 4))
end

local function exists()
  return redis.error_reply('KEYBEARER_EXISTS already')
end

local function unfit(kind, keys)
  for _, key in ipairs(keys) do
    local found = redis.call('TYPE', key).ok
    if found ~= 'none' and found ~= kind then
      return redis.error_reply('WRONGTYPE a key of the store holds something else')
    end
  end
end

-- Where the JSON of a member begins and ends: a record has a member in each line.
local function span(record, name)
  local label = '\\n,"' .. name .. '":'
  local start = string.find(record, label, 1, true)
  local stop = start and string.find(record, '\\n', start + #label, true)
  if stop then
    return start + #label, stop - 1
  end
end

local function member(record, name)
  local from, to = span(record, name)
  return from and string.sub(record, from, to)
end

local function with(record, name, json)
  local from, to = span(record, name)
  return from and string.sub(record, 1, from - 1) .. json .. string.sub(record, to + 1)
end

local function place_of(record)
  local id, at = string.match(record, '^{"id":"([^\\n]*)"\\n'), member(record, 'createdAt')
  return id and at and string.rep('0', 16 - #at) .. at .. ':' .. id
end

-- Where the record of an id is, and the record: false if it is missing there.
local function find(pointer)
  local hash = redis.call('GET', pointer)
  if hash then
    local key = base .. 'key:' .. hash
    return key, redis.call('GET', key)
  end
end

-- The records of many ids, with two commands: false for each that is missing, or is no text.
local function find_many(pointers)
  if #pointers == 0 then
    return {}
  end
  local keys = {}
  for index, hash in ipairs(redis.call('MGET', unpack(pointers))) do
    keys[index] = hash and base .. 'key:' .. hash or pointers[index]
  end
  return redis.call('MGET', unpack(keys)), keys
end

local function forget(moment, key, pointer)
  for _, each in ipairs({ key, pointer }) do
    if moment == 'never' then
      redis.call('PERSIST', each)
    elseif moment ~= '' then
      redis.call('PEXPIREAT', each, moment)
    end
  end
end

local function taken(place)
  return redis.call('ZLEXCOUNT', trail, '[' .. place .. '\\n', '(' .. place .. '\\11') > 0
end

local function note(place, body, of_key, of_owner)
  redis.call('ZADD', trail, 0, place .. '\\n' .. body)
  redis.call('ZADD', of_key, 0, place)
  redis.call('ZADD', of_owner, 0, place)
end

-- Whether this very change was made before: a client that lost its connection may send a script twice, and
-- the second time must answer what nobody heard the first time.
local function made()
  return redis.call('ZSCORE', trail, entry_place .. '\\n' .. entry_body)
end

local function unfit_for_entry()
  if taken(entry_place) then
    return redis.error_reply('KEYBEARER_ENTRY exists')
  end
end

-- The record of KEYS[5] with another version and other members, which ARGV names from first on.
local function changed(first)
  local key, record = find(KEYS[5])
  if not key then
    return nil, 0
  end
  local version = record and member(record, 'version')
  if not version then
    return nil, damaged(KEYS[5])
  end
  if version ~= ARGV[3] then
    return nil, made() and tonumber(version) >= tonumber(ARGV[4]) and 1 or 0
  end
  local result = with(record, 'version', ARGV[4])
  for index = first, #ARGV, 2 do
    result = result and with(result, ARGV[index], ARGV[index + 1])
  end
  if not result then
    return nil, damaged(KEYS[5])
  end
  return key, result
end
`;

/** Makes a script of its body. Redis calls a script by the SHA-1 of its text. */
export function script(body: string): Script {
  const text = PRELUDE + body;
  return { text, sha1: createHash("sha1").update(text).digest("hex") };
}
