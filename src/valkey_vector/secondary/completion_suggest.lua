-- The most frequent texts with a prefix. KEYS: settings, terms, ranked.
-- ARGV[2]: at most so many. ARGV[3]: a random number from 0 to 1 if one of them is to fade, else nothing.
-- ARGV[4], [5]: the prefix, and the first string after all that begin with it (nothing for an empty prefix).
-- ARGV[6..]: the same of other prefixes, whose texts come after those of the first one.
-- Returns texts and frequencies: by frequency, ties in byte order of the normal form.
local limit, chance = tonumber(ARGV[2]), ARGV[3]
local found, seen = {}, {}
local FEW = 100

-- Byte by byte: Lua's own comparison depends on the server's locale.
local function before(a, b)
  for i = 1, math.min(#a, #b) do
    local x, y = string.byte(a, i), string.byte(b, i)
    if x ~= y then return x < y end
  end
  return #a < #b
end

-- What a term holds.
local function parsed(term)
  local ends = 1
  while true do
    ends = string.find(term, '%z', ends)
    if string.byte(term, ends + 1) == 1 then break end
    ends = ends + 2
  end
  return {
    normal = string.sub(term, 1, ends + 1),
    frequency = tonumber(string.sub(term, ends + 2, ends + 13)),
    original = string.sub(term, ends + 14),
    term = term,
  }
end

-- Adds terms that were not found before, the most frequent first, as long as there is room.
local function add(terms)
  local matches = {}
  for _, term in ipairs(terms) do
    if not seen[term] then
      seen[term] = true
      matches[#matches + 1] = parsed(term)
    end
  end
  table.sort(matches, function(a, b)
    if a.frequency ~= b.frequency then return a.frequency > b.frequency end
    return before(a.normal, b.normal)
  end)
  for _, match in ipairs(matches) do
    if #found < limit then found[#found + 1] = match end
  end
end

local function bounds_of(prefix)
  return '[' .. prefix[1], prefix[2] == '' and '+' or '(' .. prefix[2]
end

-- The texts of some prefixes, if there are few: then reading them all costs least.
local function few(prefixes)
  local terms, rest = {}, FEW
  for _, prefix in ipairs(prefixes) do
    local from, to = bounds_of(prefix)
    local part = redis.call('ZRANGE', KEYS[2], from, to, 'BYLEX', 'LIMIT', 0, rest + 1)
    if #part > rest then return nil end
    rest = rest - #part
    for _, term in ipairs(part) do terms[#terms + 1] = term end
  end
  return terms
end

-- Adds the best texts of some prefixes, level by level from the highest one.
local function by_level(prefixes)
  local at = redis.call('ZRANGE', KEYS[3], 0, 0)[1]
  while at and #found < limit do
    local rank = string.sub(at, 1, 1)
    local next_rank = string.char(string.byte(rank) + 1)
    -- Of a single frequency the first ones are enough; up to `limit` of them may have been found before. A level of
    -- several frequencies must be read whole.
    local most = string.byte(rank) > 255 - 16 and 2 * limit or -1
    local terms = {}
    for _, prefix in ipairs(prefixes) do
      local stop = prefix[2] == '' and next_rank or rank .. prefix[2]
      local entries = redis.call(
        'ZRANGE', KEYS[3], '[' .. rank .. prefix[1], '(' .. stop, 'BYLEX', 'LIMIT', 0, most)
      for _, entry in ipairs(entries) do terms[#terms + 1] = string.sub(entry, 2) end
    end
    add(terms)
    at = redis.call('ZRANGE', KEYS[3], '[' .. next_rank, '+', 'BYLEX', 'LIMIT', 0, 1)[1]
  end
end

local function collect(prefixes)
  local terms = few(prefixes)
  if terms then add(terms) else by_level(prefixes) end
end

collect({{ARGV[4], ARGV[5]}})
if #found < limit and #ARGV > 5 then
  local others = {}
  for i = 6, #ARGV, 2 do
    -- Few of the other prefixes have any text: one look at the terms leaves the rest out.
    local prefix = {ARGV[i], ARGV[i + 1]}
    local from, to = bounds_of(prefix)
    if redis.call('ZRANGE', KEYS[2], from, to, 'BYLEX', 'LIMIT', 0, 1)[1] then
      others[#others + 1] = prefix
    end
  end
  if #others > 0 then collect(others) end
end

local reply, total = {}, 0
for _, match in ipairs(found) do
  reply[#reply + 1] = match.original
  reply[#reply + 1] = string.format('%.0f', match.frequency)
  total = total + 1 / match.frequency
end
if chance ~= '' and #found > 0 then
  -- The rarer a text, the likelier it is the one that fades.
  local rest, chosen = tonumber(chance) * total, found[#found]
  for _, match in ipairs(found) do
    rest = rest - 1 / match.frequency
    if rest < 0 then chosen = match break end
  end
  remove(chosen.term, chosen.frequency)
  if chosen.frequency > 1 then put(chosen.normal, chosen.frequency - 1, chosen.original) end
end
return reply
