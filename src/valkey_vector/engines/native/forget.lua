#!lua flags=allow-oom
-- Logs as deleted the records that are gone without an entry in the log: evicted, replaced, deleted by hand.
-- KEYS, ARGV[1] to ARGV[3]: those of begin.lua. ARGV[4] and after: ids. Returns 1.

for i = 4, #ARGV do
  if look(prefix .. ARGV[i]) ~= 'own' then gone(ARGV[i]) end
end
finish()
return 1
