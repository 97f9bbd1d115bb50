-- Removes triples from all six orders. KEYS: settings, entries. ARGV[2..]: subject, predicate and object of each.
-- Returns how many were there.
local removed = 0
for i = 2, #ARGV, 3 do
  local e = orders_of(ARGV[i], ARGV[i + 1], ARGV[i + 2])
  if redis.call('ZREM', KEYS[2], e[1], e[2], e[3], e[4], e[5], e[6]) > 0 then removed = removed + 1 end
end
return removed
