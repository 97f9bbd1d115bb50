-- Removes random members and returns them. KEYS: settings, members. ARGV[2]: how many.
return redis.call('SPOP', KEYS[2], ARGV[2])
