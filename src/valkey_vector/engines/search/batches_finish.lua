-- Ends a batch: releases its locks, counts its writes, and notes its changes for the readers that keep counts.
-- KEYS: catalog, locks, noted changes; no search index covers them.
-- ARGV: generation, number of documents written, random mark of the batch, token of the locks ('': none), changes ('': not
-- noted), most writes whose changes are kept, seconds after the last one until all are removed, then the locked ids.
-- Returns 1, or 0 if the index was dropped or created again.

local mark, token, changes, kept = ARGV[3], ARGV[4], ARGV[5], tonumber(ARGV[6])
local certain = token ~= '' and changes ~= ''
if token ~= '' then
  for i = 8, #ARGV do
    local held = redis.call('HGET', KEYS[2], ARGV[i])
    local mine = held and string.sub(held, 1, #token + 1) == token .. ' '
    if mine then redis.call('HDEL', KEYS[2], ARGV[i]) end
    -- Another writer may have changed the document if its lock lapsed before this batch took it, or during the batch.
    if not mine or string.sub(held, #token + 2, #token + 5) == 'over' then certain = false end
  end
end
if redis.call('HGET', KEYS[1], 'generation') ~= ARGV[1] then return 0 end
if ARGV[2] ~= '0' then
  local counted = redis.pcall('HINCRBY', KEYS[1], 'seq', ARGV[2])
  -- A full server still takes deletions, which nothing needs counted: the number of documents tells of them, too.
  if type(counted) == 'table' and counted.err then
    return string.find(counted.err, 'OOM') and 1 or counted
  end
  local before = redis.call('HGET', KEYS[1], 'batch') or ''
  -- The number alone repeats after a failover that lost the last writes, and after the loss of the catalog.
  redis.call('HSET', KEYS[1], 'batch', mark)
  if certain then
    redis.call('HSET', KEYS[3], string.format('%.0f', counted), before .. ' ' .. mark .. ' ' .. changes)
    local gone = {}
    for i = 1, tonumber(ARGV[2]) do gone[i] = string.format('%.0f', counted - kept - ARGV[2] + i) end
    redis.call('HDEL', KEYS[3], unpack(gone))
    -- Not EXPIRE, which an application's user may lack.
    redis.call('PEXPIREAT', KEYS[3], string.format('%.0f', (redis.call('TIME')[1] + ARGV[7]) * 1000))
  end
end
return 1
