-- Removes the documents of a dropped index, and no other keys.
-- KEYS: keys under the prefix of the index; no search index covers them.
-- ARGV: the prefix of the versions of its documents, <lineage>: (':' in format 1). Returns the number removed.

local removed = 0
for _, key in ipairs(KEYS) do
  if redis.call('TYPE', key).ok == 'hash' then
    local version = redis.call('HGET', key, 'version')
    local own = version and string.sub(version, 1, #ARGV[1]) == ARGV[1]
    if ARGV[1] == ':' and not version then own = redis.call('HEXISTS', key, 'created') == 1 end
    if own and redis.call('HEXISTS', key, 'metadata') == 1 then
      removed = removed + redis.call('UNLINK', key)
    end
  end
end
return removed
