-- The members of a range, in order: those with a score, and apart from them those with an entry.
-- KEYS: settings, scores, entries.
-- ARGV[2], [3]: bounds of ZCOUNT: the highest score below the range, the highest in it. ARGV[4], [5]: the bounds
-- of the entries. ARGV[6]: '1' reverses. ARGV[7]: at most so many of each, -1 for all.
-- ARGV[8], [9]: leave out what comes up to this score and member; no score for none.
local below, high, low_entry, high_entry = ARGV[2], ARGV[3], ARGV[4], ARGV[5]
local reverse, limit, score, member = ARGV[6] == '1', tonumber(ARGV[7]), ARGV[8], ARGV[9]

-- Whether a is before b, byte by byte. Lua's own comparison of strings depends on the server's locale.
local function before(a, b)
  local shorter = math.min(#a, #b)
  for i = 1, shorter do
    local x, y = string.byte(a, i), string.byte(b, i)
    if x ~= y then return x < y end
  end
  return #a < #b
end

-- The rank of the first member of this score that is not before the cursor's, or, with `past`, that is after it.
local function position(past)
  local from = redis.call('ZCOUNT', KEYS[2], '-inf', '(' .. score)
  local to = redis.call('ZCOUNT', KEYS[2], '-inf', score)
  while from < to do
    local middle = math.floor((from + to) / 2)
    local there = redis.call('ZRANGE', KEYS[2], middle, middle)[1]
    if before(there, member) or (past and there == member) then from = middle + 1 else to = middle end
  end
  return from
end

local first = redis.call('ZCOUNT', KEYS[2], '-inf', below)
local last = redis.call('ZCOUNT', KEYS[2], '-inf', high) - 1
if score ~= '' then
  if reverse then last = math.min(last, position(false) - 1) else first = math.max(first, position(true)) end
end
if limit >= 0 then
  if reverse then first = math.max(first, last - limit + 1) else last = math.min(last, first + limit - 1) end
end

local scored, entries = {}, {}
if first <= last then
  if reverse then
    -- Ranks of a reversed range count from the other end.
    local size = redis.call('ZCARD', KEYS[2])
    scored = redis.call('ZRANGE', KEYS[2], size - 1 - last, size - 1 - first, 'REV', 'WITHSCORES')
  else
    scored = redis.call('ZRANGE', KEYS[2], first, last, 'WITHSCORES')
  end
end
if reverse then
  entries = redis.call('ZRANGE', KEYS[3], high_entry, low_entry, 'BYLEX', 'REV', 'LIMIT', 0, limit)
else
  entries = redis.call('ZRANGE', KEYS[3], low_entry, high_entry, 'BYLEX', 'LIMIT', 0, limit)
end
return {scored, entries}
