-- A replica leaves, or is said to be gone for good. Its units stay counted.
-- ARGV: its name, whether it left in good order, and its number if so.
-- The answer: 1, or 0 when it is not known, or 2 when it is there and so not gone.
local recount, _, forget_number = absence()
local stored = redis.call('HMGET', KEYS[1], 'c', 's', 'r')
if not stored[2] then return 0 end
local s, registry = load_state(stored[2]), cmsgpack.unpack(stored[3])
local now, clock_now = clock(stored[1], 0)
local r = registry[ARGV[1]]
if not r or ARGV[2] == '1' and r.by ~= tonumber(ARGV[3]) then return 0 end -- a later process may have its name
if ARGV[2] == '0' and (r.stop or now < r.beat + s.missing) then return r.stop and 0 or 2 end
registry[ARGV[1]] = nil
if ARGV[2] == '1' then
  forget_number(r)
else
  r.ran = now - r.beat
  r.stop = now
  registry[ARGV[1] .. '#' .. string.format('%.0f', r.by)] = r
end
s.left = now
recount(registry, s, now)
redis.call('HSET', KEYS[1], 'c', clock_now, 's', store_state(s), 'r', cmsgpack.pack(registry))
return 1
