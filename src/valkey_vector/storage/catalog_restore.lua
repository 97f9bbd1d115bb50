-- Records an index again whose record was lost, unless there is one.
-- KEYS: catalog, changes, deletions. ARGV: fields and values in turn. The last sequence number follows from the log.
-- Returns 1 if it was recorded, else 0.

if redis.call('HEXISTS', KEYS[1], 'generation') == 1 then return 0 end
redis.call('HSET', KEYS[1], unpack(ARGV))
local seq = 0
for i = 2, 3 do
  local newest = redis.call('ZREVRANGE', KEYS[i], 0, 0, 'WITHSCORES')
  if newest[2] then seq = math.max(seq, tonumber(newest[2])) end
end
redis.call('HSET', KEYS[1], 'seq', string.format('%.0f', seq + 1))
return 1
