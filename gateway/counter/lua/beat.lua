-- Says that a replica is there, and tells it how things stand.
-- ARGV: the caller's numbers, its epoch (empty: it has no history), its name,
-- a new epoch; then the keys of pools that it wants to hear of.
-- The answer: {code, now, raw, text}; text is JSON.
local OK, LATE, STRANGE = 1, 2, 3
local least, bound, by, ack, age, missing, beat, alone, occupied, lease, expected, number = struct.unpack('<dddddddddddd', ARGV[1])
local recount = absence()
local epoch, name, fresh = ARGV[2], ARGV[3], ARGV[4]

local stored = redis.call('HMGET', KEYS[1], 'c', 's', 'r')
local now, clock_now = clock(stored[1], least)
local id = replid()
local s = stored[2] and load_state(stored[2])
local registry = stored[3] and cmsgpack.unpack(stored[3]) or {}

-- gather makes a state that admits nothing until those who have a history have
-- come and told it.
local function gather()
  redis.call('DEL', KEYS[1])
  registry = {}
  s = {}
  for i = 1, 23 do s[i] = 0 end
  s.id, s.epoch, s.fence, s.seq = id, fresh, now, 1
  s.cold, s.emptied = epoch == '' and 1 or 0, epoch == '' and 0 or now
  if s.cold > 0 and occupied > 0 then s.lump = now end
end

local began = false
if not s or s.id ~= id and epoch ~= '' then
  gather()
  began = true
elseif s.id ~= id then
  -- The data of a server that started again, and nobody with a history yet.
  s.id, s.epoch, s.fence, s.cold, s.seq = id, fresh, now, 1, s.seq + 1
  s.lump = occupied > 0 and now or 0
  s.loaded = 1
  for _, r in pairs(registry) do r.unaccounted = true end
  began = true
end
s.missing, s.beat, s.alone = missing, beat, alone

-- save also has all of it end some day when nobody comes any more: long after
-- whatever is counted or known of has come back, a calendar month included.
local SPARE = 3456000000000
local function save()
  redis.call('HSET', KEYS[1], 'c', clock_now, 's', store_state(s), 'r', cmsgpack.pack(registry))
  redis.call('PEXPIRE', KEYS[1], string.format('%.0f', (alone + 2 * (math.max(s.lease, s.lease_next) + s.longest) + SPARE) / 1000))
end

if epoch ~= '' and epoch ~= s.epoch then
  save()
  return {STRANGE, now, raw, cjson.encode({epoch = s.epoch, began = began})}
end

if s.id == id and not began and now > bound then return {LATE, now, raw, '{}'} end

-- What another word of this replica has overtaken says nothing of how it stands now:
-- by it the registry would have less for the replica than it goes by.
local r = registry[name]
if overtaken(r, by, number) then return {LATE, now, raw, '{}'} end

-- A former self under the same name is gone. If it may have been alone before,
-- what it sent then is not known: its share stays free until that is over.
local started = now - age
local taken = r ~= nil and r.by ~= by and ack > 0
if r and r.by ~= by then
  if started >= r.beat + missing then
    registry[name .. '#' .. string.format('%.0f', r.by)] = {by = r.by, beat = r.beat, share = r.share, ran = started - r.beat, heir = r.heir, stop = math.min(now, started)}
  end
  s.left = now
  r = nil
end
r = r or {by = by, share = 0}
r.beat, r.lease, r.number = now, lease, number
r.unaccounted = nil
registry[name] = r
recount(registry, s, now)

-- All shares together are never more than one, also when this answer gets lost.
local others = 0
for other, o in pairs(registry) do
  if other ~= name then others = others + o.share end
end
local offer = math.floor(math.max(0, math.min(1 / s.count, 1 - others)) * 1e9) / 1e9
r.share = math.max(ack, offer)

-- A longer lease may be given when all who are there know of it.
local known = s.lease_next
for _, o in pairs(registry) do
  if not o.stop and not o.unaccounted and now < o.beat + missing then known = math.min(known, o.lease or 0) end
end
s.lease = math.max(s.lease, known)

-- The fence lifts when all have come that may have a history, or when they had
-- long enough to come, or when as many are there as there can be. Those that have not come may be using all that nobody
-- else has, and what they have sent is not known.
if s.fence > 0 then
  local waiting, acks = 0, 0
  for _, o in pairs(registry) do
    if o.unaccounted then waiting = waiting + 1 elseif not o.stop then acks = acks + o.share end
  end
  local all = expected > 0 and s.count >= expected
  if now >= s.fence + missing + 2 * beat or waiting == 0 and (s.cold == 0 or all) then
    if waiting > 0 and s.loaded == 0 then s.lump = s.fence end
    local heirs = false
    for _, o in pairs(registry) do heirs = heirs or not o.unaccounted and o.heir end
    for _, o in pairs(registry) do
      if o.unaccounted then
        o.heir = not heirs -- it may be
        o.share, o.unaccounted = math.max(0, 1 - acks) / waiting, nil
        o.beat = math.min(o.beat, now - missing)
      end
    end
    if s.left > 0 then s.lump = math.max(s.lump, s.left) end
    s.fence, s.cold, s.loaded = 0, 0, 0
    recount(registry, s, now)
  end
end

-- One replica is the heir, for as long as it is known: alone, it has the pools of
-- a single place, which no share can divide. It is the first by name of those who
-- are there when there is none, so that operators can tell.
if s.fence == 0 and not r.heir then
  local free = true
  for other, o in pairs(registry) do
    if other < name or o.heir or o.stop or o.unaccounted or now >= o.beat + missing then free = false end
  end
  if free then r.heir = true end
end

-- What is surely not exceeded in a long pool until this replica counts as missing.
local function ceiling(h, a_share)
  local c = h[CAPACITY]
  local counted = h[FSUM] + h[HSUM] + h[FOREIGN] + a_share * c
  local top = math.max(counted, now < h[GUARD_AT] + missing + beat and h[CEILING] or 0)
  return math.min(c, math.ceil(top + growth(h, c, top)))
end

local pools = {}
if #ARGV > 4 then
  local names = {}
  for i = 5, #ARGV do names[#names + 1] = 'p:' .. ARGV[i] end
  local headers = redis.call('HMGET', KEYS[1], unpack(names))
  local away = 0
  for _, o in pairs(registry) do
    if o.stop or now >= o.beat + missing then away = away + o.share end
  end
  for i = 1, #names do
    if headers[i] then
      local h = load(headers[i])
      pools[#pools + 1] = {key = ARGV[i + 4], ceiling = ceiling(h, math.min(1, away)), paused = math.max(0, h[PAUSED] - now)}
    end
  end
end
local peers = {}
for other, o in pairs(registry) do
  if other ~= name and not o.stop then peers[#peers + 1] = {name = other, share = o.share, by = string.format('%.0f', o.by)} end
end

-- idle tells of a pool that may as well be new: all of its leases and holds are over.
-- What has ended since a calendar lease is not known here; a month is enough.
local MONTH = 2764800000000
local function idle(h)
  if h[DEMAND] > now or h[PAUSED] > now or h[FOREIGN] > 0 and h[FOREIGN_UNTIL] > now or share(h, now) < 1 then return false end
  if h[STRIKES] > 0 and now < h[PAUSED] + SHORTER_AFTER or now < h[SEEN] + SHORTER_AFTER then return false end
  if now < h[GUARD_AT] + missing + beat then return false end
  local flown = h[FSUM] > 0 and (h[FL] + 1) * h[FW] or 0
  if now < flown then return false end
  if h[KIND] == BUCKET then
    if flown > 0 then
      settle_debt(h, s, flown)
      h[DEBT] = h[DEBT] + h[FSUM] / h[PART]
    end
    settle_debt(h, s, now)
    return h[DEBT] <= 0
  elseif h[KIND] == CALENDAR then
    for i = ENDS, ENDS + 4, 2 do
      if h[i + 1] > 0 and h[i] > now then return false end
    end
    return flown == 0 or now >= flown + MONTH
  end
  return (h[HSUM] == 0 or now >= (h[HL] + 1) * h[HW]) and (flown == 0 or now >= flown + h[HOLD])
end

-- remove forgets a pool, with the slices that nobody has looked at since they ended.
local function remove(key, h)
  local names = {'p:' .. key, 'd:' .. key}
  local function slices(prefix, first, last)
    for i = math.max(first, last - 1000), last do names[#names + 1] = prefix .. i end
  end
  if h[FSUM] > 0 then slices('f:' .. key .. ':', h[FF], h[FL]) end
  if h[KIND] == HELD and h[HSUM] > 0 then slices('h:' .. key .. ':', h[HF], h[HL]) end
  redis.call('HDEL', KEYS[1], unpack(names))
end

-- sweep looks at some pools with each beat, and removes those that are idle.
-- Pools that a scope makes would else stay for ever.
local function sweep()
  local page = redis.call('HSCAN', KEYS[1], redis.call('HGET', KEYS[1], 'w') or '0', 'MATCH', 'p:*', 'COUNT', 50)
  redis.call('HSET', KEYS[1], 'w', page[1])
  local removed = 0
  for i = 1, #page[2], 2 do
    local h = load(page[2][i + 1])
    if removed < 20 and idle(h) then
      remove(string.sub(page[2][i], 3), h)
      removed = removed + 1
    end
  end
end
if s.fence == 0 and s.lump == 0 then sweep() end

local mine = false
if s.suspended > 0 then
  local whose, till = struct.unpack('<dd', redis.call('HGET', KEYS[1], 't') or struct.pack('<dd', 0, 0))
  mine = whose == by and now < till
end
save()
return {OK, now, raw, cjson.encode({
  epoch = s.epoch, share = offer, taken = taken, kept = s.sig, heir = r.heir or false, replicas = s.count, fenced = s.fence > 0, began = began,
  lifts = s.fence > 0 and math.max(0, s.fence + missing + 2 * beat - now) or nil,
  lease = math.max(s.lease, s.lease_next), suspended = math.max(0, s.suspended - now),
  trial = s.suspended > 0 and s.suspended <= now, mine = mine,
  left = s.left > 0 and now - s.left or -1, peers = #peers > 0 and peers or nil, pools = #pools > 0 and pools or nil,
})}
