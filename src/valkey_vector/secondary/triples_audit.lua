-- A triple must be there in all six orders. KEYS: settings, entries. ARGV[2]: '1' repairs.
-- ARGV[3..]: four texts each: an entry that was there, and the terms of its triple; no terms if it is not readable.
local mend, found = ARGV[2] == '1', {}
for i = 3, #ARGV, 4 do
  local entry, s, p, o = ARGV[i], ARGV[i + 1], ARGV[i + 2], ARGV[i + 3]
  if redis.call('ZSCORE', KEYS[2], entry) then
    if s == '' then
      found[#found + 1] = {'unreadable entry', entry}
      if mend then redis.call('ZREM', KEYS[2], entry) end
    else
      for _, one in ipairs(orders_of(s, p, o)) do
        local score = redis.call('ZSCORE', KEYS[2], one)
        if not score or tonumber(score) ~= 0 then
          found[#found + 1] = {score and 'wrong score' or 'missing order', one}
          if mend then redis.call('ZADD', KEYS[2], 0, one) end
        end
      end
    end
  end
end
return found
