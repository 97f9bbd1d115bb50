-- Removes members, of which only the name is known. KEYS: settings, entries, held. ARGV[2..]: the members.
local removed = 0
for i = 2, #ARGV do
  local before = redis.call('HGET', KEYS[3], ARGV[i])
  if before then
    redis.call('ZREM', KEYS[2], before .. ARGV[i])
    redis.call('HDEL', KEYS[3], ARGV[i])
    removed = removed + 1
  end
end
return removed
