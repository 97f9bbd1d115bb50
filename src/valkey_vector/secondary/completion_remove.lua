-- Removes texts. KEYS: settings, terms, ranked. ARGV[2..]: their normal forms. Returns how many were there.
local removed = 0
for i = 2, #ARGV do
  local entry, frequency = find(ARGV[i])
  if entry then
    remove(entry, frequency)
    removed = removed + 1
  end
end
return removed
