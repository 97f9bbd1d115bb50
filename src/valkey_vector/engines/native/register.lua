#!lua flags=allow-oom
-- Adds records to the log that it lacks.
-- KEYS, ARGV[1] to ARGV[3]: those of begin.lua. ARGV[4] and after: ids of records. Returns 1.

for i = 4, #ARGV do
  local key, id = prefix .. ARGV[i], ARGV[i]
  if look(key) == 'own' and not number_of(id) then
    changed(id)
    local left = call('PTTL', key)
    if left >= 0 then expires(id, now + left + 1) end
  end
end
finish()
return 1
