-- Replaces all items. After sequences_register.lua.
-- KEYS: names, list. ARGV: name, then items. No reply.
-- The list is never empty in between: while its slot moves, a removed key could not be written again on this node.

local kind = redis.call('TYPE', KEYS[2]).ok
if kind ~= 'list' and kind ~= 'none' then redis.call('UNLINK', KEYS[2]) end
local count = redis.call('LLEN', KEYS[2])
for i = 2, #ARGV do redis.call('RPUSH', KEYS[2], ARGV[i]) end
if #ARGV == 1 then redis.call('UNLINK', KEYS[2])
elseif count > 0 then redis.call('LTRIM', KEYS[2], count, -1) end
