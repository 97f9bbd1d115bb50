-- Removes items and their leases. KEYS: settings, order, leases, tokens. ARGV[2..]: the items.
-- Returns how many were there.
local removed = 0
for i = 2, #ARGV do
  removed = removed + redis.call('ZREM', KEYS[2], ARGV[i])
  redis.call('ZREM', KEYS[3], ARGV[i])
  redis.call('HDEL', KEYS[4], ARGV[i])
end
return removed
