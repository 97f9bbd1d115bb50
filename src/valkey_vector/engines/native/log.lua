-- Prelude after numbers.lua: what changes the log.
-- KEYS, ARGV: those of begin.lua.
-- Defines number_of(id), changed(id), gone(id), expires(id, at in ms), and finish(), which every script that changes the
-- log calls last. finish() also logs up to 100 records that have expired, and trims the deletions.

-- The number of an id, read by a command that writers may run anyway.
local function number_of(id) return tonumber(call('ZADD', KEYS[2], 'XX', 'INCR', 0, id) or nil) end
local function changed(id)
  local old = number_of(id)
  if old then add(-mix(old)) end
  add(mix(advance()))
  call('ZADD', KEYS[2], whole(seq), id)
  call('ZREM', KEYS[3], id)
end
local function gone(id)
  local old = number_of(id)
  call('ZREM', KEYS[4], id)
  if not old then return end
  add(-mix(old))
  call('ZREM', KEYS[2], id)
  call('ZADD', KEYS[3], whole(advance()), id)
end
local function expires(id, at) call('ZADD', KEYS[4], whole(at), id) end
local function finish()
  for _, id in ipairs(call('ZRANGEBYSCORE', KEYS[4], '-inf', whole(now), 'LIMIT', 0, 100)) do
    -- A user who may not run it keeps them.
    local left = try('PTTL', prefix .. id)
    if left == -2 then gone(id) elseif left == -1 then call('ZREM', KEYS[4], id)
    elseif type(left) == 'number' then expires(id, now + left + 1) end
  end
  local deleted = call('ZCARD', KEYS[3])
  if deleted > 10000 and deleted > 2 * call('ZCARD', KEYS[2]) then
    local half = math.floor(deleted / 2)
    local last = call('ZRANGEBYSCORE', KEYS[3], '-inf', '+inf', 'WITHSCORES', 'LIMIT', half, 1)[2]
    call('HSET', KEYS[1], 'floor', last)
    for _ = 0, half, 5000 do
      local old = call('ZRANGEBYSCORE', KEYS[3], '-inf', last, 'LIMIT', 0, 5000)
      if #old > 0 then call('ZREM', KEYS[3], unpack(old)) end
    end
  end
  if seq ~= before then call('HINCRBY', KEYS[1], 'seq', whole(seq - before)) end
  if digest then call('HSET', KEYS[1], 'digest', whole(digest)) end
  writes, saved = written()
  -- The two fields that are set here are two changes more.
  call('HSET', KEYS[1], 'touched', touched and whole(seq) or state[7] or '',
    'written', writes and whole(writes + 2) .. ' ' .. saved or '')
end
