-- Removes relations; their nodes stay. KEYS: settings, entries, relations.
-- ARGV[2..]: subject, predicate and object of each, with their end marks. Returns how many were there.
local removed = 0
for i = 2, #ARGV, 3 do
  local s, p, o = ARGV[i], ARGV[i + 1], ARGV[i + 2]
  local e = orders_of(s, p, o)
  local there = redis.call('ZREM', KEYS[2], e[1], e[2], e[3], e[4], e[5], e[6])
  there = there + redis.call('HDEL', KEYS[3], s .. p .. o)
  if there > 0 then removed = removed + 1 end
end
return removed
