#!lua flags=no-writes
-- Reads records by id.
-- KEYS, ARGV[1] to ARGV[3]: those of begin.lua.
-- ARGV[4]: number of fields. After it: fields, version first, then ids.
-- Returns {values or nil, ms left or < 0} for each id.

local wanted, rows = tonumber(ARGV[4]), {}
for i = 5 + wanted, #ARGV do
  local values, left = load(ARGV[i], 5, wanted)
  rows[#rows + 1] = {values, left}
end
return rows
