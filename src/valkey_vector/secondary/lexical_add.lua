-- Adds entries. KEYS: settings, entries. ARGV[2..]: the entries. Returns how many are new.
local added = 0
for i = 2, #ARGV do added = added + redis.call('ZADD', KEYS[2], 0, ARGV[i]) end
return added
