-- Whether members are there. KEYS: settings, members. ARGV[2..]: the members. Returns 1 or 0 for each.
local there = {}
for i = 2, #ARGV do there[i - 1] = redis.call('SISMEMBER', KEYS[2], ARGV[i]) end
return there
