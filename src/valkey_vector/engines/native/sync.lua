#!lua flags=no-writes
-- Reads the changes since a sequence number.
-- KEYS, ARGV[1] to ARGV[3]: those of begin.lua.
-- ARGV[4]: the sequence number (-1: load all). ARGV[5]: limit. ARGV[6]: 'anyway' reads an incomplete log. ARGV[7]:
-- number of fields. ARGV[8] and after: fields, version first.
-- Returns one of:
--   {'incomplete'}: the log lacks records
--   {'reload'}: the log does not reach back to the sequence number
--   {'many', sequence, now in ms}: there are more changes than the limit
--   {'ok', sequence, now, digest or nil, deleted ids, changed ids, their sequence numbers, what load of read_record.lua
--   returns for them, number of ids in the log}

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
local ids, numbers = {}, {}
for i = 1, #changed, 2 do
  ids[#ids + 1] = changed[i]
  numbers[#numbers + 1] = changed[i + 1]
end
return {'ok', state[3] or '0', now, complete and state[4], deleted, ids, numbers, load(ids, 8, wanted),
  call('ZCARD', KEYS[2])}
