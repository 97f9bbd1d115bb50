-- Prelude: removes the items of a sequence.
-- KEYS: names, list. No ARGV of its own.

redis.call('UNLINK', KEYS[2])
