-- Forgets keys. After indexed_keys_forget.lua.
-- KEYS: clock, records (a hash: key -> time:group), times, groups. ARGV: keys. No reply.

for _, key in ipairs(ARGV) do forget(key) end
