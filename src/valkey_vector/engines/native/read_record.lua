-- Prelude after begin.lua: load(ids, from, wanted) reads records.
-- No KEYS of its own. ARGV[from] and after: names of `wanted` fields, version first.
-- load returns {values, positions, left}: for each field the values that are not missing, and as text for which records
-- they are, counted from 1 ('': all, or none); and as text the milliseconds left of each record (< 0: no end).
-- A key of another type has no values. The time to live is only requested if no field of the record has it.

local function load(ids, from, wanted)
  local values, positions, counts, left = {}, {}, {}, {}
  for j = 1, wanted do values[j], positions[j], counts[j] = {}, {}, 0 end
  for i = 1, #ids do
    local key = prefix .. ids[i]
    local read = try('HMGET', key, unpack(ARGV, from, from + wanted - 1))
    left[i] = -1
    if read.err then read = {} else
      local version = read[1]
      if not version or string.find(version, ':%l*s%l*$') or string.find(version, ':%l*s%l*;') then
        local ms = try('PTTL', key)
        if type(ms) == 'number' then left[i] = ms end
      end
    end
    for j = 1, wanted do
      local value = read[j]
      if value then
        local n = counts[j] + 1
        counts[j], values[j][n], positions[j][n] = n, value, i
      end
    end
  end
  for j = 1, wanted do
    positions[j] = counts[j] < #ids and table.concat(positions[j], ' ') or ''
  end
  return {values, positions, table.concat(left, ' ')}
end
