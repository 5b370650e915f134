-- Takes back what the server's clock was put forward, once somebody knows that
-- it was. ARGV: the most that the skew can be.
local stored = redis.call('HMGET', KEYS[1], 'c', 's', 'r')
if not stored[2] then return 0 end
local s, registry = load_state(stored[2]), cmsgpack.unpack(stored[3])
local last, skew = struct.unpack('<dd', stored[1])
local most = tonumber(ARGV[1])
if skew <= most then return 0 end
local t = redis.call('TIME')
local now = t[1] * 1000000 + t[2] + most
for _, r in pairs(registry) do r.beat = math.min(r.beat, now) end
s.frozen = now + math.min(skew - most, tonumber(ARGV[2]))
s.changed, s.left, s.next = math.min(s.changed, now), math.min(s.left, now), 0
redis.call('HSET', KEYS[1], 'c', struct.pack('<dd', now, most), 's', store_state(s), 'r', cmsgpack.pack(registry))
return 1
