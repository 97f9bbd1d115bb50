#!lua flags=no-writes
-- Reads records by id.
-- KEYS, ARGV[1] to ARGV[3]: those of begin.lua.
-- ARGV[4]: number of fields. After it: fields, version first, then ids.
-- Returns what load of read_record.lua returns.

local wanted, ids = tonumber(ARGV[4]), {}
for i = 5 + wanted, #ARGV do ids[#ids + 1] = ARGV[i] end
return load(ids, 5, wanted)
