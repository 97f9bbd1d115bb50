-- Records lineages as pending removals, if the index still has the generation of the caller.
-- KEYS: catalog. ARGV: generation, then lineages. Returns 1, or 0 without any change for another generation.

if redis.call('HGET', KEYS[1], 'generation') ~= ARGV[1] then return 0 end
for i = 2, #ARGV do
  local field = 'removing:' .. ARGV[i]
  if redis.call('HEXISTS', KEYS[1], field) == 0 then redis.call('HSET', KEYS[1], field, '') end
end
return 1
