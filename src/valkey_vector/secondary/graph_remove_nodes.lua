-- Removes nodes that no relation needs. KEYS: settings, entries, nodes.
-- ARGV[2..]: for each its id, and the id with its end mark. Returns for each 1 if it was removed, 0 if it was not there, and
-- 2 if a relation needs it.
local outcomes = {}
for i = 2, #ARGV, 2 do
  local id, term = ARGV[i], ARGV[i + 1]
  local after = string.sub(term, 1, -2) .. '\2'
  local needed = redis.call('ZLEXCOUNT', KEYS[2], '[s' .. term, '(s' .. after)
    + redis.call('ZLEXCOUNT', KEYS[2], '[o' .. term, '(o' .. after)
  outcomes[#outcomes + 1] = needed > 0 and 2 or redis.call('HDEL', KEYS[3], id)
end
return outcomes
