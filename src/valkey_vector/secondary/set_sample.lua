-- Random members. KEYS: settings, members. ARGV[2]: how many different ones; negative for ones that may repeat.
return redis.call('SRANDMEMBER', KEYS[2], ARGV[2])
