-- Prelude after begin.lua: load(id, from, wanted) reads a record.
-- No KEYS of its own. ARGV[from] and after: names of `wanted` fields, version first.
-- load returns the values (false for a key of another type) and the milliseconds left (< 0: no end). The time to live
-- is only requested if no field of the record has it.

local function load(id, from, wanted)
  local key = prefix .. id
  local values = try('HMGET', key, unpack(ARGV, from, from + wanted - 1))
  if values.err then return false, -1 end
  local version, left = values[1], -1
  if not version or string.find(version, ':%l*s%l*$') or string.find(version, ':%l*s%l*;') then
    left = try('PTTL', key)
    if type(left) ~= 'number' then left = -1 end
  end
  return values, left
end
