-- Reads an entry. One with sliding expiration restarts its time to live.
-- KEYS: entry. No ARGV. Returns {answer, time of storing, milliseconds to live if it slides}, each nil if missing.

local entry = redis.call('HMGET', KEYS[1], 'answer', 'stored', 'sliding')
if entry[1] and entry[3] then redis.call('PEXPIRE', KEYS[1], entry[3]) end
return entry
