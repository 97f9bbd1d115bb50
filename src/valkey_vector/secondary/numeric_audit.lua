-- Looks at members that had a score. Such a member has nothing in the other two keys.
-- KEYS: settings, scores, entries, held. ARGV[2]: '1' repairs.
-- ARGV[3..]: for each 's' and the member, or 'x' and a member that is not readable.
local mend, found = ARGV[2] == '1', {}
for i = 3, #ARGV, 2 do
  local kind, member = ARGV[i], ARGV[i + 1]
  if redis.call('ZSCORE', KEYS[2], member) then
    local held = redis.call('HGET', KEYS[4], member)
    if kind == 'x' then
      found[#found + 1] = {'unreadable member', member}
      if mend then redis.call('ZREM', KEYS[2], member) end
    elseif held then
      -- Which of the two is newer, nobody can tell. The score stays.
      found[#found + 1] = {'two values', member}
      if mend then
        redis.call('HDEL', KEYS[4], member)
        redis.call('ZREM', KEYS[3], held .. member)
      end
    end
  end
end
return found
