-- Stores an entry with its time to live and its time of storing, all or none.
-- KEYS: entry. ARGV: answer, milliseconds to live ('0': does not expire), '1' for sliding expiration. No reply.
-- The entry is not removed first: while its slot moves, a removed key could not be written again on this node.

local time = redis.call('TIME')
local kind = redis.call('TYPE', KEYS[1]).ok
if kind ~= 'hash' and kind ~= 'none' then redis.call('DEL', KEYS[1]) end
redis.call('HSET', KEYS[1], 'answer', ARGV[1], 'stored', string.format('%s.%06d', time[1], tonumber(time[2])))
if ARGV[2] ~= '0' then redis.call('PEXPIRE', KEYS[1], ARGV[2]) else redis.call('PERSIST', KEYS[1]) end
if ARGV[3] == '1' then redis.call('HSET', KEYS[1], 'sliding', ARGV[2]) else redis.call('HDEL', KEYS[1], 'sliding') end
