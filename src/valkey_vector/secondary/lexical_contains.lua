-- Whether entries are there. KEYS: settings, entries. ARGV[2..]: the entries. Returns 1 or 0 for each.
local there = {}
for i = 2, #ARGV do there[i - 1] = redis.call('ZSCORE', KEYS[2], ARGV[i]) and 1 or 0 end
return there
