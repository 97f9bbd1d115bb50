-- Counts texts. KEYS: settings, terms, ranked.
-- ARGV[2]: how many texts there may be. ARGV[3..]: for each text its normal form, the text, how often, and a random
-- number from 0 to 1. Returns the new frequencies.
local most, frequencies = tonumber(ARGV[2]), {}

-- Makes room: removes one of those on the lowest level, which one the random number decides.
local function evict(chance)
  local last = redis.call('ZRANGE', KEYS[3], -1, -1)[1]
  local lowest = string.sub(last, 1, 1)
  local count = redis.call('ZLEXCOUNT', KEYS[3], '[' .. lowest, '+')
  local size = redis.call('ZCARD', KEYS[3])
  local at = size - count + math.floor(chance * count)
  local chosen = redis.call('ZRANGE', KEYS[3], at, at)[1]
  redis.call('ZREM', KEYS[3], chosen)
  redis.call('ZREM', KEYS[2], string.sub(chosen, 2))
end

for i = 3, #ARGV, 4 do
  local normal, original, count, chance = ARGV[i], ARGV[i + 1], tonumber(ARGV[i + 2]), tonumber(ARGV[i + 3])
  local entry, before = find(normal)
  if not entry then
    -- One as a rule. More if the index was opened with a lower bound, but few at a time: a script blocks the server.
    for _ = 1, 10 do
      if redis.call('ZCARD', KEYS[2]) >= most and redis.call('ZCARD', KEYS[3]) > 0 then evict(chance) end
    end
  end
  local frequency = math.min(before + count, LARGEST)
  if put(normal, frequency, original) ~= entry and entry then remove(entry, before) end
  frequencies[#frequencies + 1] = frequency
end
return frequencies
