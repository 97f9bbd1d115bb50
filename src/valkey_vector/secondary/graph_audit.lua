-- Compares triples, nodes and the data of relations. KEYS: settings, entries, nodes, relations. ARGV[2]: '1' repairs.
-- ARGV[3..]: five texts each:
--   'r' the terms of a field of relations, with their end marks, and nothing
--   'x' such a field that is not readable, and three times nothing
--   't' the terms of a triple, with their end marks; followed by 'n', the ids of its subject and object, and nothing twice
local mend, found = ARGV[2] == '1', {}

local function problem(kind, detail) found[#found + 1] = {kind, detail} end

for i = 3, #ARGV, 5 do
  local kind, a, b, c = ARGV[i], ARGV[i + 1], ARGV[i + 2], ARGV[i + 3]
  local field = a .. b .. c
  if kind == 'r' or kind == 'x' then
    if redis.call('HEXISTS', KEYS[4], field) == 1 and not redis.call('ZSCORE', KEYS[2], 's' .. field) then
      problem('stray relation', field)
      if mend then redis.call('HDEL', KEYS[4], field) end
    end
  elseif kind == 't' and redis.call('ZSCORE', KEYS[2], 's' .. field) then
    if redis.call('HEXISTS', KEYS[4], field) == 0 then
      problem('missing relation', field)
      if mend then redis.call('HSET', KEYS[4], field, '') end
    end
    for at = i + 6, i + 7 do
      if redis.call('HEXISTS', KEYS[3], ARGV[at]) == 0 then
        problem('missing node', ARGV[at])
        if mend then redis.call('HSET', KEYS[3], ARGV[at], '') end
      end
    end
  end
end
return found
