-- How many items there are, and how many of them are leased. KEYS: settings, order, leases.
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
return {redis.call('ZCARD', KEYS[2]), redis.call('ZCOUNT', KEYS[3], '(' .. string.format('%.0f', now), '+inf')}
