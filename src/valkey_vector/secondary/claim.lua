#!lua
-- Begins every script that writes.
-- KEYS[1]: the record of the index's settings. ARGV[1]: the settings that the caller opened the index with.
-- The first write stores them; a caller with other settings would write entries that nobody else can read.
do
  local stored = redis.call('GET', KEYS[1])
  if not stored then
    redis.call('SET', KEYS[1], ARGV[1])
  elseif stored ~= ARGV[1] then
    return redis.status_reply('SETTINGS ' .. stored)
  end
end
