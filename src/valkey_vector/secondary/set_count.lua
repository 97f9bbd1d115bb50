-- How many members there are. KEYS: settings, members.
return redis.call('SCARD', KEYS[2])
