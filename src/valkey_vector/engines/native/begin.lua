-- Prelude of every script but drop.lua: refuses an index that was dropped or created again.
-- KEYS: catalog, changes, deletions, expiry, then records.
-- ARGV: generation, lineage ('' in format 1), prefix of the records' keys, then what the script takes.
-- Replies with the error STALE for another generation.
-- Defines call, try, state (fields of the catalog), lineage, prefix, and begun (the log is of this generation).

local call, try = redis.call, redis.pcall
local state = call('HMGET', KEYS[1],
  'generation', 'log', 'seq', 'digest', 'registered', 'floor', 'touched', 'written')
if state[1] ~= ARGV[1] then return redis.error_reply('STALE the index was dropped or created again') end
local lineage, prefix = ARGV[2], ARGV[3]
local begun = lineage == '' or state[2] == ARGV[1]
