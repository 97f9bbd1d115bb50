-- A part of the order. KEYS: settings, order. ARGV[2], [3]: first and last rank.
return redis.call('ZRANGE', KEYS[2], ARGV[2], ARGV[3])
