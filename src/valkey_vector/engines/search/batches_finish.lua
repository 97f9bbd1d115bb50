-- Ends a batch: releases its locks and counts its writes.
-- KEYS: catalog, locks; no search index covers them.
-- ARGV: generation, number of documents written, random mark of the batch, token of the locks ('': none), then the locked ids.
-- Returns 1, or 0 if the index was dropped or created again.

local mark, token = ARGV[3], ARGV[4]
if token ~= '' then
  for i = 5, #ARGV do
    local held = redis.call('HGET', KEYS[2], ARGV[i])
    if held and string.sub(held, 1, #token + 1) == token .. ' ' then redis.call('HDEL', KEYS[2], ARGV[i]) end
  end
end
if redis.call('HGET', KEYS[1], 'generation') ~= ARGV[1] then return 0 end
if ARGV[2] ~= '0' then
  local counted = redis.pcall('HINCRBY', KEYS[1], 'seq', ARGV[2])
  -- A full server still takes deletions, which nothing needs counted: the number of documents tells of them, too.
  if type(counted) == 'table' and counted.err then
    return string.find(counted.err, 'OOM') and 1 or counted
  end
  -- The number alone repeats after a failover that lost the last writes, and after the loss of the catalog.
  redis.call('HSET', KEYS[1], 'batch', mark)
end
return 1
