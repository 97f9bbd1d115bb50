-- Records that keys were indexed now. After indexed_keys_tick.lua.
-- KEYS: clock, records (a hash: key -> time:group), times, groups.
-- ARGV[1]: the earliest acceptable time in microseconds. ARGV[2] and after: key and group in turn.
-- Returns '', or the server's time in microseconds if it is too early, and then nothing is recorded.

if tonumber(ARGV[1]) > now then return string.format('%.0f', now) end
local micros = string.format('%.0f', now)
redis.call('SET', KEYS[1], micros)
for i = 2, #ARGV, 2 do
  local key, group = ARGV[i], ARGV[i + 1]
  local before = redis.call('HGET', KEYS[2], key)
  redis.call('HSET', KEYS[2], key, micros .. ':' .. group)
  redis.call('ZADD', KEYS[3], micros, key)
  local member = group .. ':' .. string.format('%020.0f', now) .. ':' .. key
  redis.call('ZADD', KEYS[4], 0, member)
  if before then
    local earlier, old_group = string.match(before, '^(%d+):(.*)$')
    local old = old_group .. ':' .. string.format('%020.0f', tonumber(earlier)) .. ':' .. key
    if old ~= member then redis.call('ZREM', KEYS[4], old) end
  end
end
return ''
