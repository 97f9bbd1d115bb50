-- Records that all documents of a lineage are removed.
-- KEYS: catalog. ARGV: lineage. Returns 1.

redis.call('HDEL', KEYS[1], 'removing:' .. ARGV[1])
return 1
