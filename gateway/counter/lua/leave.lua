-- A replica leaves, or is said to be gone for good. Its units stay counted.
-- ARGV: its name, whether it left in good order.
local stored = redis.call('HMGET', KEYS[1], 'c', 's', 'r')
if not stored[2] then return 0 end
local s, registry = load_state(stored[2]), cmsgpack.unpack(stored[3])
local now, clock_now = clock(stored[1], 0)
local r = registry[ARGV[1]]
if not r then return 0 end
registry[ARGV[1]] = nil
if ARGV[2] == '0' and now >= r.beat + s.missing then
  r.paced = r.share * math.min(1, math.max(0.01, (now - r.beat) / s.alone))
  r.stop = now
  registry[ARGV[1] .. '#' .. string.format('%.0f', r.by)] = r
end
s.left = now
recount(registry, s, now)
redis.call('HSET', KEYS[1], 'c', clock_now, 's', store_state(s), 'r', cmsgpack.pack(registry))
return 1
