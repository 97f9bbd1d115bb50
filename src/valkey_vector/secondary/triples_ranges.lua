-- Several ranges of the entries. KEYS: settings, entries. ARGV[2]: at most so many of each.
-- ARGV[3..]: lower and upper bounds. Returns a list for each.
local found = {}
for i = 3, #ARGV, 2 do
  found[#found + 1] = redis.call('ZRANGE', KEYS[2], ARGV[i], ARGV[i + 1], 'BYLEX', 'LIMIT', 0, ARGV[2])
end
return found
