-- Removes the item at a position and returns it.
-- KEYS: names, list. ARGV: name, position (negative: from the end). Returns the item, or nil if there is none.

local count, at = redis.call('LLEN', KEYS[2]), tonumber(ARGV[2])
if at < 0 then at = count + at end
if at < 0 or at >= count then return false end
if at == count - 1 then return redis.call('RPOP', KEYS[2]) end
local there = redis.call('LINDEX', KEYS[2], at)
redis.call('LSET', KEYS[2], at, '')
redis.call('LREM', KEYS[2], 1, '')
return there
