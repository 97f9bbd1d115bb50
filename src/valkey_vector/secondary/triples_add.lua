-- Adds triples in all six orders. KEYS: settings, entries. ARGV[2..]: subject, predicate and object of each.
-- Returns how many are new.
local added = 0
for i = 2, #ARGV, 3 do
  local e = orders_of(ARGV[i], ARGV[i + 1], ARGV[i + 2])
  local new = redis.call('ZADD', KEYS[2], 0, e[1], 0, e[2], 0, e[3], 0, e[4], 0, e[5], 0, e[6])
  if new > 0 then added = added + 1 end
end
return added
