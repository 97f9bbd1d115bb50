-- How many items there are. KEYS: settings, items.
return redis.call('LLEN', KEYS[2])
