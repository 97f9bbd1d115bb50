-- Copies a thread: reads it whole, or writes what was read into a thread that does not exist yet.
--
-- ARGV: nothing, to read: returns both keys as DUMP makes them. Or milliseconds to live or 0, and both keys: returns
-- whether they were written; they are not if there is such a thread.
if #ARGV == 0 then
  return {redis.call('DUMP', data), redis.call('DUMP', index)}
end
if redis.call('EXISTS', data, index) > 0 then return 0 end
redis.call('RESTORE', data, ARGV[1], ARGV[2])
redis.call('RESTORE', index, ARGV[1], ARGV[3])
return 1
