-- Removes the catalog entry of an index that was just created, unless it was dropped or created again.
-- KEYS: catalog. ARGV: generation, 'keep' for an index whose documents are older than it: slots, layout and lineage stay.
-- Returns 1 if it was removed, else 0.

local key = KEYS[1]
if redis.call('HGET', key, 'generation') ~= ARGV[1] then return 0 end
for _, field in ipairs(redis.call('HKEYS', key)) do
  local kept = field == 'layout' or field == 'lineage' or string.sub(field, 1, 4) == 'slot'
  if not (kept and ARGV[2] == 'keep') and string.sub(field, 1, 9) ~= 'removing:' then
    redis.call('HDEL', key, field)
  end
end
return 1
