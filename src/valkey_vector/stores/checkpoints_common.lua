-- What all scripts on the checkpoints of a thread share.
--
-- A thread has two keys. KEYS[1] is a hash with these fields:
--   c <place>                               a checkpoint's record
--   b <namespace> <channel> <version>       the value of a channel at a version
--   s <namespace> <channel> (version) <id>  the value that one checkpoint alone has at a version
--   w <place>                               the tasks with writes to a checkpoint: (task)...
--   t (place) <task>                        the writes of one task: index (channel) (path) (value)...
--   r <run>                                 a run with checkpoints in this thread
-- KEYS[2] is a sorted set, in the order of bytes, of every checkpoint's place.
--
-- (text) is a text after its length in four bytes. A namespace and a channel come encoded from the client: without the
-- byte 0, and with one at the end. A place is a namespace and a checkpoint's id.
--
-- A record is (channels) (parent) (run) (metadata) body. Its channels are (channel) (version) and a mode:
--   b  the value is in the field b; s  in the field s of the checkpoint whose (id) follows
--   -  there is no value;           d  nor is there, but ancestors' writes make one (a delta channel)
local data, index = KEYS[1], KEYS[2]
local LAST = '\255'  -- no text in UTF-8 holds this byte

local function sized(text)
  return struct.pack('>I4c0', #text, text)
end

local function take(text, at)
  return struct.unpack('>I4c0', text, at)
end

local function namespace_of(place)
  return string.sub(place, 1, (string.find(place, '\0', 1, true)))
end

-- The channels of a record as a list of {channel, version, mode, owner}, and the position after them.
local function channels_of(record)
  local packed, after = take(record, 1)
  local found, at = {}, 1
  while at <= #packed do
    local channel, version, owner
    channel, at = take(packed, at)
    version, at = take(packed, at)
    local mode = string.sub(packed, at, at)
    at = at + 1
    if mode == 's' then owner, at = take(packed, at) end
    found[#found + 1] = {channel, version, mode, owner}
  end
  return found, after
end

local function field_of(namespace, channel, version, mode, owner)
  if mode == 'b' then return 'b' .. namespace .. channel .. version end
  return 's' .. namespace .. channel .. sized(version) .. owner
end

-- The field with a channel's value; nil if it has none.
local function value_field(namespace, entry)
  if entry[3] == 'b' or entry[3] == 's' then
    return field_of(namespace, entry[1], entry[2], entry[3], entry[4])
  end
end

local function tasks_of(place)
  local found, at = {}, 1
  local packed = redis.call('HGET', data, 'w' .. place) or ''
  while at <= #packed do
    found[#found + 1], at = take(packed, at)
  end
  return found
end

local function task_field(place, task)
  return 't' .. sized(place) .. task
end

-- Both keys of a thread end together.
local function keep(milliseconds)
  for _, key in ipairs(KEYS) do
    if milliseconds > 0 then redis.call('PEXPIRE', key, milliseconds) else redis.call('PERSIST', key) end
  end
end

-- The newest place in a namespace below a bound, such as '(' .. place; false if there is none.
local function newest(namespace, bound)
  return redis.call('ZREVRANGEBYLEX', index, bound, '[' .. namespace, 'LIMIT', 0, 1)[1]
end

-- Every namespace with checkpoints, found by leaping from one to the next.
local function namespaces()
  local found, from = {}, '-'
  while true do
    local place = redis.call('ZRANGEBYLEX', index, from, '+', 'LIMIT', 0, 1)[1]
    if not place then return found end
    local namespace = namespace_of(place)
    found[#found + 1] = namespace
    from = '[' .. namespace .. LAST
  end
end
