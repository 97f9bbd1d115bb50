#!lua flags=allow-oom
-- Deletes records.
-- KEYS, ARGV[1] to ARGV[3]: those of begin.lua; KEYS[5] and after: the records.
-- ARGV[4]: 'exact' or ''. With 'exact', ARGV[5] and after: the version that each record must have ('': none).
-- Returns {'ok', removed}, or {'foreign', key, its type}, and then nothing was removed. With 'exact', foreign keys stay.

local exact, removed = ARGV[4] == 'exact', 0
local kinds, versions = {}, {}
for i = 5, #KEYS do
  kinds[i], versions[i] = look(KEYS[i])
  if kinds[i] == 'foreign' and not exact then
    return {'foreign', KEYS[i], call('TYPE', KEYS[i]).ok}
  end
end
for i = 5, #KEYS do
  local id = string.sub(KEYS[i], #prefix + 1)
  if kinds[i] ~= 'own' then
    gone(id)
  elseif not exact or versions[i] == ARGV[i] then
    removed = removed + call('UNLINK', KEYS[i])
    gone(id)
  end
end
finish()
return {'ok', removed}
