#!lua
-- Replaces the metadata of one record that has not changed since it was read.
-- KEYS, ARGV[1] to ARGV[3]: those of begin.lua; KEYS[5]: the record.
-- ARGV[4]: the version that was read ('': none). ARGV[5]: the metadata that was read. ARGV[6]: how many more fields to
-- remove. ARGV[7] and after: their names, then new fields and values in turn.
-- Returns 1, 0 if the record has changed, -1 if it is gone.

local key = KEYS[5]
local kind, version = look(key)
if kind ~= 'own' then return -1 end
if version ~= ARGV[4] then return 0 end
if version == '' and call('HGET', key, 'metadata') ~= ARGV[5] then return 0 end
for _, field in ipairs(call('HKEYS', key)) do
  if field == 'tags' or string.find(field, '^n%d+$') or string.find(field, '^f_')
    or string.find(field, '^words_') or string.find(field, '^stems_') or string.find(field, '^length_') then
    call('HDEL', key, field)
  end
end
local removed = tonumber(ARGV[6])
for i = 7, 6 + removed do call('HDEL', key, ARGV[i]) end
call('HSET', key, unpack(ARGV, 7 + removed))
changed(string.sub(key, #prefix + 1))
finish()
return 1
