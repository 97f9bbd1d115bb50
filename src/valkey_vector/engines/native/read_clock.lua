-- Prelude of the scripts that only read: now, the server's time in milliseconds.
-- No KEYS or ARGV of its own.

local time = call('TIME')
local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
