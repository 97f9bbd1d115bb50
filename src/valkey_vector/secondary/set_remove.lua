-- Removes members. KEYS: settings, members. ARGV[2..]: the members. Returns how many were there.
local removed = 0
for i = 2, #ARGV do removed = removed + redis.call('SREM', KEYS[2], ARGV[i]) end
return removed
