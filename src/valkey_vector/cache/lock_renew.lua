-- Renews a lock, unless another client holds it by now.
-- KEYS: lock. ARGV: token of its holder, milliseconds. Returns 1 if it was renewed, else 0.

if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('PEXPIRE', KEYS[1], ARGV[2]) end
return 0
