"""The Lua scripts that change documents, each atomic.

The scripts take the index's generation and refuse, with ``STALE``, to write for an index that was dropped
or created anew. In a cluster the catalogue lies on another node than most documents, so there a script writes one
document, and an empty generation says that the check is made by the caller.

``seq`` in the catalogue counts the writes, where a script can reach it.
For the native engine they also keep its change log, which is all that processes need to keep their replica of the
index current (see `valkey_vector.engines.replica`):

* ``{name}:changes``, a sorted set: each id with the sequence number of its last write;
* ``{name}:deletions``, a sorted set: deleted ids with the number of their deletion, trimmed at the old end,
  in which case ``floor`` in the catalogue says from where on it is complete;
* ``{name}:expiry``, a sorted set: the ids with a time to live, by the millisecond of their end.
"""

from __future__ import annotations

__all__ = [
    "ADD_WORDS",
    "DELETE",
    "FETCH",
    "FORGET",
    "REGISTER",
    "SYNC",
    "UPDATE_METADATA",
    "WRITE",
]

_CHECK = """
if ARGV[1] ~= '' and redis.call('HGET', KEYS[1], 'generation') ~= ARGV[1] then
  return redis.error_reply('STALE the index was dropped or created anew')
end
"""

_LOG = """
local log = #KEYS >= 4 and ARGV[2] == 'log'
local function forget(id)
  local seq = redis.call('HINCRBY', KEYS[1], 'seq', 1)
  redis.call('ZREM', KEYS[2], id)
  redis.call('ZREM', KEYS[4], id)
  redis.call('ZADD', KEYS[3], seq, id)
end
local function trim()
  local deleted = redis.call('ZCARD', KEYS[3])
  if deleted > 10000 and deleted > 2 * redis.call('ZCARD', KEYS[2]) then
    local old = redis.call('ZRANGE', KEYS[3], 0, math.floor(deleted / 2), 'WITHSCORES')
    redis.call('HSET', KEYS[1], 'floor', old[#old])
    redis.call('ZREMRANGEBYRANK', KEYS[3], 0, math.floor(deleted / 2))
  end
end
"""

WRITE = (
    _CHECK
    + """
local log, policy, stamp = ARGV[2] == 'log', ARGV[3], ARGV[4]
local ttl, prefix = tonumber(ARGV[5]), tonumber(ARGV[6])
local first = log and 5 or 2
local count = #KEYS - first + 1
local time = redis.call('TIME')
local micros = tonumber(time[1]) * 1000000 + tonumber(time[2])
local oldest = stamp == '' and micros or tonumber(stamp)
local present = {}
if policy ~= 'OVERWRITE' then
  for i = first, #KEYS do
    if redis.call('EXISTS', KEYS[i]) == 1 then present[#present + 1] = string.sub(KEYS[i], prefix + 1) end
  end
  if policy == 'FAIL' and #present > 0 then return {0, present} end
end
local seq = ARGV[1] ~= '' and redis.call('HINCRBY', KEYS[1], 'seq', count) - count or 0
local written = 0
for i = 0, count - 1 do
  local key = KEYS[first + i]
  local id = string.sub(key, prefix + 1)
  local created = redis.call('HGET', key, 'created')
  local skip = false
  if policy == 'SKIP' then skip = redis.call('EXISTS', key) == 1 end
  if not skip then
    if created then redis.call('DEL', key) else created = string.format('%.0f', oldest + i) end
    local fields, packed, at = {}, ARGV[7 + i], 1
    while at <= #packed do fields[#fields + 1], at = struct.unpack('>I4c0', packed, at) end
    if ttl ~= 0 then
      local ends = string.format('%.0f', math.floor(micros / 1000) + math.abs(ttl))
      if ttl > 0 then
        fields[#fields + 1] = 'expires'
        fields[#fields + 1] = ends
      end
      redis.call('HSET', key, 'created', created, unpack(fields))
      redis.call('PEXPIREAT', key, ends)
      if log then redis.call('ZADD', KEYS[4], ends, id) end
    else
      redis.call('HSET', key, 'created', created, unpack(fields))
      if log then redis.call('ZREM', KEYS[4], id) end
    end
    if log then
      redis.call('ZADD', KEYS[2], seq + i + 1, id)
      redis.call('ZREM', KEYS[3], id)
    end
    written = written + 1
  end
end
return {written, present}
"""
)
"""KEYS: catalogue, [changes, deletions, expiry,] documents. ARGV: generation, 'log' or '', policy, time of creation
of the first document in microseconds ('': now; each next one is later by 1), ttl in ms (0: none; negative: it
will be prolonged, so its end is noted on the key alone), length of the
prefix of documents' keys in bytes, then for each document its fields and values in turn, each with its length
before it in four bytes: one argument instead of twenty, which is what sending costs. Returns [written, ids that
were there]."""

DELETE = (
    _CHECK
    + _LOG
    + """
local first = log and 5 or 2
local removed = 0
for i = first, #KEYS do
  local gone = redis.call('UNLINK', KEYS[i])
  removed = removed + gone
  if log then
    local id = ARGV[i - first + 3]
    if gone == 1 or redis.call('ZSCORE', KEYS[2], id) then forget(id) end
  end
end
if log then trim() elseif removed > 0 then redis.call('HINCRBY', KEYS[1], 'seq', 1) end
return removed
"""
)
"""KEYS: catalogue, [changes, deletions, expiry,] documents. ARGV: generation, 'log' or '', ids. Returns how
many documents were there."""

FORGET = (
    _CHECK
    + _LOG
    + """
for i = 4, #ARGV do
  if redis.call('EXISTS', ARGV[3] .. ARGV[i]) == 0 and redis.call('ZSCORE', KEYS[2], ARGV[i]) then
    forget(ARGV[i])
  end
end
trim()
return 1
"""
)
"""KEYS: catalogue, changes, deletions, expiry. ARGV: generation, 'log', prefix, ids. Logs as deleted those
documents that are gone without a word: expired, evicted, deleted by hand."""

UPDATE_METADATA = (
    _CHECK
    + """
local log = ARGV[2] == 'log'
local key, id, expected = KEYS[#KEYS], ARGV[3], ARGV[4]
local stored = redis.call('HGET', key, 'metadata')
if not stored then return -1 end
if stored ~= expected then return 0 end
for _, field in ipairs(redis.call('HKEYS', key)) do
  if field == 'tags' or string.find(field, '^n%d+$') or string.find(field, '^f_')
    or string.find(field, '^words_') or string.find(field, '^stems_') or string.find(field, '^length_') then
    redis.call('HDEL', key, field)
  end
end
redis.call('HSET', key, unpack(ARGV, 5))
local seq = ARGV[1] ~= '' and redis.call('HINCRBY', KEYS[1], 'seq', 1)
if log then redis.call('ZADD', KEYS[2], seq, id) end
return 1
"""
)
"""KEYS: catalogue, [changes, deletions, expiry,] document. ARGV: generation, 'log' or '', id, the metadata
that was read, new fields and values. Returns 1, 0 if it changed meanwhile, -1 if it is gone."""

SYNC = (
    _CHECK
    + _LOG
    + """
local since, deleted_since, limit = ARGV[3], ARGV[4], tonumber(ARGV[5])
local prefix, wanted = ARGV[6], tonumber(ARGV[7])
local time = redis.call('TIME')
local now = string.format('%.0f', tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000))
for _, id in ipairs(redis.call('ZRANGEBYSCORE', KEYS[4], '-inf', now, 'LIMIT', 0, 1000)) do
  local left = redis.call('PTTL', prefix .. id)
  if left == -2 then
    forget(id)
  elseif left == -1 then
    redis.call('ZREM', KEYS[4], id)
  else
    redis.call('ZADD', KEYS[4], string.format('%.0f', now + left + 1), id)
  end
end
local floor = redis.call('HGET', KEYS[1], 'floor')
if floor and tonumber(deleted_since) < tonumber(floor) and tonumber(deleted_since) >= 0 then
  return {'reload'}
end
local deleted = {}
if tonumber(deleted_since) >= 0 then
  deleted = redis.call('ZRANGEBYSCORE', KEYS[3], '(' .. deleted_since, '+inf')
end
local changed = redis.call('ZRANGEBYSCORE', KEYS[2], '(' .. since, '+inf', 'WITHSCORES', 'LIMIT', 0, limit)
local rows = {}
for i = 1, #changed, 2 do
  local key = prefix .. changed[i]
  rows[#rows + 1] = {changed[i], changed[i + 1], redis.call('HMGET', key, unpack(ARGV, 8, 7 + wanted))}
end
return {'ok', redis.call('HGET', KEYS[1], 'seq'), now, deleted, rows}
"""
)
"""KEYS: catalogue, changes, deletions, expiry. ARGV: generation, 'log', since, deletions since (-1: none
wanted), limit, prefix, number of fields, fields. Returns ['reload'] or ['ok', sequence, now in ms, deleted ids,
[id, sequence, values] for each change]."""

FETCH = (
    _CHECK
    + """
local seq = redis.call('HGET', KEYS[1], 'seq')
if ARGV[2] ~= '' and seq ~= ARGV[2] then return {0} end
local prefix, wanted = ARGV[3], tonumber(ARGV[4])
local rows = {}
for i = 5 + wanted, #ARGV do
  rows[#rows + 1] = redis.call('HMGET', prefix .. ARGV[i], unpack(ARGV, 5, 4 + wanted))
end
return {1, rows}
"""
)
"""KEYS: catalogue. ARGV: generation, the sequence the caller knows ('': any), prefix, number of fields,
fields, ids. Returns [0] if the index has moved on, else [1, values for each id]."""

REGISTER = (
    _CHECK
    + """
local count = 0
for i = 3, #ARGV do
  local key, id = ARGV[2] .. ARGV[i], ARGV[i]
  if redis.call('TYPE', key).ok == 'hash' and redis.call('HEXISTS', key, 'metadata') == 1 then
    redis.call('ZADD', KEYS[2], redis.call('HINCRBY', KEYS[1], 'seq', 1), id)
    local ends = redis.call('HGET', key, 'expires')
    if ends then redis.call('ZADD', KEYS[4], ends, id) end
    count = count + 1
  end
end
return count
"""
)
"""KEYS: catalogue, changes, deletions, expiry. ARGV: generation, prefix, ids of documents that are there
already: log them as changes."""

ADD_WORDS = (
    _CHECK
    + """
local size = redis.call('ZCARD', KEYS[2])
for i = 2, #ARGV do
  if redis.call('ZADD', KEYS[2], 'NX', size + 1, ARGV[i]) == 1 then size = size + 1 end
end
return size
"""
)
"""KEYS: catalogue, vocabulary. ARGV: generation, words. Adds words to the vocabulary, each with its number from 1 on;
none is ever removed. Returns how many there are."""
