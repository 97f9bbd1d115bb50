#!lua flags=allow-oom
-- Begins every script that only removes: it runs on a server that is out of memory, and records no settings.
-- KEYS[1]: the record of the index's settings. ARGV[1]: the settings that the caller opened the index with.
do
  local stored = redis.call('GET', KEYS[1])
  if stored and stored ~= ARGV[1] then
    return redis.status_reply('SETTINGS ' .. stored)
  end
end
