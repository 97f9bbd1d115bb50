-- Removes a sequence.
-- KEYS: names, list. ARGV: name. Returns {1 if it existed else 0, its items}.

local items = redis.call('LRANGE', KEYS[2], 0, -1)
redis.call('UNLINK', KEYS[2])
return {redis.call('ZREM', KEYS[1], ARGV[1]), items}
