-- Tells who shares the counts of a system.
-- The answer: nothing, or JSON of the replicas and of how things stand.
local stored = redis.call('HMGET', KEYS[1], 'c', 's', 'r')
if not stored[2] then return '' end
local s, registry = load_state(stored[2]), cmsgpack.unpack(stored[3])
local now = clock(stored[1], 0)
local list = {}
local whose, till = struct.unpack('<dd', redis.call('HGET', KEYS[1], 't') or struct.pack('<dd', 0, 0))
local trial = s.suspended > 0 and s.suspended <= now
for name, r in pairs(registry) do
  local missing = now >= r.beat + s.missing
  local stop = r.stop or r.beat + s.alone
  list[#list + 1] = {
    name = name, share = r.share, beat = math.max(0, now - r.beat),
    gone = r.stop ~= nil, missing = missing, unaccounted = r.unaccounted or false,
    tries = trial and r.by == whose and now < till,
    kept = (r.stop or missing) and math.max(0, stop + s.lease - now) or 0,
  }
end
return cjson.encode({fenced = s.fence > 0, suspended = math.max(0, s.suspended - now), trial = trial, replicas = #list > 0 and list or nil})
