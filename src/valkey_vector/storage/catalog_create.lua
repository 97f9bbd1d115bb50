-- Records a new index, unless there is one.
-- KEYS: catalog. ARGV: layout, then fields and values in turn.
-- Returns {1 if created else 0, all fields and values}, or {-1, layout} if kept documents have another layout.

local key = KEYS[1]
local created = redis.call('HEXISTS', key, 'generation') == 0
if created then
  local kept = redis.call('HGET', key, 'layout')
  if kept and kept ~= ARGV[1] then return {-1, kept} end
  local lineage = redis.call('HGET', key, 'lineage')
  redis.call('HSET', key, 'layout', unpack(ARGV))
  if lineage then
    redis.call('HSET', key, 'lineage', lineage)
  elseif kept then
    redis.call('HDEL', key, 'lineage')
    redis.call('HSET', key, 'format', '1')
  end
end
return {created and 1 or 0, redis.call('HGETALL', key)}
