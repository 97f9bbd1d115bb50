-- Compares entries with the records of what is held. Called with entries, with held members, or with both.
-- KEYS: settings, entries, held. ARGV[2]: '1' repairs. ARGV[3..]: for each thing to look at a kind, and two texts:
--   'e' the part of an entry before its member, and the member
--   'x' an entry that has no such parts, and nothing
--   'h' a held member, and nothing
--   'y' a held member whose record is not readable, and nothing
local mend, found = ARGV[2] == '1', {}

local function problem(kind, detail) found[#found + 1] = {kind, detail} end

local function look_at_entry(part, member)
  local entry = part .. member
  local score = redis.call('ZSCORE', KEYS[2], entry)
  if not score then return end -- removed meanwhile
  local held = redis.call('HGET', KEYS[3], member)
  if not held then
    -- The entry holds all that the record would.
    problem('missing record', member)
    if mend then redis.call('HSET', KEYS[3], member, part) end
  elseif held ~= part then
    problem('stale entry', entry)
    if mend then redis.call('ZREM', KEYS[2], entry) end
    return
  end
  if tonumber(score) ~= 0 then
    problem('wrong score', entry)
    if mend then redis.call('ZADD', KEYS[2], 0, entry) end
  end
end

for i = 3, #ARGV, 3 do
  local kind, first, second = ARGV[i], ARGV[i + 1], ARGV[i + 2]
  if kind == 'e' then
    look_at_entry(first, second)
  elseif kind == 'x' then
    if redis.call('ZSCORE', KEYS[2], first) then
      problem('unreadable entry', first)
      if mend then redis.call('ZREM', KEYS[2], first) end
    end
  elseif kind == 'h' then
    local held = redis.call('HGET', KEYS[3], first)
    if held and not redis.call('ZSCORE', KEYS[2], held .. first) then
      problem('missing entry', first)
      if mend then redis.call('ZADD', KEYS[2], 0, held .. first) end
    end
  elseif kind == 'y' then
    local held = redis.call('HGET', KEYS[3], first)
    if held then
      problem('unreadable record', first)
      if mend then
        redis.call('HDEL', KEYS[3], first)
        redis.call('ZREM', KEYS[2], held .. first)
      end
    end
  end
end
return found
