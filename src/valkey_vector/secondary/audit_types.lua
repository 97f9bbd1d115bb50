-- Checks that the settings are recorded, and that every key holds the type it should.
-- KEYS[2..]: the index's keys. ARGV[2]: '1' repairs. ARGV[3..]: the type of each key.
local mend, found, any = ARGV[2] == '1', {}, false
for i = 2, #KEYS do
  local there = redis.call('TYPE', KEYS[i]).ok
  if there ~= 'none' then
    any = true
    if there ~= ARGV[i + 1] then
      found[#found + 1] = {'wrong type', KEYS[i]}
      if mend then redis.call('UNLINK', KEYS[i]) end
    end
  end
end
-- A writing script has recorded the settings already, and left no trace of their absence.
if any and redis.call('EXISTS', KEYS[1]) == 0 then
  found[#found + 1] = {'settings lost', KEYS[1]}
end
return found
