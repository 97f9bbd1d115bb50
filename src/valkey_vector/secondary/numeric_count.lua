-- How many members a range has, in logarithmic time. KEYS: settings, scores, entries.
-- ARGV[2], [3]: bounds of the scores. ARGV[4], [5]: bounds of the entries.
return redis.call('ZCOUNT', KEYS[2], ARGV[2], ARGV[3]) + redis.call('ZLEXCOUNT', KEYS[3], ARGV[4], ARGV[5])
