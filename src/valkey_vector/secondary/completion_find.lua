-- What is known of texts. KEYS: settings, terms. ARGV[2..]: their normal forms.
-- Returns for each the frequency and the original; 0 and nothing for one that is not there.
local rows = {}
for i = 2, #ARGV do
  local _, frequency, original = find(ARGV[i])
  rows[#rows + 1] = {string.format('%.0f', frequency), original or ''}
end
return rows
