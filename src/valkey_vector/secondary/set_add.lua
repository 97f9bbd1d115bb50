-- Adds members. KEYS: settings, members. ARGV[2..]: the members. Returns how many are new.
local added = 0
for i = 2, #ARGV do added = added + redis.call('SADD', KEYS[2], ARGV[i]) end
return added
