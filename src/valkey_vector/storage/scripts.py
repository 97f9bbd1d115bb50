"""The Lua scripts that write: those of the native engine, each atomic, and the vocabulary's.

The native engine's change log is all that processes need to keep their replica of the index current (see
`valkey_vector.engines.native.shared_replica`):

* ``{name}:changes``, a sorted set: each id with the sequence number of its last write;
* ``{name}:deletions``, a sorted set: deleted ids with the number of their deletion, trimmed at the old end, in which
  case ``floor`` in the catalog says from where on it is complete;
* ``{name}:expiry``, a sorted set: the ids with a time to live, by the millisecond of their end. Every write removes some
  that ended from the log.

A sequence number is the server's time in microseconds, or one more than the last if that is later. A server that lost
its last writes (a crash, a restored backup, a failover) therefore does not give a number a second time. ``seq`` in the
catalog is the last one, ``digest`` the sum of `digest_of` over all numbers in ``changes``: a replica with another digest
did not see what the server has, or the log lost a key, and is loaded again. ``log`` is the generation for which the log
was begun, ``registered`` is set when the log has every document that was there before it. ``written`` is what the server
had counted of all changes after the last of these scripts, and ``touched`` differs each time a script found that others
had changed anything since: until then no document can have been deleted past the log, other than by expiry or eviction.

Scripts begin with a line of flags: ``no-writes`` ones also run on a server that refuses writes, ``allow-oom`` ones, which
free memory, on a full one. All take as KEYS the catalog, changes, deletions, expiry, and then documents; as the first ARGV
the generation, the lineage (``''`` in format 1) and the prefix of documents' keys. They answer ``STALE`` for an index that
was dropped or created again. A document that belongs to somebody else is never changed.
"""

from __future__ import annotations

__all__ = [
    "ADD_WORDS",
    "BEGIN",
    "DELETE",
    "DIGESTS",
    "DROP",
    "FORGET",
    "LOOK",
    "REGISTER",
    "SEAL",
    "UPDATE_METADATA",
    "WRITE",
    "WRITTEN",
    "compact",
    "digest_of",
]

_FACTORS = (67_108_859, 67_108_837)
DIGESTS = 1 << 52
"""Digests are numbers below this, so that Lua adds them exactly."""


def digest_of(sequence: int) -> int:
    """What a sequence number adds to the digest; the function ``mix`` of the scripts."""
    return (sequence % _FACTORS[0]) * (sequence % _FACTORS[1])


def compact(script: str) -> str:
    """A script without indentation and comments: it is sent with every call, and the server computes its digest."""
    lines = (line.strip() for line in script.splitlines())
    return "\n".join(line for line in lines if line and not line.startswith("--"))


BEGIN = """
local call, try = redis.call, redis.pcall
local state = call('HMGET', KEYS[1],
  'generation', 'log', 'seq', 'digest', 'registered', 'floor', 'touched', 'written')
if state[1] ~= ARGV[1] then return redis.error_reply('STALE the index was dropped or created anew') end
local lineage, prefix = ARGV[2], ARGV[3]
local begun = lineage == '' or state[2] == ARGV[1]
"""

LOOK = """
local mark = lineage .. ':'
local function look(key)
  local found = try('HMGET', key, 'version', 'created')
  if found.err then return 'foreign' end
  local version, created = found[1], found[2]
  if version and string.sub(version, 1, #mark) == mark then return 'own', version, created end
  if version and string.find(version, '^%x*:[%w_-]+:') then return 'former' end
  if not version and lineage == '' and created and call('HEXISTS', key, 'metadata') == 1 then
    return 'own', '', created
  end
  if not version and call('EXISTS', key) == 0 then return 'absent' end
  return 'foreign'
end
"""
"""``look(key)``: 'own' with version and time of creation, 'former' for a record of an index that was dropped,
'absent', or 'foreign'."""

WRITTEN = """
local function written()
  local info = try('INFO', 'persistence')
  if type(info) ~= 'string' then return nil, '' end
  local _, count = string.find(info, 'rdb_changes_since_last_save:', 1, true)
  local _, saved = string.find(info, 'rdb_last_save_time:', 1, true)
  if not count or not saved then return nil, '' end
  return tonumber(string.match(info, '^%d+', count + 1)), string.match(info, '^%d+', saved + 1)
end
"""
"""``written()``: how many changes the server counted since it was saved last, whoever made them, and when that was."""

_NUMBERS = f"""
local time = call('TIME')
local micros = tonumber(time[1]) * 1000000 + tonumber(time[2])
local now = math.floor(micros / 1000)
local before, digest = tonumber(state[3] or '0'), tonumber(state[4] or '')
local seq = before
local writes, saved = written()
local touched = not writes or state[8] ~= string.format('%.0f ', writes) .. saved
local function whole(number) return string.format('%.0f', number) end
local function advance()
  seq = math.max(seq + 1, micros)
  return seq
end
local function mix(s) return (s % {_FACTORS[0]}) * (s % {_FACTORS[1]}) end
local function add(amount) if digest then digest = (digest + amount) % {DIGESTS} end end
if not begun then
  call('DEL', KEYS[2], KEYS[3], KEYS[4])
  call('HDEL', KEYS[1], 'registered')
  before, digest = advance(), 0
  call('HSET', KEYS[1], 'log', ARGV[1], 'seq', whole(seq), 'floor', whole(seq), 'digest', '0')
end
"""

_LOG = """
-- The number of an id, read by a command that writers may run anyway.
local function number_of(id) return tonumber(call('ZADD', KEYS[2], 'XX', 'INCR', 0, id) or nil) end
local function changed(id)
  local old = number_of(id)
  if old then add(-mix(old)) end
  add(mix(advance()))
  call('ZADD', KEYS[2], whole(seq), id)
  call('ZREM', KEYS[3], id)
end
local function gone(id)
  local old = number_of(id)
  call('ZREM', KEYS[4], id)
  if not old then return end
  add(-mix(old))
  call('ZREM', KEYS[2], id)
  call('ZADD', KEYS[3], whole(advance()), id)
end
local function expires(id, at) call('ZADD', KEYS[4], whole(at), id) end
local function finish()
  for _, id in ipairs(call('ZRANGEBYSCORE', KEYS[4], '-inf', whole(now), 'LIMIT', 0, 100)) do
    -- A user who may not run it keeps them.
    local left = try('PTTL', prefix .. id)
    if left == -2 then gone(id) elseif left == -1 then call('ZREM', KEYS[4], id)
    elseif type(left) == 'number' then expires(id, now + left + 1) end
  end
  local deleted = call('ZCARD', KEYS[3])
  if deleted > 10000 and deleted > 2 * call('ZCARD', KEYS[2]) then
    local half = math.floor(deleted / 2)
    local last = call('ZRANGEBYSCORE', KEYS[3], '-inf', '+inf', 'WITHSCORES', 'LIMIT', half, 1)[2]
    call('HSET', KEYS[1], 'floor', last)
    for _ = 0, half, 5000 do
      local old = call('ZRANGEBYSCORE', KEYS[3], '-inf', last, 'LIMIT', 0, 5000)
      if #old > 0 then call('ZREM', KEYS[3], unpack(old)) end
    end
  end
  if seq ~= before then call('HINCRBY', KEYS[1], 'seq', whole(seq - before)) end
  if digest then call('HSET', KEYS[1], 'digest', whole(digest)) end
  writes, saved = written()
  -- The two fields that are set here are two changes more.
  call('HSET', KEYS[1], 'touched', touched and whole(seq) or state[7] or '',
    'written', writes and whole(writes + 2) .. ' ' .. saved or '')
end
"""

_CHANGE = WRITTEN + _NUMBERS + _LOG
"""What changes the log: ``changed(id)``, ``gone(id)``, ``expires(id, at)``, and at the end ``finish()``."""

_ANY = "#!lua\n"
_ALLOW_OOM = "#!lua flags=allow-oom\n"

WRITE = compact(
    _ANY
    + BEGIN
    + LOOK
    + _CHANGE
    + """
local policy, stamp, ttl = ARGV[4], ARGV[5], tonumber(ARGV[6])
local first = 5
local present, kinds, times = {}, {}, {}
for i = first, #KEYS do
  local kind, _, created = look(KEYS[i])
  if kind == 'foreign' then return {'foreign', KEYS[i], call('TYPE', KEYS[i]).ok} end
  kinds[i], times[i] = kind, created
  if kind == 'own' then present[#present + 1] = string.sub(KEYS[i], #prefix + 1) end
end
if policy == 'FAIL' and #present > 0 then return {'ok', 0, present} end
if policy == 'OVERWRITE' then present = {} end
local oldest = stamp == '' and micros or tonumber(stamp)
local written = 0
for i = first, #KEYS do
  local key, kind = KEYS[i], kinds[i]
  local id = string.sub(key, #prefix + 1)
  if kind ~= 'own' or policy ~= 'SKIP' then
    local created = times[i] or whole(oldest + i - first)
    if kind ~= 'absent' then call('DEL', key) end
    local fields, packed, at = {}, ARGV[7 + i - first], 1
    while at <= #packed do fields[#fields + 1], at = struct.unpack('>I4c0', packed, at) end
    local ends = now + math.abs(ttl)
    if ttl > 0 then
      fields[#fields + 1] = 'expires'
      fields[#fields + 1] = whole(ends)
    end
    call('HSET', key, 'created', created, unpack(fields))
    if ttl ~= 0 then
      local set = try('PEXPIREAT', key, whole(ends))
      if type(set) == 'table' and set.err then
        call('DEL', key)
        gone(id)
        finish()
        return set
      end
      expires(id, ends)
    else
      call('ZREM', KEYS[4], id)
    end
    changed(id)
    written = written + 1
  end
end
finish()
return {'ok', written, present}
"""
)
"""ARGV: policy, time of creation of the first document in microseconds ('': now; each next one is later by 1), ttl in ms
(0: none; negative: it will be extended, so its end is noted on the key alone), then for each document its fields and
values in turn, each with its length before it in four bytes: one argument instead of twenty, which is what sending costs.
Returns ['ok', written, ids that were there] or ['foreign', key, its type], and then nothing was written."""

DELETE = compact(
    _ALLOW_OOM
    + BEGIN
    + LOOK
    + _CHANGE
    + """
local exact, removed = ARGV[4] == 'exact', 0
local kinds, versions = {}, {}
for i = 5, #KEYS do
  kinds[i], versions[i] = look(KEYS[i])
  if kinds[i] == 'foreign' and not exact then
    return {'foreign', KEYS[i], call('TYPE', KEYS[i]).ok}
  end
end
for i = 5, #KEYS do
  local id = string.sub(KEYS[i], #prefix + 1)
  if kinds[i] ~= 'own' then
    gone(id)
  elseif not exact or versions[i] == ARGV[i] then
    removed = removed + call('UNLINK', KEYS[i])
    gone(id)
  end
end
finish()
return {'ok', removed}
"""
)
"""ARGV: 'exact' or '', then with 'exact' for each document the version it must have ('': none). Returns ['ok', removed] or
['foreign', key, its type], and then nothing was removed; with 'exact' what is foreign is left alone."""

FORGET = compact(
    _ALLOW_OOM
    + BEGIN
    + LOOK
    + _CHANGE
    + """
for i = 4, #ARGV do
  if look(prefix .. ARGV[i]) ~= 'own' then gone(ARGV[i]) end
end
finish()
return 1
"""
)
"""ARGV: ids. Logs as deleted those documents that are gone without a word: evicted, deleted by hand, replaced."""

UPDATE_METADATA = compact(
    _ANY
    + BEGIN
    + LOOK
    + _CHANGE
    + """
local key = KEYS[5]
local kind, version = look(key)
if kind ~= 'own' then return -1 end
if version ~= ARGV[4] then return 0 end
if version == '' and call('HGET', key, 'metadata') ~= ARGV[5] then return 0 end
for _, field in ipairs(call('HKEYS', key)) do
  if field == 'tags' or string.find(field, '^n%d+$') or string.find(field, '^f_')
    or string.find(field, '^words_') or string.find(field, '^stems_') or string.find(field, '^length_') then
    call('HDEL', key, field)
  end
end
local removed = tonumber(ARGV[6])
for i = 7, 6 + removed do call('HDEL', key, ARGV[i]) end
call('HSET', key, unpack(ARGV, 7 + removed))
changed(string.sub(key, #prefix + 1))
finish()
return 1
"""
)
"""ARGV: the version that was read ('': none), the metadata that was read, how many other fields to remove, their names,
new fields and values. Returns 1, 0 if the
document changed meanwhile, -1 if it is gone."""

REGISTER = compact(
    _ALLOW_OOM
    + BEGIN
    + LOOK
    + _CHANGE
    + """
for i = 4, #ARGV do
  local key, id = prefix .. ARGV[i], ARGV[i]
  if look(key) == 'own' and not number_of(id) then
    changed(id)
    local left = call('PTTL', key)
    if left >= 0 then expires(id, now + left + 1) end
  end
end
finish()
return 1
"""
)
"""ARGV: ids of documents that are there already. Takes those into the log that it does not have."""

SEAL = compact(
    _ALLOW_OOM
    + BEGIN
    + _CHANGE
    + """
local last, total = '-inf', 0
digest = 0
while true do
  local page = call('ZRANGEBYSCORE', KEYS[2], last, '+inf', 'WITHSCORES', 'LIMIT', 0, 5000)
  for i = 2, #page, 2 do add(mix(tonumber(page[i]))) end
  if #page < 10000 then
    if #page > 0 then seq = math.max(seq, tonumber(page[#page])) end
    break
  end
  last = '(' .. page[#page]
end
call('HSET', KEYS[1], 'registered', '1')
finish()
return 1
"""
)
"""Computes the digest from the log as it is, and notes that the log is complete."""

DROP = """
if redis.call('HEXISTS', KEYS[1], 'generation') == 0 then redis.call('DEL', KEYS[2], KEYS[3], KEYS[4]) end
return 1
"""
"""No ARGV. Removes the log of an index that was dropped, unless it was created again: then its first write does."""

ADD_WORDS = """
if ARGV[1] ~= '' and redis.call('HGET', KEYS[1], 'generation') ~= ARGV[1] then
  return redis.error_reply('STALE the index was dropped or created anew')
end
local size = redis.call('ZCARD', KEYS[2])
for i = 2, #ARGV do
  if redis.call('ZADD', KEYS[2], 'NX', size + 1, ARGV[i]) == 1 then size = size + 1 end
end
return size
"""
"""KEYS: catalog, vocabulary. ARGV: generation, words. Adds words to the vocabulary, each with its number from 1 on;
none is ever removed. Returns how many there are."""
