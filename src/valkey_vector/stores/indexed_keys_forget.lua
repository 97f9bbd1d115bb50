-- Prelude: forget(key) removes a key from the records and both orders.
-- KEYS: clock, records (a hash: key -> time:group), times, groups.

local function forget(key)
  local record = redis.call('HGET', KEYS[2], key)
  if not record then return end
  local micros, group = string.match(record, '^(%d+):(.*)$')
  redis.call('HDEL', KEYS[2], key)
  redis.call('ZREM', KEYS[3], key)
  redis.call('ZREM', KEYS[4], group .. ':' .. string.format('%020.0f', tonumber(micros)) .. ':' .. key)
end
