-- Runs a batch of operations on the items of a store, as one step that no other client sees half done.
--
-- A store has five keys:
--   KEYS[1] items    a hash: member -> record
--   KEYS[2] order    a sorted set in the order of bytes: namespace \1 number(8 bytes) key, by namespace and creation
--   KEYS[3] names    a sorted set in the order of bytes: every namespace that has items
--   KEYS[4] numbers  a hash: namespace -> its number by creation; and under \255 the last number given
--   KEYS[5] expiry   a sorted set: member by the millisecond at which it expires
--
-- A namespace comes encoded from the client: each label is \2, text without the byte 0, \0. So a namespace begins with the
-- bytes of another only if it lies below it, and \1 ends it. A member is namespace \1 key.
--
-- A record is created(8) updated(8) number(8) time to live(8) vectors(4) (revision) value: times in microseconds, the time
-- to live in milliseconds or 0, how many vectors the item has in the index, and by which revision they are known there.
--
-- ARGV: operations one after the other, each a letter and its arguments:
--   G namespace key refresh                                get an item
--   M refresh count (namespace key)...                     get items
--   T count (namespace key)...                             begin the time to live of items again
--   S namespace after-number after offset limit bytes refresh whole    items of a namespace and below
--   L namespace conditions depth offset limit (type count label...)... namespaces
--   P namespace key milliseconds vectors revision value    put an item
--   D namespace key                                        delete an item
--
-- Returns {results, expired, again}. Items that have expired are removed first, at most 1000 of them; expired lists their
-- revisions and vectors. If there are more, again is 1 and nothing else was done. If an S has to go
-- on in another call, no P and no D is carried out; their results are false. An S that is to be whole goes on if there are
-- more items than it may return; any other if it returned fewer than that for the sake of their bytes.
local items, order, names, numbers, expiry = unpack(KEYS)
local LAST_NUMBER = '\255'

local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000000 + tonumber(time[2])
local now_ms = math.floor(now / 1000)

local at = 0
local function argument()
  at = at + 1
  return ARGV[at]
end

local function number_argument()
  return tonumber(argument())
end

local function head(record)
  local created, updated, number, ttl, vectors, revision = struct.unpack('>I8I8I8I8I4I4c0', record)
  return {created = created, number = number, ttl = ttl, vectors = vectors, revision = revision}
end

-- Where a member's namespace ends.
local function end_of_namespace(member)
  local position = 1
  while string.byte(member, position) == 2 do
    position = string.find(member, '\0', position, true) + 1
  end
  return position
end

local function order_member(namespace, number, key)
  return namespace .. '\1' .. struct.pack('>I8', number) .. key
end

-- Removes an item; returns what was known of it, or nil.
local function remove(member)
  local record = redis.call('HGET', items, member)
  if not record then return nil end
  local position = end_of_namespace(member)
  local namespace, key = string.sub(member, 1, position - 1), string.sub(member, position + 1)
  local known = head(record)
  redis.call('HDEL', items, member)
  redis.call('ZREM', expiry, member)
  redis.call('ZREM', order, order_member(namespace, known.number, key))
  local rest = redis.call('ZRANGEBYLEX', order, '[' .. namespace .. '\1', '(' .. namespace .. '\2', 'LIMIT', 0, 1)
  if #rest == 0 then
    redis.call('ZREM', names, namespace)
    redis.call('HDEL', numbers, namespace)
  end
  return known
end

local must_write = false

local function touch(member, ttl)
  if READ_ONLY then must_write = must_write or ttl > 0
  elseif ttl > 0 then redis.call('ZADD', expiry, string.format('%.0f', now_ms + ttl), member) end
end

-- An item's record, with its time to live begun again if it is to be.
local function read(member, refresh)
  local record = redis.call('HGET', items, member)
  if record and refresh then touch(member, head(record).ttl) end
  return record
end

local function get()
  local namespace, key, refresh = argument(), argument(), argument() == '1'
  return read(namespace .. '\1' .. key, refresh)
end

local function get_many()
  local refresh, found = argument() == '1', {}
  for i = 1, number_argument() do
    local namespace, key = argument(), argument()
    found[i] = read(namespace .. '\1' .. key, refresh)
  end
  return found
end

local function touch_many()
  for _ = 1, number_argument() do
    local namespace, key = argument(), argument()
    read(namespace .. '\1' .. key, true)
  end
  return 1
end

-- Namespaces at and below one, as {number, namespace}, in the order of their creation.
local function namespaces_below(namespace)
  local found, below = {}, redis.call('ZRANGEBYLEX', names, '[' .. namespace, '(' .. namespace .. '\3')
  for first = 1, #below, 1000 do
    local last = math.min(first + 999, #below)
    local known = redis.call('HMGET', numbers, unpack(below, first, last))
    for i, number in ipairs(known) do found[#found + 1] = {tonumber(number), below[first + i - 1]} end
  end
  table.sort(found, function(a, b) return a[1] < b[1] end)
  return found
end

local incomplete = false

-- Returns {namespace, key, record, ...}, then whether there may be more, and where to go on.
local function scan()
  local below, after_number, after = argument(), number_argument(), argument()
  local offset, limit, room = number_argument(), number_argument(), number_argument()
  local refresh, whole = argument() == '1', argument() == '1'
  local found, count = {}, 0
  for _, entry in ipairs(namespaces_below(below)) do
    local number, namespace = entry[1], entry[2]
    local from = '[' .. namespace .. '\1'
    if number == after_number then from = '(' .. namespace .. '\1' .. after end
    while number >= after_number do
      local chunk = redis.call('ZRANGEBYLEX', order, from, '(' .. namespace .. '\2', 'LIMIT', 0, 200)
      for _, member in ipairs(chunk) do
        local place = string.sub(member, #namespace + 2)
        if offset > 0 then
          offset = offset - 1
        elseif count == limit or room <= 0 then
          -- A page that is full ends a search, unless the client checks a condition on it.
          incomplete = incomplete or whole or count < limit
          return {found, 1, after_number, after}
        else
          local key = string.sub(place, 9)
          local record = read(namespace .. '\1' .. key, refresh)
          count, room = count + 1, room - #record
          local n = #found
          found[n + 1], found[n + 2], found[n + 3] = namespace, key, record
          after_number, after = number, place
        end
      end
      if #chunk < 200 then break end
      from = '(' .. chunk[#chunk]
    end
  end
  return {found, 0}
end

local function labels_of(namespace)
  local found = {}
  for label in string.gmatch(namespace, '\2([^%z]*)%z') do found[#found + 1] = label end
  return found
end

local function satisfies(labels, condition)
  local wanted = condition.labels
  if #labels < #wanted then return false end
  local shift = condition.type == 'suffix' and #labels - #wanted or 0
  for i, label in ipairs(wanted) do
    if label ~= '*' and labels[i + shift] ~= label then return false end
  end
  return true
end

local function satisfies_all(labels, conditions)
  for _, condition in ipairs(conditions) do
    if not satisfies(labels, condition) then return false end
  end
  return true
end

local function list_namespaces()
  local below, count, depth = argument(), number_argument(), number_argument()
  local offset, limit, conditions, found, last = number_argument(), number_argument(), {}, {}, nil
  for i = 1, count do
    conditions[i] = {type = argument(), labels = {}}
    for j = 1, number_argument() do conditions[i].labels[j] = argument() end
  end
  for _, namespace in ipairs(redis.call('ZRANGEBYLEX', names, '[' .. below, '(' .. below .. '\3')) do
    local labels = labels_of(namespace)
    if satisfies_all(labels, conditions) then
      local cut = namespace
      if depth >= 0 and #labels > depth then
        cut = ''
        for i = 1, depth do cut = cut .. '\2' .. labels[i] .. '\0' end
      end
      if cut ~= last then
        last = cut
        if offset > 0 then
          offset = offset - 1
        elseif #found < limit then
          found[#found + 1] = cut
        else
          break
        end
      end
    end
  end
  return found
end

local function new_number()
  return redis.call('HINCRBY', numbers, LAST_NUMBER, 1)
end

-- Returns {revision, vectors} of what was there before, or {}.
local function put()
  local namespace, key = argument(), argument()
  local ttl, vectors, revision, value = number_argument(), number_argument(), argument(), argument()
  if incomplete then return false end
  local member = namespace .. '\1' .. key
  local before, created, number = redis.call('HGET', items, member), now, nil
  local old = before and head(before)
  if old then
    created, number = old.created, old.number
  else
    if redis.call('ZADD', names, 0, namespace) == 1 then redis.call('HSET', numbers, namespace, new_number()) end
    number = new_number()
    redis.call('ZADD', order, 0, order_member(namespace, number, key))
  end
  local start = struct.pack('>I8I8I8I8I4I4c0', created, now, number, ttl, vectors, #revision, revision)
  redis.call('HSET', items, member, start .. value)
  if ttl > 0 then touch(member, ttl) else redis.call('ZREM', expiry, member) end
  return old and {old.revision, old.vectors} or {}
end

local function delete()
  local namespace, key = argument(), argument()
  if incomplete then return false end
  local old = remove(namespace .. '\1' .. key)
  return old and {old.revision, old.vectors} or {}
end

local expired = {}
local due = redis.call('ZRANGEBYSCORE', expiry, '-inf', now_ms, 'LIMIT', 0, 1001)
if READ_ONLY and #due > 0 then return {{}, {}, 2} end
for i = 1, math.min(#due, 1000) do
  local old = remove(due[i])
  if old and old.vectors > 0 then
    expired[#expired + 1], expired[#expired + 2] = old.revision, old.vectors
  end
end
if #due > 1000 then return {{}, expired, 1} end

local operations = {
  G = get, M = get_many, T = touch_many, S = scan, L = list_namespaces, P = put, D = delete,
}
local results = {}
while at < #ARGV do results[#results + 1] = operations[argument()]() end
return {results, expired, must_write and 3 or 0}
