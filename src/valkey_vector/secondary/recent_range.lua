-- Items, the newest first. KEYS: settings, items. ARGV[2], [3]: first and last position.
return redis.call('LRANGE', KEYS[2], ARGV[2], ARGV[3])
