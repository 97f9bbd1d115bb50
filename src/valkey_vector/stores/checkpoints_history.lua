-- Returns what made the values of channels at a checkpoint: its ancestors' writes, back to the nearest stored value.
--
-- ARGV: namespace, id or '' for the newest, channels. For each channel the walk along the parents ends at the first
-- ancestor that stores a value; that ancestor's own writes come after its value, so they belong to the result.
-- Returns the ancestors that contribute, newest first, each as {{task, writes, ...}, {channel, value, ...}}.
local namespace, id = ARGV[1], ARGV[2]
local remaining, count, ancestors, seen = {}, 0, {}, {}
for i = 3, #ARGV do
  if not remaining[ARGV[i]] then
    remaining[ARGV[i]] = true
    count = count + 1
  end
end

local function parent_of(record)
  local _, after = take(record, 1)
  return (take(record, after))
end

-- The writes of a task to the channels that are still looked for.
local function wanted_writes(packed)
  local kept, at = {}, 1
  while at <= #packed do
    local from, channel = at, nil
    channel, at = take(packed, at + 4)
    for _ = 1, 2 do at = select(2, take(packed, at)) end
    if remaining[channel] then kept[#kept + 1] = string.sub(packed, from, at - 1) end
  end
  return table.concat(kept)
end

local place = id ~= '' and namespace .. id or newest(namespace, '(' .. namespace .. LAST)
local record = place and redis.call('HGET', data, 'c' .. place)
while record and count > 0 and not seen[place] do
  seen[place] = true  -- a checkpoint put as its own parent must not keep the server busy for ever
  local parent = parent_of(record)
  place = namespace .. parent
  record = parent ~= '' and redis.call('HGET', data, 'c' .. place)
  if record then
    local writes, seeds = {}, {}
    for _, task in ipairs(tasks_of(place)) do
      local kept = wanted_writes(redis.call('HGET', data, task_field(place, task)))
      if kept ~= '' then
        writes[#writes + 1], writes[#writes + 2] = task, kept
      end
    end
    for _, entry in ipairs((channels_of(record))) do
      local field = remaining[entry[1]] and value_field(namespace, entry)
      if field then
        seeds[#seeds + 1], seeds[#seeds + 2] = entry[1], redis.call('HGET', data, field)
        remaining[entry[1]] = nil
        count = count - 1
      end
    end
    if #writes > 0 or #seeds > 0 then ancestors[#ancestors + 1] = {writes, seeds} end
  end
end
return ancestors
