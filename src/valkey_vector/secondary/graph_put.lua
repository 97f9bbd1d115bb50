-- Stores nodes. KEYS: settings, nodes. ARGV[2..]: for each its id and its data. Returns the data each had before; ''.
local before = {}
for i = 2, #ARGV, 2 do
  before[#before + 1] = redis.call('HGET', KEYS[2], ARGV[i]) or ''
  redis.call('HSET', KEYS[2], ARGV[i], ARGV[i + 1])
end
return before
