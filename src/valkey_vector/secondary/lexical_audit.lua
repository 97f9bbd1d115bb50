-- Compares entries with the form they should have.
-- KEYS: settings, entries. ARGV[2]: '1' repairs. ARGV[3..]: entry, and the entry it should be; nothing for one that is
-- not readable.
local mend, found = ARGV[2] == '1', {}
for i = 3, #ARGV, 3 do
  local entry, kind, proper = ARGV[i], ARGV[i + 1], ARGV[i + 2]
  local score = redis.call('ZSCORE', KEYS[2], entry)
  if score and kind == 'unreadable' then
    found[#found + 1] = {'unreadable entry', entry}
    if mend then redis.call('ZREM', KEYS[2], entry) end
  elseif score and entry ~= proper then
    found[#found + 1] = {'stale normal form', entry}
    if mend then
      redis.call('ZREM', KEYS[2], entry)
      redis.call('ZADD', KEYS[2], 0, proper)
    end
  elseif score and tonumber(score) ~= 0 then
    found[#found + 1] = {'wrong score', entry}
    if mend then redis.call('ZADD', KEYS[2], 0, entry) end
  end
end
return found
