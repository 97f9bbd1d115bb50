-- KEYS: settings, items. ARGV[2]: '1' repairs. ARGV[3]: how many items to keep. ARGV[4..]: items that are not readable.
local mend, found = ARGV[2] == '1', {}
for i = 4, #ARGV do
  if redis.call('LPOS', KEYS[2], ARGV[i]) then
    found[#found + 1] = {'unreadable item', ARGV[i]}
    if mend then redis.call('LREM', KEYS[2], 0, ARGV[i]) end
  end
end
if redis.call('LLEN', KEYS[2]) > tonumber(ARGV[3]) then
  found[#found + 1] = {'too long', KEYS[2]}
  if mend then redis.call('LTRIM', KEYS[2], 0, tonumber(ARGV[3]) - 1) end
end
return found
