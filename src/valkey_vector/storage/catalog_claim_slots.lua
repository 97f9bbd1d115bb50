-- Assigns numeric slots to metadata keys. A slot stays with its key as long as the index lives.
-- KEYS: catalog. ARGV: generation, size of the pool, then keys as <kind>:<path>.
-- Returns the slot of each key, '-1' if the pool is spent, which is noted once for the index; or the error STALE.

local key = KEYS[1]
if redis.call('HGET', key, 'generation') ~= ARGV[1] then return redis.error_reply('STALE') end
local pool = tonumber(ARGV[2])
local result = {}
for i = 3, #ARGV do
  local field = 'slot:' .. ARGV[i]
  local slot = redis.call('HGET', key, field)
  if not slot then
    local used = tonumber(redis.call('HGET', key, 'slots_used') or '0')
    if used < pool then
      slot = tostring(used)
      redis.call('HSET', key, field, slot, 'slots_used', used + 1)
    else
      slot = '-1'
      redis.call('HSET', key, 'slots_spent', '1')
    end
  end
  result[#result + 1] = slot
end
return result
