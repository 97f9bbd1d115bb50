-- Sets the numbers of members.
-- KEYS: settings, scores, entries, held. ARGV[2..]: for each member the member, 's' or 'l', and the number: as a
-- score, or as the encoding that an entry begins with. A member is in exactly one of the two sets.
local added = 0
for i = 2, #ARGV, 3 do
  local member, form, value = ARGV[i], ARGV[i + 1], ARGV[i + 2]
  local before = redis.call('HGET', KEYS[4], member)
  local new = not before
  if form == 's' then
    if before then
      redis.call('ZREM', KEYS[3], before .. member)
      redis.call('HDEL', KEYS[4], member)
    end
    local created = redis.call('ZADD', KEYS[2], value, member)
    new = new and created == 1
  else
    redis.call('ZADD', KEYS[3], 0, value .. member)
    redis.call('HSET', KEYS[4], member, value)
    if before and before ~= value then redis.call('ZREM', KEYS[3], before .. member) end
    if redis.call('ZREM', KEYS[2], member) == 1 then new = false end
  end
  if new then added = added + 1 end
end
return added
