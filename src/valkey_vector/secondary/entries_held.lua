-- What is held for members. KEYS: settings, held. ARGV[2..]: the members. Returns the encodings; nil for none.
local held = {}
for i = 2, #ARGV do held[i - 1] = redis.call('HGET', KEYS[2], ARGV[i]) end
return held
