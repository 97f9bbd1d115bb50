-- Appends items to the order. Items that exist keep their position.
-- KEYS: settings, order, state. ARGV[2..]: the items. Returns how many are new.
local added = 0
for i = 2, #ARGV do
  if not redis.call('ZSCORE', KEYS[2], ARGV[i]) then
    redis.call('ZADD', KEYS[2], redis.call('HINCRBY', KEYS[3], 'last', 1), ARGV[i])
    added = added + 1
  end
end
return added
