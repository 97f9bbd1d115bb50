-- Compares order, state, leases and tokens. KEYS: settings, order, state, leases, tokens. ARGV[2]: '1' repairs.
-- ARGV[3..]: a kind and an item each: 'x' an item that is not readable, 'o' one of the order, 'l' of the leases,
-- 't' of the tokens, 's' for the state, with nothing.
local mend, found = ARGV[2] == '1', {}

local function whole(text) return string.match(text, '^%d+$') ~= nil and #text < 16 end

local function problem(kind, item) found[#found + 1] = {kind, item} end

for i = 3, #ARGV, 2 do
  local kind, item = ARGV[i], ARGV[i + 1]
  local position = redis.call('ZSCORE', KEYS[2], item)
  local leased = redis.call('ZSCORE', KEYS[4], item)
  local token = redis.call('HGET', KEYS[5], item)
  if kind == 'x' and position then
    problem('unreadable item', item)
    if mend then redis.call('ZREM', KEYS[2], item) end
  elseif kind == 'o' and position then
    local last = redis.call('HGET', KEYS[3], 'last') or '0'
    if not whole(position) then
      problem('wrong place', item)
      if mend then redis.call('ZADD', KEYS[2], redis.call('HINCRBY', KEYS[3], 'last', 1), item) end
    elseif whole(last) and tonumber(position) > tonumber(last) then
      -- The next item to be added would get a place before this one.
      problem('place beyond the last', item)
      if mend then redis.call('HSET', KEYS[3], 'last', position) end
    end
  elseif kind == 's' then
    for _, field in ipairs({'last', 'cursor'}) do
      local there = redis.call('HGET', KEYS[3], field)
      if there and not whole(there) then
        problem('unreadable state', field)
        -- Every item of the order then has a place beyond the last, and the rotation begins with the first one.
        if mend then redis.call('HDEL', KEYS[3], field) end
      end
    end
  elseif kind == 'l' and leased then
    if not position then
      problem('stray lease', item)
      if mend then
        redis.call('ZREM', KEYS[4], item)
        redis.call('HDEL', KEYS[5], item)
      end
    elseif not token then
      -- Its holder cannot complete it any more. The next caller gets the item.
      problem('lease without token', item)
      if mend then
        redis.call('ZADD', KEYS[4], 0, item)
        redis.call('HSET', KEYS[5], item, '')
      end
    end
  elseif kind == 't' and token and not leased then
    problem('stray token', item)
    if mend then redis.call('HDEL', KEYS[5], item) end
  end
end
return found
