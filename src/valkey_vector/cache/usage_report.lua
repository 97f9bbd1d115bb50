-- Applies buffered counts and uses, and chooses the entries to evict.
-- KEYS: counts, uses, ends.
-- ARGV[1]: policy ('': entries are not registered). Then lists, each after its length:
--   counts: name, amount
--   evicted entries: id, the score they were chosen by
--   used entries: id, milliseconds to live from now on (0: does not expire)
--   stored entries: id, milliseconds to live
-- At the end, if room is needed: id, milliseconds to live, maximum number of entries.
-- Returns {time in microseconds, ids and scores of the entries to evict}.

local stats, uses, ends, policy = KEYS[1], KEYS[2], KEYS[3], ARGV[1]
local at = 1
local function take() at = at + 1 return ARGV[at] end
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
for _ = 1, tonumber(take()) do
  local name, amount = take(), take()
  -- A count that is not a number, or would become infinite, restarts from zero, so that entries can still be stored.
  if type(redis.pcall('HINCRBYFLOAT', stats, name, amount)) == 'table' then
    redis.call('HDEL', stats, name)
    redis.pcall('HINCRBYFLOAT', stats, name, amount)
  end
end
local floor = tonumber(redis.call('HGET', stats, '_floor') or '0') or 0
for _ = 1, tonumber(take()) do
  local id, score = take(), take()
  if redis.call('ZSCORE', uses, id) == score then
    redis.call('ZREM', uses, id)
    redis.call('ZREM', ends, id)
    floor = math.max(floor, tonumber(score))
    redis.call('HSET', stats, '_floor', string.format('%.17g', floor))
  end
end
local function use(id)
  local clock = redis.call('HINCRBY', stats, '_clock', 1)
  local score = clock
  if policy == 'lfu' then
    local before = tonumber(redis.call('ZSCORE', uses, id) or '0')
    score = math.floor(math.max(before, floor)) + 1 + (clock % 2147483648) / 2147483648
  end
  redis.call('ZADD', uses, string.format('%.17g', score), id)
end
local function last(id, lasts)
  if lasts > 0 then redis.call('ZADD', ends, string.format('%.0f', now + lasts), id) end
end
for _ = 1, tonumber(take()) do
  local id, lasts = take(), tonumber(take())
  if redis.call('ZSCORE', uses, id) then
    use(id)
    last(id, lasts)
  end
end
for _ = 1, tonumber(take()) do
  local id, lasts = take(), tonumber(take())
  if not redis.call('ZSCORE', uses, id) then
    use(id)
    last(id, lasts)
  end
end
local victims = {}
local id = take()
if id then
  local lasts, most = tonumber(take()), tonumber(take())
  local gone = redis.call('ZRANGEBYSCORE', ends, '-inf', now, 'LIMIT', 0, 100)
  for _, expired in ipairs(gone) do
    redis.call('ZREM', uses, expired)
    redis.call('ZREM', ends, expired)
  end
  if not redis.call('ZSCORE', uses, id) then
    local excess = redis.call('ZCARD', uses) + 1 - most
    if excess > 0 then
      victims = redis.call('ZRANGE', uses, 0, math.min(excess, 1000) - 1, 'WITHSCORES')
    end
  end
  redis.call('ZREM', ends, id)
  use(id)
  last(id, lasts)
end
return {string.format('%.0f', tonumber(time[1]) * 1000000 + tonumber(time[2])), victims}
