-- Returns checkpoints, newest first, with their writes and the values of their channels.
--
-- ARGV: what, milliseconds to live from now on or 0, most checkpoints, most bytes, and more by what:
--   one       namespace, id or '' for the newest
--   in        namespace, id ('' for none): only ones with lower ids
--   all       namespace, id: of all namespaces; only ones with lower ids, or the same id and a higher namespace
--   these     places
-- With 'metadata ' before it (as in 'metadata in'), only places and metadata are returned.
--
-- Returns {checkpoints, values, whether more may follow}. A checkpoint is {place, record, {task, writes, ...}, {position in
-- values or 0 by channel}}, so a value that several checkpoints share is sent once.
local what, count = string.gsub(ARGV[1], '^metadata ', '')
local metadata_only, most, room = count == 1, tonumber(ARGV[3]), tonumber(ARGV[4])
local checkpoints, values, positions, more = {}, {}, {}, 0

local function value_at(field)
  if not positions[field] then
    local value = redis.call('HGET', data, field)
    values[#values + 1] = value
    positions[field] = #values
    if value then room = room - #value end
  end
  return positions[field]
end

local function whole(place, record)
  local namespace, found, writes = namespace_of(place), {}, {}
  for i, entry in ipairs((channels_of(record))) do
    local field = value_field(namespace, entry)
    found[i] = field and value_at(field) or 0
  end
  for _, task in ipairs(tasks_of(place)) do
    local packed = redis.call('HGET', data, task_field(place, task))
    writes[#writes + 1], writes[#writes + 2] = task, packed
    room = room - #packed
  end
  room = room - #record
  return {place, record, writes, found}
end

local function brief(place, record)
  local at = select(2, take(record, 1))
  for _ = 1, 2 do at = select(2, take(record, at)) end
  local metadata = take(record, at)
  room = room - #metadata
  return {place, metadata}
end

-- Adds a checkpoint; whether there is room for more.
local function add(place)
  local record = redis.call('HGET', data, 'c' .. place)
  if record then
    checkpoints[#checkpoints + 1] = metadata_only and brief(place, record) or whole(place, record)
  end
  if #checkpoints >= most or room <= 0 then more = 1 end
  return more == 0
end

-- Goes through one namespace from a bound on.
local function walk(namespace, bound)
  while true do
    local places = redis.call('ZREVRANGEBYLEX', index, bound, '[' .. namespace, 'LIMIT', 0, 100)
    for _, place in ipairs(places) do
      if not add(place) then return end
    end
    if #places < 100 then return end
    bound = '(' .. places[#places]
  end
end

-- Merges all namespaces. The heads are the newest places of each that were not added yet.
local function walk_all(after_namespace, after)
  local heads = {}
  for _, namespace in ipairs(namespaces()) do
    local bound = '(' .. namespace .. LAST
    if after ~= '' then bound = (namespace > after_namespace and '[' or '(') .. namespace .. after end
    local place = newest(namespace, bound)
    if place then heads[#heads + 1] = {string.sub(place, #namespace + 1), namespace, place} end
  end
  while #heads > 0 do
    local best = 1
    for i = 2, #heads do
      if heads[i][1] > heads[best][1] then best = i end
    end
    local _, namespace, place = unpack(heads[best])
    if not add(place) then return end
    local following = newest(namespace, '(' .. place)
    if following then
      heads[best] = {string.sub(following, #namespace + 1), namespace, following}
    else
      table.remove(heads, best)
    end
  end
end

local milliseconds, namespace, id = tonumber(ARGV[2]), ARGV[5], ARGV[6]
if what == 'one' and id ~= '' then
  add(namespace .. id)
elseif what == 'one' then
  local place = newest(namespace, '(' .. namespace .. LAST)
  if place then add(place) end
elseif what == 'in' then
  walk(namespace, '(' .. namespace .. (id == '' and LAST or id))
elseif what == 'all' then
  walk_all(namespace, id)
else
  for i = 5, #ARGV do
    if not add(ARGV[i]) then break end
  end
end
if milliseconds > 0 and #checkpoints > 0 then keep(milliseconds) end
return {checkpoints, values, more}
