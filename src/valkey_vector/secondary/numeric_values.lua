-- The numbers of members. KEYS: settings, scores, held. ARGV[2..]: the members.
-- Returns for each the score and the encoding; at most one of them is not empty.
local values = {}
for i = 2, #ARGV do
  values[#values + 1] = {
    redis.call('ZSCORE', KEYS[2], ARGV[i]) or '',
    redis.call('HGET', KEYS[3], ARGV[i]) or '',
  }
end
return values
