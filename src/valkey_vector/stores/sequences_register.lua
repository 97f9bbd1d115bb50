-- Prelude: notes the name of a sequence with the time of its creation.
-- KEYS: names, list. ARGV[1]: name.

local time = redis.call('TIME')
local now = string.format('%.0f', tonumber(time[1]) * 1000000 + tonumber(time[2]))
redis.call('ZADD', KEYS[1], 'NX', now, ARGV[1])
