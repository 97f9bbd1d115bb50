-- Takes the locks of ids, all or none. See locks.py for the fields.
-- KEYS: locks. ARGV: token, milliseconds until they lapse, then ids.
-- Returns an id that another client holds, or nil: all locks are taken. A lock that lapsed, and so is taken over, is marked.

local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
local over = {}
for i = 3, #ARGV do
  local held = redis.call('HGET', KEYS[1], ARGV[i])
  if held and tonumber(string.match(held, '[0-9]+$')) > now then return ARGV[i] end
  over[i] = held and 'over ' or ''
end
local lapses = string.format('%.0f', now + tonumber(ARGV[2]))
for i = 3, #ARGV do
  redis.call('HSET', KEYS[1], ARGV[i], ARGV[1] .. ' ' .. over[i] .. lapses)
end
return false
