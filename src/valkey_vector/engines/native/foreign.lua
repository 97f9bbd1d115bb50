#!lua flags=no-writes
-- Finds the first key that is not a record.
-- KEYS, ARGV[1] to ARGV[3]: those of begin.lua; KEYS[5] and after: the records.
-- Returns {'foreign', key, its type}, or {'ok'}.

for i = 5, #KEYS do
  if look(KEYS[i]) == 'foreign' then return {'foreign', KEYS[i], call('TYPE', KEYS[i]).ok} end
end
return {'ok'}
