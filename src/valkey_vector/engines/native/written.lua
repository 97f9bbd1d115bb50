-- Prelude after begin.lua: written() counts the changes of the whole server.
-- No KEYS or ARGV of its own.
-- written() returns how many changes the server counted since its last save, by any client, and the time of that save.
-- It returns nil and '' if the server does not report them.

local function written()
  local info = try('INFO', 'persistence')
  if type(info) ~= 'string' then return nil, '' end
  local _, count = string.find(info, 'rdb_changes_since_last_save:', 1, true)
  local _, saved = string.find(info, 'rdb_last_save_time:', 1, true)
  if not count or not saved then return nil, '' end
  return tonumber(string.match(info, '^%d+', count + 1)), string.match(info, '^%d+', saved + 1)
end
