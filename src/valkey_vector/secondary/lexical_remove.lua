-- Removes entries. KEYS: settings, entries. ARGV[2..]: the entries. Returns how many were there.
local removed = 0
for i = 2, #ARGV do removed = removed + redis.call('ZREM', KEYS[2], ARGV[i]) end
return removed
