-- Adds a task's writes to a checkpoint.
--
-- ARGV: place, task, milliseconds to live or 0, and for each write four more: index, channel, path, value. A write whose
-- index is there already is left as it is, unless the index is negative: then it is replaced.
local place, task = ARGV[1], ARGV[2]
local field = task_field(place, task)
local stored = redis.call('HGET', data, field)
local writes, position, at = {}, {}, 1

local function put(number, write)
  if not position[number] then position[number] = #writes + 1 end
  writes[position[number]] = struct.pack('>i4', number) .. write
end

while stored and at <= #stored do
  local number, from = struct.unpack('>i4', stored, at)
  at = from
  for _ = 1, 3 do at = select(2, take(stored, at)) end
  put(number, string.sub(stored, from, at - 1))
end
for i = 4, #ARGV, 4 do
  local number = tonumber(ARGV[i])
  if number < 0 or not position[number] then
    put(number, sized(ARGV[i + 1]) .. sized(ARGV[i + 2]) .. sized(ARGV[i + 3]))
  end
end

redis.call('HSET', data, field, table.concat(writes))
if not stored then
  local tasks = redis.call('HGET', data, 'w' .. place) or ''
  redis.call('HSET', data, 'w' .. place, tasks .. sized(task))
end
keep(tonumber(ARGV[3]))
