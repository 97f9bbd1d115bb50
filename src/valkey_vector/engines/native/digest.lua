-- Prelude of the scripts that change the log: the digest of the sequence numbers in it.
-- No KEYS or ARGV of its own. digest.py computes the same; tests/integration/test_native_digest.py holds them together.
-- mix(s) returns what sequence number s adds to the digest; sum(digest, amount) adds it. Digests are below 2^52, so that
-- Lua adds them exactly.

local function mix(s) return (s % 67108859) * (s % 67108837) end
local function sum(digest, amount) return (digest + amount) % 4503599627370496 end
