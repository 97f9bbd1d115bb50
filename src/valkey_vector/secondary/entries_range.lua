-- A range of the entries. KEYS: settings, entries.
-- ARGV[2], [3]: lower and upper bound. ARGV[4]: '1' reverses. ARGV[5]: at most so many, -1 for all.
if ARGV[4] == '1' then
  return redis.call('ZRANGE', KEYS[2], ARGV[3], ARGV[2], 'BYLEX', 'REV', 'LIMIT', 0, ARGV[5])
end
return redis.call('ZRANGE', KEYS[2], ARGV[2], ARGV[3], 'BYLEX', 'LIMIT', 0, ARGV[5])
