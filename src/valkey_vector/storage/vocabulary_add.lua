-- Adds terms to the vocabulary, each with its number from 1 on. None is ever removed.
-- KEYS: catalog, vocabulary. ARGV[1]: generation ('': any). ARGV[2] and after: terms.
-- Returns how many terms there are, or the error STALE for another generation.

if ARGV[1] ~= '' and redis.call('HGET', KEYS[1], 'generation') ~= ARGV[1] then
  return redis.error_reply('STALE the index was dropped or created anew')
end
local size = redis.call('ZCARD', KEYS[2])
for i = 2, #ARGV do
  if redis.call('ZADD', KEYS[2], 'NX', size + 1, ARGV[i]) == 1 then size = size + 1 end
end
return size
