#!lua
-- Writes records, all or none.
-- KEYS, ARGV[1] to ARGV[3]: those of begin.lua; KEYS[5] and after: the records.
-- ARGV[4]: policy (OVERWRITE, FAIL or SKIP). ARGV[5]: time of creation of the first record in microseconds ('': now);
-- each next one is later by 1. ARGV[6]: time to live in ms (0: none; negative: it will be extended, so only the key
-- has it). ARGV[7] and after: for each record its fields and values in turn, each after its length in four bytes. One
-- argument for each record instead of twenty saves most of the cost of sending.
-- Returns {'ok', written, ids that existed}, or {'foreign', key, its type}, and then nothing was written.

-- The record is not removed first: while its slot moves, a removed key could not be written again on this node.
local function remove_stale(key, before, fields)
  local valid, stale = {created = true}, {}
  for i = 1, #fields, 2 do valid[fields[i]] = true end
  for _, field in ipairs(before) do
    if not valid[field] then stale[#stale + 1] = field end
  end
  if #stale > 0 then call('HDEL', key, unpack(stale)) end
end

local policy, stamp, ttl = ARGV[4], ARGV[5], tonumber(ARGV[6])
local first = 5
local present, kinds, times = {}, {}, {}
for i = first, #KEYS do
  local kind, _, created = look(KEYS[i])
  if kind == 'foreign' then return {'foreign', KEYS[i], call('TYPE', KEYS[i]).ok} end
  kinds[i], times[i] = kind, created
  if kind == 'own' then present[#present + 1] = string.sub(KEYS[i], #prefix + 1) end
end
if policy == 'FAIL' and #present > 0 then return {'ok', 0, present} end
if policy == 'OVERWRITE' then present = {} end
local oldest = stamp == '' and micros or tonumber(stamp)
local written = 0
for i = first, #KEYS do
  local key, kind = KEYS[i], kinds[i]
  local id = string.sub(key, #prefix + 1)
  if kind ~= 'own' or policy ~= 'SKIP' then
    local created = times[i] or whole(oldest + i - first)
    local stale = kind == 'absent' and {} or call('HKEYS', key)
    if kind ~= 'absent' and ttl == 0 then call('PERSIST', key) end
    local fields, packed, at = {}, ARGV[7 + i - first], 1
    while at <= #packed do fields[#fields + 1], at = struct.unpack('>I4c0', packed, at) end
    local ends = now + math.abs(ttl)
    if ttl > 0 then
      fields[#fields + 1] = 'expires'
      fields[#fields + 1] = whole(ends)
    end
    call('HSET', key, 'created', created, unpack(fields))
    remove_stale(key, stale, fields)
    if ttl ~= 0 then
      local set = try('PEXPIREAT', key, whole(ends))
      if type(set) == 'table' and set.err then
        call('DEL', key)
        gone(id)
        finish()
        return set
      end
      expires(id, ends)
    else
      call('ZREM', KEYS[4], id)
    end
    changed(id)
    written = written + 1
  end
end
finish()
return {'ok', written, present}
