-- Removes the log of an index that was dropped. If the index was created again, its first write does so instead.
-- KEYS: catalog, changes, deletions, expiry. No ARGV. Returns 1.

if redis.call('HEXISTS', KEYS[1], 'generation') == 0 then redis.call('DEL', KEYS[2], KEYS[3], KEYS[4]) end
return 1
