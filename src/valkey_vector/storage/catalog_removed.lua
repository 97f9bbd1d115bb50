-- Notes that no document of a lineage is left.
-- KEYS: catalog. ARGV: lineage. Returns 1.

redis.call('HDEL', KEYS[1], 'removing:' .. ARGV[1])
return 1
