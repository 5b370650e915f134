-- Admits no call to the system for a while; zero ends that.
-- ARGV: how long.
local stored = redis.call('HMGET', KEYS[1], 'c', 's')
if not stored[2] then return 0 end
local s = load_state(stored[2])
local now, clock_now = clock(stored[1], 0)
local time = tonumber(ARGV[1])
s.suspended = time > 0 and math.max(s.suspended, now + time) or 0
redis.call('HSET', KEYS[1], 'c', clock_now, 's', store_state(s))
if time <= 0 then redis.call('PUBLISH', KEYS[1], '') end
return 1
