-- Prelude after begin.lua: look(key) tells whose a key is.
-- No KEYS or ARGV of its own.
-- look(key) returns 'own' with version and time of creation, 'former' for a record of an index that was dropped,
-- 'absent', or 'foreign'.

local mark = lineage .. ':'
local function look(key)
  local found = try('HMGET', key, 'version', 'created')
  if found.err then return 'foreign' end
  local version, created = found[1], found[2]
  if version and string.sub(version, 1, #mark) == mark then return 'own', version, created end
  if version and string.find(version, '^%x*:[%w_-]+:') then return 'former' end
  if not version and lineage == '' and created and call('HEXISTS', key, 'metadata') == 1 then
    return 'own', '', created
  end
  if not version and call('EXISTS', key) == 0 then return 'absent' end
  return 'foreign'
end
