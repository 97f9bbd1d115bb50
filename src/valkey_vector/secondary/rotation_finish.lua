-- Ends or prolongs a lease, if it is still the caller's. KEYS: settings, leases, tokens.
-- ARGV[2]: the item. ARGV[3]: its token. ARGV[4]: what to do: 'done', 'release' (the next caller gets the item), or the
-- milliseconds from now until the lease ends. Returns when the lease ends, '0' for a lease that ended, or nothing if
-- another caller has the item, or nobody.
if redis.call('HGET', KEYS[3], ARGV[2]) ~= ARGV[3] or not redis.call('ZSCORE', KEYS[2], ARGV[2]) then return {} end
if ARGV[4] == 'done' then
  redis.call('ZREM', KEYS[2], ARGV[2])
  redis.call('HDEL', KEYS[3], ARGV[2])
  return {'0'}
end
if ARGV[4] == 'release' then
  redis.call('ZADD', KEYS[2], 0, ARGV[2])
  redis.call('HSET', KEYS[3], ARGV[2], '')
  return {'0'}
end
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
local ends = string.format('%.0f', now + tonumber(ARGV[4]))
redis.call('ZADD', KEYS[2], ends, ARGV[2])
return {ends}
