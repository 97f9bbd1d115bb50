-- Puts members at new positions. KEYS: settings, entries, held.
-- ARGV[2..]: for each member the member, and the encoding that its entry begins with. Returns how many are new.
local added = 0
for i = 2, #ARGV, 2 do
  local member, part = ARGV[i], ARGV[i + 1]
  local before = redis.call('HGET', KEYS[3], member)
  if not before then added = added + 1 end
  redis.call('ZADD', KEYS[2], 0, part .. member)
  redis.call('HSET', KEYS[3], member, part)
  if before and before ~= part then redis.call('ZREM', KEYS[2], before .. member) end
end
return added
