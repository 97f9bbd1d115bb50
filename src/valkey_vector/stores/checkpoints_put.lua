-- Stores a checkpoint, whole or not at all.
--
-- ARGV: namespace, id, parent's id or '', milliseconds to live or 0, run or '', metadata, body, and for each channel four
-- more: channel, version ('' if it has none), kind, value. The kind is
--   v  the value is sent; k  there is one, stored by an ancestor; -, d  as in a record.
-- Returns the channels of kind k whose value is not there. If there are any, nothing was stored: send their values, too.
local namespace, id, parent = ARGV[1], ARGV[2], ARGV[3]
local inherited = {}
if parent ~= '' then
  local record = redis.call('HGET', data, 'c' .. namespace .. parent)
  if record then
    for _, entry in ipairs(channels_of(record)) do inherited[entry[1]] = entry end
  end
end

local packed, new, missing = {}, {}, {}
for i = 8, #ARGV, 4 do
  local channel, version, kind, value = ARGV[i], ARGV[i + 1], ARGV[i + 2], ARGV[i + 3]
  local mode, owner = kind, nil
  if kind == 'v' then
    -- A version has one value. Should another branch of the thread have used the same version for another value, then
    -- this checkpoint gets a field of its own.
    local stored = version ~= '' and redis.call('HGET', data, field_of(namespace, channel, version, 'b'))
    if version ~= '' and (not stored or stored == value) then
      mode = 'b'
    else
      mode, owner, stored = 's', id, false
    end
    if not stored then new[field_of(namespace, channel, version, mode, owner)] = value end
  elseif kind == 'k' then
    local entry = inherited[channel]
    if entry and entry[2] == version and value_field(namespace, entry) then
      mode, owner = entry[3], entry[4]
    elseif redis.call('HEXISTS', data, field_of(namespace, channel, version, 'b')) == 1 then
      mode = 'b'
    else
      missing[#missing + 1] = channel
    end
  end
  packed[#packed + 1] = sized(channel) .. sized(version) .. mode .. (owner and sized(owner) or '')
end
if #missing > 0 then return missing end

for field, value in pairs(new) do redis.call('HSET', data, field, value) end
local record = sized(table.concat(packed)) .. sized(parent) .. sized(ARGV[5]) .. sized(ARGV[6]) .. ARGV[7]
redis.call('HSET', data, 'c' .. namespace .. id, record)
if ARGV[5] ~= '' then redis.call('HSET', data, 'r' .. ARGV[5], '') end
redis.call('ZADD', index, 0, namespace .. id)
keep(tonumber(ARGV[4]))
return missing
