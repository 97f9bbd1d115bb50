-- Records a new mark for the search index of an index, unless another client did, or the index was dropped.
-- KEYS: catalog; no search index covers it. ARGV: generation, the mark so far ('': none), the new mark.
-- Returns 1 if it was recorded, else 0.

local key = KEYS[1]
if redis.call('HGET', key, 'generation') ~= ARGV[1] then return 0 end
if (redis.call('HGET', key, 'renewal') or '') ~= ARGV[2] then return 0 end
redis.call('HSET', key, 'renewal', ARGV[3])
return 1
