#!lua flags=no-writes
-- Lists the keys of groups, within each group by time.
-- KEYS: groups. ARGV: the earliest and the latest time in microseconds, limit (-1: all), then groups. Returns keys.

local earliest, latest = tonumber(ARGV[1]), tonumber(ARGV[2])
local rest, found = tonumber(ARGV[3]), {}
for i = 4, #ARGV do
  if rest == 0 then break end
  local from = '[' .. ARGV[i] .. ':' .. string.format('%020.0f', earliest) .. ':'
  local to = '(' .. ARGV[i] .. ':' .. string.format('%020.0f', latest) .. ';'
  local members = redis.call('ZRANGE', KEYS[1], from, to, 'BYLEX', 'LIMIT', 0, rest)
  for _, member in ipairs(members) do found[#found + 1] = string.sub(member, #ARGV[i] + 23) end
  if rest > 0 then rest = rest - #members end
end
return found
