#!lua flags=no-writes
-- Reads records by id, if the index has not changed.
-- KEYS, ARGV[1] to ARGV[3]: those of begin.lua.
-- ARGV[4]: the sequence number that the caller knows ('': any). ARGV[5]: number of fields. After it: fields, then ids.
-- Returns {0} if the index has changed, else {1, now in ms, values or nil for each id}.

if ARGV[4] ~= '' and state[3] ~= ARGV[4] then return {0} end
local wanted, rows = tonumber(ARGV[5]), {}
for i = 6 + wanted, #ARGV do
  local values = try('HMGET', prefix .. ARGV[i], unpack(ARGV, 6, 5 + wanted))
  rows[#rows + 1] = not values.err and values or false
end
return {1, now, rows}
