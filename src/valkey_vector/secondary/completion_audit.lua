-- Compares the terms with the ranked entries. KEYS: settings, terms, ranked. ARGV[2]: '1' repairs.
-- ARGV[3..]: what it is, an entry, and the normal form it begins with. It is one of the 'terms' or of 'ranked', or
-- 'unreadable terms' or 'unreadable ranked', which have no normal form.
local mend, found = ARGV[2] == '1', {}

local function problem(kind, detail) found[#found + 1] = {kind, detail} end
local function frequency_of(term, normal) return tonumber(string.sub(term, #normal + 1, #normal + 12)) end

-- The term with a normal form that has the highest frequency: the digits order as the numbers do.
local function best(normal)
  local after = '(' .. string.sub(normal, 1, -2) .. '\2'
  return redis.call('ZRANGE', KEYS[2], after, '[' .. normal, 'BYLEX', 'REV', 'LIMIT', 0, 1)[1]
end

for i = 3, #ARGV, 3 do
  local kind, entry, normal = ARGV[i], ARGV[i + 1], ARGV[i + 2]
  local unreadable = string.match(kind, '^unreadable (.*)$')
  local key = (unreadable or kind) == 'terms' and KEYS[2] or KEYS[3]
  local score = redis.call('ZSCORE', key, entry) -- none if it was removed meanwhile
  if score and unreadable then
    problem(unreadable == 'terms' and 'unreadable term' or 'unreadable rank', entry)
    if mend then redis.call('ZREM', key, entry) end
  elseif score and tonumber(score) ~= 0 then
    problem('wrong score', entry)
    if mend then redis.call('ZADD', key, 0, entry) end
  end
  if score and kind == 'terms' then
    local frequency = frequency_of(entry, normal)
    if best(normal) ~= entry then
      problem('second term', entry)
      if mend then remove(entry, frequency) end
    elseif not redis.call('ZSCORE', KEYS[3], rank_of(frequency) .. entry) then
      problem('missing rank', entry)
      if mend then redis.call('ZADD', KEYS[3], 0, rank_of(frequency) .. entry) end
    end
  elseif score and kind == 'ranked' then
    local term = string.sub(entry, 2)
    local known = best(normal)
    local proper = rank_of(frequency_of(term, normal)) .. term
    if entry ~= proper or (known and known ~= term) then
      problem('stale rank', entry)
      if mend then redis.call('ZREM', KEYS[3], entry) end
    elseif not known then
      -- The ranked entry holds all that the term would.
      problem('missing term', entry)
      if mend then redis.call('ZADD', KEYS[2], 0, term) end
    end
  end
end
return found
