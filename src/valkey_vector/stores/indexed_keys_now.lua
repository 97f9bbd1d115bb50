-- Returns the time and notes it. After indexed_keys_tick.lua. KEYS: clock. No ARGV. Returns microseconds.

redis.call('SET', KEYS[1], string.format('%.0f', now))
return string.format('%.0f', now)
