-- Removes members. KEYS: settings, scores, entries, held. ARGV[2..]: the members.
local removed = 0
for i = 2, #ARGV do
  local member = ARGV[i]
  local there = redis.call('ZREM', KEYS[2], member)
  local before = redis.call('HGET', KEYS[4], member)
  if before then
    redis.call('ZREM', KEYS[3], before .. member)
    redis.call('HDEL', KEYS[4], member)
    there = 1
  end
  removed = removed + there
end
return removed
