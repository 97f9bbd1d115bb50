-- Removes the record of an index, atomically for all clients.
-- KEYS: catalog, then the other keys of the index. ARGV[1]: 'keep' keeps the fields by which documents are read:
-- slots, layout and lineage.
-- Returns 1 if there was an index or kept documents, else 0.

local key, keep = KEYS[1], ARGV[1] == 'keep'
local generation = redis.call('HGET', key, 'generation')
local kept = redis.call('HGET', key, 'layout')
local lineage = redis.call('HGET', key, 'lineage') or ''
local engine = redis.call('HGET', key, 'engine')
local searched = redis.call('HGET', key, 'renewal') or generation
for _, field in ipairs(redis.call('HKEYS', key)) do
  local needed = keep and (field == 'layout' or field == 'lineage' or string.sub(field, 1, 4) == 'slot')
  if not needed and string.sub(field, 1, 9) ~= 'removing:' then redis.call('HDEL', key, field) end
end
if keep then return generation and 1 or 0 end
for i = 2, #KEYS do redis.call('DEL', KEYS[i]) end
-- A native index has no index of the search module to drop.
if generation or kept then
  redis.call('HSET', key, 'removing:' .. lineage, engine == 'search' and searched or '')
end
return (generation or kept) and 1 or 0
