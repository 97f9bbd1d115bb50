-- Leases the next item. KEYS: settings, order, state, leases, tokens. ARGV[2]: milliseconds until the lease ends.
-- ARGV[3]: the token of the lease. Returns the item, '1' if an earlier lease of it ended without being completed, and
-- when the lease ends; nothing if no item is free.
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
local ends = string.format('%.0f', now + tonumber(ARGV[2]))

local function lease(item, again)
  redis.call('ZADD', KEYS[4], ends, item)
  redis.call('HSET', KEYS[5], item, ARGV[3])
  return {item, again, ends}
end

-- First of all the items of workers that died, the longest ended first.
while true do
  local ended = redis.call('ZRANGE', KEYS[4], '-inf', string.format('%.0f', now), 'BYSCORE', 'LIMIT', 0, 1)[1]
  if not ended then break end
  if redis.call('ZSCORE', KEYS[2], ended) then return lease(ended, '1') end
  redis.call('ZREM', KEYS[4], ended)
  redis.call('HDEL', KEYS[5], ended)
end

-- Then the next free one after the item that was taken last, and round again.
local cursor = redis.call('HGET', KEYS[3], 'cursor') or '0'
local function next_free(from, to)
  local offset = 0
  while true do
    local items = redis.call('ZRANGE', KEYS[2], from, to, 'BYSCORE', 'LIMIT', offset, 50, 'WITHSCORES')
    if #items == 0 then return nil end
    for i = 1, #items, 2 do
      if not redis.call('ZSCORE', KEYS[4], items[i]) then return items[i], items[i + 1] end
    end
    offset = offset + 50
  end
end
local item, position = next_free('(' .. cursor, '+inf')
if not item then item, position = next_free('-inf', cursor) end
if not item then return {} end
redis.call('HSET', KEYS[3], 'cursor', position)
return lease(item, '0')
