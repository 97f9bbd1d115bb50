-- Puts items in front. KEYS: settings, items. ARGV[2]: how many to keep. ARGV[3..]: the items, the newest last.
-- Returns how many there are.
for i = 3, #ARGV do redis.call('LPUSH', KEYS[2], ARGV[i]) end
redis.call('LTRIM', KEYS[2], 0, tonumber(ARGV[2]) - 1)
return redis.call('LLEN', KEYS[2])
