-- Admits no call to the system for a while; zero ends that, and less than zero has
-- the caller give up the trial that it may have.
-- ARGV: how long, and the caller's number.
local stored = redis.call('HMGET', KEYS[1], 'c', 's')
if not stored[2] then return 0 end
local s = load_state(stored[2])
local now, clock_now = clock(stored[1], 0)
local time = tonumber(ARGV[1])
if time < 0 then
  local trial = redis.call('HGET', KEYS[1], 't')
  if not trial or struct.unpack('<d', trial) ~= tonumber(ARGV[2]) then return 1 end
else
  s.suspended = time > 0 and math.max(s.suspended, now + time) or 0
end
redis.call('HDEL', KEYS[1], 't')
redis.call('HSET', KEYS[1], 'c', clock_now, 's', store_state(s))
redis.call('PUBLISH', KEYS[1], '')
return 1
