-- Members that are not readable. KEYS: settings, members. ARGV[2]: '1' repairs. ARGV[3..]: such members.
local mend, found = ARGV[2] == '1', {}
for i = 3, #ARGV do
  if redis.call('SISMEMBER', KEYS[2], ARGV[i]) == 1 then
    found[#found + 1] = {'unreadable member', ARGV[i]}
    if mend then redis.call('SREM', KEYS[2], ARGV[i]) end
  end
end
return found
