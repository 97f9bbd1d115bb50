"""The Lua scripts of the native engine that only read; they run on every server that answers reads.

They take what all scripts of the engine take (see `valkey_vector.storage.scripts`). A hash is judged by the caller (see
`valkey_vector.storage.record_version.own_fields`); a key of another type counts as absent.
"""

from __future__ import annotations

from valkey_vector.storage.scripts import BEGIN, LOOK, WRITTEN, compact

__all__ = ["CHECK", "FETCH", "FOREIGN", "LOAD", "SYNC"]

_READ_ONLY = (
    "#!lua flags=no-writes\n"
    + BEGIN
    + """
local time = call('TIME')
local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
"""
)

# A time to live that no field of the document tells is asked for.
_LOADING = """
local function load(id, from, wanted)
  local key = prefix .. id
  local values = try('HMGET', key, unpack(ARGV, from, from + wanted - 1))
  if values.err then return false, -1 end
  local version, left = values[1], -1
  if not version or string.find(version, ':%l*s%l*$') or string.find(version, ':%l*s%l*;') then
    left = try('PTTL', key)
    if type(left) ~= 'number' then left = -1 end
  end
  return values, left
end
"""

SYNC = compact(
    _READ_ONLY
    + _LOADING
    + """
local since, limit, wanted = ARGV[4], tonumber(ARGV[5]), tonumber(ARGV[7])
local complete = begun and state[4] and (lineage == '' or state[5]) and true or false
local seq = tonumber(state[3] or '0')
local known = tonumber(since)
if not complete and ARGV[6] == '' then return {'incomplete'} end
if known >= 0 and (known > seq or known < tonumber(state[6] or '0')) then return {'reload'} end
local changed = call('ZRANGEBYSCORE', KEYS[2], '(' .. since, '+inf', 'WITHSCORES', 'LIMIT', 0, limit + 1)
if #changed > 2 * limit then return {'many', state[3] or '0', now} end
local deleted = {}
if known >= 0 then deleted = call('ZRANGEBYSCORE', KEYS[3], '(' .. since, '+inf') end
local rows = {}
for i = 1, #changed, 2 do
  local values, left = load(changed[i], 8, wanted)
  rows[#rows + 1] = {changed[i], changed[i + 1], values, left}
end
return {'ok', state[3] or '0', now, complete and state[4], deleted, rows, call('ZCARD', KEYS[2])}
"""
)
"""ARGV: since, limit, 'anyway' to read an incomplete log, number of fields, fields, ``version`` first. Returns ['incomplete'] (the log lacks documents),
['reload'] (what happened since is not known), ['many', sequence, now in ms] (more changes than the limit) or ['ok', sequence,
now, digest or nothing, deleted ids, [id, sequence, values or nothing, ms left or less than 0] for each change, how many ids the log has]."""

LOAD = compact(
    _READ_ONLY
    + _LOADING
    + """
local wanted, rows = tonumber(ARGV[4]), {}
for i = 5 + wanted, #ARGV do
  local values, left = load(ARGV[i], 5, wanted)
  rows[#rows + 1] = {values, left}
end
return rows
"""
)
"""ARGV: number of fields, fields, ``version`` first, ids. Returns [values or nothing, ms left or less than 0] for each."""

FETCH = compact(
    _READ_ONLY
    + """
if ARGV[4] ~= '' and state[3] ~= ARGV[4] then return {0} end
local wanted, rows = tonumber(ARGV[5]), {}
for i = 6 + wanted, #ARGV do
  local values = try('HMGET', prefix .. ARGV[i], unpack(ARGV, 6, 5 + wanted))
  rows[#rows + 1] = not values.err and values or false
end
return {1, now, rows}
"""
)
"""ARGV: the sequence number the caller knows ('': any), number of fields, fields, ids. Returns [0] if the index has moved on,
else [1, now in ms, values or nothing for each id]."""

CHECK = compact(
    _READ_ONLY
    + LOOK
    + WRITTEN
    + """
if ARGV[4] ~= '' and state[3] ~= ARGV[4] then return {0} end
local function activity()
  local writes, saved = written()
  local stats = try('INFO', 'stats')
  if not writes or type(stats) ~= 'string' then return '' end
  local now = string.format('%.0f ', writes) .. saved
  local parts = {state[7] or '', now == state[8] and '' or now}
  for _, name in ipairs({'expired_keys:', 'evicted_keys:'}) do
    local _, at = string.find(stats, name, 1, true)
    if not at then return '' end
    parts[#parts + 1] = string.match(stats, '^%d+', at + 1)
  end
  return table.concat(parts, ',')
end
local function own(key)
  if lineage == '' then return look(key) == 'own' end
  local version = try('HGET', key, 'version')
  return type(version) == 'string' and string.sub(version, 1, #mark) == mark
end
local lost, seen = {}, 0
local function check(ids, first)
  for i = first, #ids do
    if not own(prefix .. ids[i]) then lost[#lost + 1] = ids[i] end
  end
end
if ARGV[6] ~= '' then
  local logged = call('ZRANGEBYSCORE', KEYS[2], ARGV[6], ARGV[7])
  seen = #logged
  check(logged, 1)
end
check(ARGV, 8)
return {1, now, ARGV[5] ~= '' and activity() or '', lost, seen}
"""
)
"""ARGV: the sequence number the caller knows ('': any), 'activity' or '', the lowest and the highest sequence number of
documents to look up ('': none), ids of further ones. Returns [0] if the index has moved on, else
[1, now in ms, activity ('' if the server does not tell), those ids that are no longer documents, how many the log has in the range]. As long as the activity is
the same, no document was removed past the log."""

FOREIGN = compact(
    _READ_ONLY
    + LOOK
    + """
for i = 5, #KEYS do
  if look(KEYS[i]) == 'foreign' then return {'foreign', KEYS[i], call('TYPE', KEYS[i]).ok} end
end
return {'ok'}
"""
)
"""No further ARGV. Returns ['foreign', key, its type] for the first key that is not a document, else ['ok']."""
