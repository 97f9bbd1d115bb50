-- How many entries several ranges have. KEYS: settings, entries. ARGV[2..]: lower and upper bounds.
local counts = {}
for i = 2, #ARGV, 2 do counts[#counts + 1] = redis.call('ZLEXCOUNT', KEYS[2], ARGV[i], ARGV[i + 1]) end
return counts
