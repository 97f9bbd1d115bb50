-- Shared by the scripts of Completion. KEYS[2]: terms. KEYS[3]: ranked.
-- An entry of the terms is <normal form> 00 01 <frequency, 12 digits> <original>. In ranked the same entry follows one
-- byte: 255 less its level, so the highest level comes first.
local LARGEST = 999999999999

-- Frequencies up to 15 have a level each; above, every doubling has one.
local function level_of(frequency)
  if frequency < 16 then return frequency end
  local _, exponent = math.frexp(frequency)
  return 11 + exponent
end

local function rank_of(frequency) return string.char(255 - level_of(frequency)) end

-- The entry with a normal form, if there is one, its frequency and its original. The normal form ends in 00 01.
local function find(normal)
  local after = '(' .. string.sub(normal, 1, -2) .. '\2'
  local entry = redis.call('ZRANGE', KEYS[2], '[' .. normal, after, 'BYLEX', 'LIMIT', 0, 1)[1]
  if not entry then return nil, 0, nil end
  return entry, tonumber(string.sub(entry, #normal + 1, #normal + 12)), string.sub(entry, #normal + 13)
end

local function remove(entry, frequency)
  redis.call('ZREM', KEYS[2], entry)
  redis.call('ZREM', KEYS[3], rank_of(frequency) .. entry)
end

local function put(normal, frequency, original)
  local entry = normal .. string.format('%012.0f', frequency) .. original
  redis.call('ZADD', KEYS[2], 0, entry)
  redis.call('ZADD', KEYS[3], 0, rank_of(frequency) .. entry)
  return entry
end
