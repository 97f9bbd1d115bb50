-- Assigns numeric slots to metadata keys. Bindings never change during the life of an index.
-- KEYS: catalog. ARGV: generation, size of the pool, then keys as <kind>:<path>.
-- Returns the slot of each key, '-1' if all slots are taken, which the catalog records; or the error STALE.

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
