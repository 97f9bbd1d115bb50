-- The entries of several ranges, one after the other. KEYS: settings, entries.
-- ARGV[2]: at most so many. ARGV[3..]: lower and upper bounds.
local rest, found = tonumber(ARGV[2]), {}
for i = 3, #ARGV, 2 do
  if rest == 0 then break end
  local entries = redis.call('ZRANGE', KEYS[2], ARGV[i], ARGV[i + 1], 'BYLEX', 'LIMIT', 0, rest)
  for _, entry in ipairs(entries) do found[#found + 1] = entry end
  rest = rest - #entries
end
return found
