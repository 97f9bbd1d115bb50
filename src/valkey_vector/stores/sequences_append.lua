-- Appends items. After sequences_register.lua.
-- KEYS: names, list. ARGV: name, then items. No reply.

for i = 2, #ARGV do redis.call('RPUSH', KEYS[2], ARGV[i]) end
