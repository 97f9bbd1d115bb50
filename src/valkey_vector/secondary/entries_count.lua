-- How many entries a range has. KEYS: settings, entries. ARGV[2], [3]: lower and upper bound.
return redis.call('ZLEXCOUNT', KEYS[2], ARGV[2], ARGV[3])
