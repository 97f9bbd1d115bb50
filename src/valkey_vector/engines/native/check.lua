#!lua flags=no-writes
-- Finds the ids that are no longer records, if the index has not changed.
-- KEYS, ARGV[1] to ARGV[3]: those of begin.lua.
-- ARGV[4]: the sequence number that the caller knows ('': any). ARGV[5]: 'activity' or ''. ARGV[6], [7]: the lowest and
-- the highest sequence number of records to look up ('': none). ARGV[8] and after: ids of additional ones.
-- Returns {0} if the index has changed, else {1, now in ms, activity, lost ids, number of ids in the range}. While the
-- activity stays the same, no record was removed without an entry in the log; '' if the server does not report it.

if ARGV[4] ~= '' and state[3] ~= ARGV[4] then return {0} end
local function activity()
  local writes, saved = written()
  local stats = try('INFO', 'stats')
  if not writes or type(stats) ~= 'string' then return '' end
  local now = string.format('%.0f ', writes) .. saved
  local parts = {state[7] or '', now == state[8] and '' or now}
  for _, name in ipairs({'expired_keys:', 'evicted_keys:'}) do
    local _, at = string.find(stats, name, 1, true)
    if not at then return '' end
    parts[#parts + 1] = string.match(stats, '^%d+', at + 1)
  end
  return table.concat(parts, ',')
end
local function own(key)
  if lineage == '' then return look(key) == 'own' end
  local version = try('HGET', key, 'version')
  return type(version) == 'string' and string.sub(version, 1, #mark) == mark
end
local lost, seen = {}, 0
local function check(ids, first)
  for i = first, #ids do
    if not own(prefix .. ids[i]) then lost[#lost + 1] = ids[i] end
  end
end
if ARGV[6] ~= '' then
  local logged = call('ZRANGEBYSCORE', KEYS[2], ARGV[6], ARGV[7])
  seen = #logged
  check(logged, 1)
end
check(ARGV, 8)
return {1, now, ARGV[5] ~= '' and activity() or '', lost, seen}
