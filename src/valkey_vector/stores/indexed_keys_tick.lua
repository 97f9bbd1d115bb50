-- Prelude: now, the server's time in microseconds, later than in any call before.
-- It grows even if the server's clock is set back. KEYS[1]: clock. No ARGV.

local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000000 + tonumber(time[2])
local last = tonumber(redis.call('GET', KEYS[1]) or '0')
if now <= last then now = last + 1 end
