-- Appends messages. Those of one call stand together, and the log always has its time to live.
-- KEYS: log. ARGV: milliseconds to live (0: no end), '1' for sliding expiration, maximum length (0: any), then messages.
-- Returns the length of the log.

local key, ttl, sliding, longest = KEYS[1], tonumber(ARGV[1]), ARGV[2] == '1', tonumber(ARGV[3])
local new = redis.call('EXISTS', key) == 0
for i = 4, #ARGV do redis.call('RPUSH', key, ARGV[i]) end
if longest > 0 then redis.call('LTRIM', key, -longest, -1) end
if ttl > 0 and (new or sliding) then redis.call('PEXPIRE', key, ttl) end
return redis.call('LLEN', key)
