-- Prelude after begin.lua: load(ids, from, wanted) reads records.
-- No KEYS of its own. ARGV[from] and after: names of `wanted` fields, version first.
-- load returns {values, lengths, left}: for each field the values of all records as one string, and their lengths as
-- text, -1 for a missing value ('' if all are missing); and the milliseconds left of each record as text (< 0: no end).
-- A key of another type has no values. The time to live is only requested if no field of the record has it.

local function load(ids, from, wanted)
  local values, lengths, left = {}, {}, {}
  for j = 1, wanted do values[j], lengths[j] = {}, {} end
  for i, id in ipairs(ids) do
    local key = prefix .. id
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
      lengths[j][i] = value and #value or -1
      if value then values[j][#values[j] + 1] = value end
    end
  end
  for j = 1, wanted do
    lengths[j] = #values[j] > 0 and table.concat(lengths[j], ' ') or ''
    values[j] = table.concat(values[j])
  end
  return {values, lengths, table.concat(left, ' ')}
end
