-- Removes every occurrence of items. KEYS: settings, items. ARGV[2..]: the items. Returns how many there were.
local removed = 0
for i = 2, #ARGV do removed = removed + redis.call('LREM', KEYS[2], 0, ARGV[i]) end
return removed
