-- Releases the locks of ids that the token still holds.
-- KEYS: locks. ARGV: token, then ids. Returns 1.

local token = ARGV[1] .. ' '
for i = 2, #ARGV do
  local held = redis.call('HGET', KEYS[1], ARGV[i])
  if held and string.sub(held, 1, #token) == token then redis.call('HDEL', KEYS[1], ARGV[i]) end
end
return 1
