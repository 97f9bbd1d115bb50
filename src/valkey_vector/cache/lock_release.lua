-- Releases a lock, unless another client holds it by now.
-- KEYS: lock. ARGV: token of its holder. Returns 1 if it was released, else 0.

if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end
return 0
