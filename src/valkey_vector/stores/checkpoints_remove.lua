-- Removes checkpoints, with their writes and the values that no other checkpoint needs.
--
-- ARGV: 'runs' and the runs whose checkpoints go; or 'older', to keep the newest checkpoint of each namespace and the
-- ancestors that its delta channels are made from. Returns how many checkpoints were removed.
local places, records, doomed, removed = {}, {}, {}, 0

local function read_all()
  places = redis.call('ZRANGE', index, 0, -1)
  for _, place in ipairs(places) do records[place] = redis.call('HGET', data, 'c' .. place) end
end

local function parent_and_run(record)
  local _, after = take(record, 1)
  local parent, run
  parent, after = take(record, after)
  run = take(record, after)
  return parent, run
end

-- Marks a checkpoint as kept, and its ancestors as far as its delta channels reach.
local function preserve(place)
  local namespace, looking = namespace_of(place), {}
  doomed[place] = nil
  for _, entry in ipairs((channels_of(records[place]))) do
    if entry[3] == 'd' then looking[entry[1]] = true end
  end
  while next(looking) do
    local parent = parent_and_run(records[place])
    place = namespace .. parent
    if parent == '' or not records[place] or not doomed[place] then return end
    doomed[place] = nil
    for _, entry in ipairs((channels_of(records[place]))) do
      if value_field(namespace, entry) then looking[entry[1]] = nil end
    end
  end
end

-- Removes the doomed ones, then every value and every run that the others do not name.
local function sweep()
  local named = {}
  for _, place in ipairs(places) do
    local record = records[place]
    if doomed[place] then
      for _, task in ipairs(tasks_of(place)) do redis.call('HDEL', data, task_field(place, task)) end
      redis.call('HDEL', data, 'c' .. place, 'w' .. place)
      redis.call('ZREM', index, place)
      removed = removed + 1
    else
      local namespace, run = namespace_of(place), select(2, parent_and_run(record))
      named['r' .. run] = true
      for _, entry in ipairs((channels_of(record))) do
        local field = value_field(namespace, entry)
        if field then named[field] = true end
      end
    end
  end
  if removed == #places then
    redis.call('UNLINK', data)
    return
  end
  for _, field in ipairs(redis.call('HKEYS', data)) do
    local kind = string.sub(field, 1, 1)
    if (kind == 'b' or kind == 's' or kind == 'r') and not named[field] then
      redis.call('HDEL', data, field)
    end
  end
end

if ARGV[1] == 'older' then
  read_all()
  for _, place in ipairs(places) do doomed[place] = true end
  for _, namespace in ipairs(namespaces()) do preserve(newest(namespace, '(' .. namespace .. LAST)) end
  sweep()
else
  local runs, known = {}, false
  for i = 2, #ARGV do
    runs[ARGV[i]] = true
    if redis.call('HEXISTS', data, 'r' .. ARGV[i]) == 1 then known = true end
  end
  if known then
    read_all()
    for _, place in ipairs(places) do
      local _, run = parent_and_run(records[place])
      if runs[run] then doomed[place] = true end
    end
    sweep()
  end
end
return removed
