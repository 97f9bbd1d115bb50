-- Inserts an item. After sequences_register.lua.
-- KEYS: names, list. ARGV: name, position (negative: from the end), item. No reply.
-- An empty text, which no item is written as, holds the position while the list is edited.

local count, at = redis.call('LLEN', KEYS[2]), tonumber(ARGV[2])
if at < 0 then at = count + at end
if at <= 0 then redis.call('LPUSH', KEYS[2], ARGV[3])
elseif at >= count then redis.call('RPUSH', KEYS[2], ARGV[3])
else
  local there = redis.call('LINDEX', KEYS[2], at)
  redis.call('LSET', KEYS[2], at, '')
  redis.call('LINSERT', KEYS[2], 'BEFORE', '', ARGV[3])
  redis.call('LSET', KEYS[2], at + 1, there)
end
