-- Adds relations, and the nodes that they need. KEYS: settings, entries, nodes, relations.
-- ARGV[2..]: for each: subject, predicate and object with their end marks, the data, the subject's id and the data of a
-- node to make of it if there is none, and likewise the object's. Returns how many relations are new.
local added = 0
for i = 2, #ARGV, 8 do
  local s, p, o, data = ARGV[i], ARGV[i + 1], ARGV[i + 2], ARGV[i + 3]
  redis.call('HSETNX', KEYS[3], ARGV[i + 4], ARGV[i + 5])
  redis.call('HSETNX', KEYS[3], ARGV[i + 6], ARGV[i + 7])
  if redis.call('HSETNX', KEYS[4], s .. p .. o, data) == 1 then
    local e = orders_of(s, p, o)
    redis.call('ZADD', KEYS[2], 0, e[1], 0, e[2], 0, e[3], 0, e[4], 0, e[5], 0, e[6])
    added = added + 1
  end
end
return added
