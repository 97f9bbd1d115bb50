-- Prelude after written.lua and digest.lua: the clock, and the sequence numbers of the log.
-- KEYS, ARGV: those of begin.lua. Begins a new log if there is none for this generation.
-- Defines micros and now (the server's time in microseconds and milliseconds), whole(number) as text, advance() (the
-- next sequence number), add(amount) to the digest, and touched (others have changed data since the last script).

local time = call('TIME')
local micros = tonumber(time[1]) * 1000000 + tonumber(time[2])
local now = math.floor(micros / 1000)
local before, digest = tonumber(state[3] or '0'), tonumber(state[4] or '')
local seq = before
local writes, saved = written()
local touched = not writes or state[8] ~= string.format('%.0f ', writes) .. saved
local function whole(number) return string.format('%.0f', number) end
local function advance()
  seq = math.max(seq + 1, micros)
  return seq
end
local function add(amount) if digest then digest = sum(digest, amount) end end
if not begun then
  call('DEL', KEYS[2], KEYS[3], KEYS[4])
  call('HDEL', KEYS[1], 'registered')
  before, digest = advance(), 0
  call('HSET', KEYS[1], 'log', ARGV[1], 'seq', whole(seq), 'floor', whole(seq), 'digest', '0')
end
