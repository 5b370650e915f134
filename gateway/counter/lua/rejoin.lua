-- Takes in what a replica knows: all that it has under way and held after a loss
-- of data, or what it admitted while it was alone.
-- ARGV: the caller's numbers, the epoch, the replica's name, JSON of peers, then
-- for each pool a key, the ask's numbers, and a string of struct numbers:
-- ceiling, pause, then pairs of units under way and the rest of their lease,
-- count first, then pairs of units held and the rest of their time.
local least, bound, by, ack, whole, lease, left, heir, number = struct.unpack('<ddddddddd', ARGV[1])
local name = ARGV[3]
local recount = absence()
local stored = redis.call('HMGET', KEYS[1], 'c', 's', 'r')
local s = stored[2] and load_state(stored[2])
if not s or s.epoch ~= ARGV[2] or not same(s.id) then return {3, 0, 0} end
local now, clock_now = clock(stored[1], least)
if now > bound then return {2, now, raw} end
local registry = cmsgpack.unpack(stored[3])
if overtaken(registry[name], by, number) then return {2, now, raw} end

if whole > 0 and s.loaded > 0 then
  -- What was loaded may be old; those who have a history know better.
  redis.call('DEL', KEYS[1])
  s.loaded, s.cold = 0, 0
  registry = {}
end
if whole > 0 then
  s.cold = 0
  if s.fence > 0 then s.emptied = now end
end
s.lease = math.max(s.lease, lease)
if left >= 0 then s.left = math.max(s.left, now - left) end

local r = registry[name]
if r and r.by ~= by and not r.unaccounted then s.left = now end
local same = r and r.by == by
for other, o in pairs(registry) do
  if other ~= name and o.heir then heir = 0 end -- it is somebody else by now
end
registry[name] = {by = by, number = number, beat = now, lease = lease, share = math.max(ack, same and r.share or 0), heir = heir > 0 or same and r.heir and not r.unaccounted}
for _, p in ipairs(cjson.decode(ARGV[4])) do
  if whole > 0 and s.fence > 0 and not registry[p.name] then
    registry[p.name] = {by = tonumber(p.by), beat = now - s.missing, share = p.share, unaccounted = true}
  end
end
recount(registry, s, now)

local known, learnt = cmsgpack.unpack(redis.call('HGET', KEYS[1], 'k') or cmsgpack.pack({})), false
for i = 5, #ARGV, 3 do
  local a = ask(ARGV[i], ARGV[i + 1])
  local n = {}
  local text = ARGV[i + 2]
  for place = 1, #text, 8 do n[#n + 1] = struct.unpack('<d', text, place) end
  local seq = s.seq
  if s.fence > 0 then s.seq = 0 end -- what is unknown is counted when the fence has lifted
  local h = pool(redis.call('HGET', KEYS[1], 'p:' .. a.key), s, a, by, math.max(lease, 1), now)
  s.seq = seq
  if n[1] >= 0 and whole > 0 and s.fence > 0 then
    known[a.key], learnt = math.max(known[a.key] or 0, n[1]), true
  end
  if n[2] > 0 then h[PAUSED], h[PAUSED_AT] = math.max(h[PAUSED], now + n[2]), now end
  local flying = n[3]
  for j = 0, flying - 1 do
    put('f:' .. a.key .. ':', h, FW, FF, FL, FSUM, now + n[5 + 2 * j], n[4 + 2 * j])
  end
  for j = 4 + 2 * flying, #n, 2 do
    -- over() adds the hold again: these units are told by when they are free.
    if h[KIND] == CALENDAR then
      keep(h, s, a, math.max(now, now + n[j + 1] - a.hold) - 1, n[j], now)
    elseif h[KIND] == HELD then
      put('h:' .. a.key .. ':', h, HW, HF, HL, HSUM, now + n[j + 1], n[j])
    end
  end
  redis.call('HSET', KEYS[1], 'p:' .. a.key, store(h, now))
end
if learnt then redis.call('HSET', KEYS[1], 'k', cmsgpack.pack(known)) end
redis.call('HSET', KEYS[1], 'c', clock_now, 's', store_state(s), 'r', cmsgpack.pack(registry))
return {1, now, raw}
