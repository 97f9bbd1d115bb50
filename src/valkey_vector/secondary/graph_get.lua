-- The values of fields. KEYS: settings, nodes or relations. ARGV[2..]: the fields. Returns nil for one that is not there.
local values = {}
for i = 2, #ARGV do values[i - 1] = redis.call('HGET', KEYS[2], ARGV[i]) end
return values
