-- Takes the units of all pools of a call, or of none.
-- ARGV: the caller's numbers, its epoch, its name; then a key and numbers for each ask.
-- The answer: {code, now, raw} or {ADMITTED | REFUSED, now, pool, refused, why, room in, again},
-- where why is TRIAL when the call is admitted to try the system after a suspension,
-- followed by what had ended in each pool, when it is admitted.
local ADMITTED, REFUSED, LATE, STRANGE, FENCED = 1, 0, 2, 3, 4
local WHY_PAUSED, WHY_SUSPENDED, TRIAL = 1, 2, 3

local least, bound, lease, class, flags, by = struct.unpack('<dddddd', ARGV[1])
local queued, by_floor, probe, overdraw = flags % 2 >= 1, flags % 4 >= 2, flags % 8 >= 4, flags % 16 >= 8

local names = {'c', 's'}
for i = 4, #ARGV, 2 do names[#names + 1] = 'p:' .. ARGV[i] end
local stored = redis.call('HMGET', KEYS[1], unpack(names))
if not stored[2] then return {STRANGE, 0, 0} end
local s = load_state(stored[2])
if s.epoch ~= ARGV[2] or not same(s.id) then return {STRANGE, 0, 0} end
local now, clock_now = clock(stored[1], least)
if now > bound then return {LATE, now, raw} end
if s.fence > 0 then return {FENCED, now, raw} end
if s.frozen > now then return {REFUSED, now, 0, 2 ^ (#names - 2) - 1, 0, 0, s.frozen - now} end
local count = #names - 2
local all = 2 ^ count - 1
if s.suspended > now then return {REFUSED, now, 0, all, WHY_SUSPENDED, s.suspended - now, s.suspended - now} end
local trial = 0
if s.suspended > 0 then
  -- One replica tries whether the system works again, for as long as its last call may take.
  local whose, till = struct.unpack('<dd', redis.call('HGET', KEYS[1], 't') or struct.pack('<dd', by, 0))
  if whose ~= by and now < till then return {REFUSED, now, 0, all, WHY_SUSPENDED, 0, math.min(till - now, 1000000)} end
  trial = TRIAL
end

-- A longer lease than any before must be known to all replicas before it is
-- given, because they wait for it when they are alone.
local changed = false
if lease > s.lease and not probe then
  if s.count <= 1 then
    s.lease, changed = lease, true
  else
    if lease > s.lease_next then s.lease_next, s.lease_at, changed = lease, now, true end
    local due = s.lease_at + s.missing + s.beat
    if now >= due then
      s.lease, changed = s.lease_next, true
    else
      redis.call('HSET', KEYS[1], 'c', clock_now, 's', store_state(s))
      return {REFUSED, now, 0, all, 0, 0, math.min(due - now, s.beat / 2)}
    end
  end
end

local registry, absent
if now >= s.next then
  local recount = absence()
  registry = cmsgpack.unpack(redis.call('HGET', KEYS[1], 'r'))
  recount(registry, s, now)
  redis.call('HSET', KEYS[1], 'r', cmsgpack.pack(registry))
  changed = true
end
if s.any > 0 then
  local _
  _, absent = absence()
  registry = registry or cmsgpack.unpack(redis.call('HGET', KEYS[1], 'r'))
end

-- wait makes what tells how long it takes until a full pool has room; most calls
-- find room and do without.
local function wait()
  -- until_free is the time by which so many units will have become free; nil when
  -- there are not as many.
  local function until_free(prefix, width, first, last, units)
    while first <= last do
      local names, n = {}, 0
      for i = first, math.min(last, first + CHUNK - 1) do
        n = n + 1
        names[n] = prefix .. i
      end
      local values = redis.call('HMGET', KEYS[1], unpack(names))
      for i = 1, n do
        if values[i] then
          units = units - values[i]
          if units <= 0 then return (first + i - 1) * width end
        end
      end
      first = first + n
    end
    return nil
  end

  -- grown is how long it takes until a pool has grown by so many units.
  local function grown(h, a, units)
    if a.least <= 0 or h[PART] >= 1 or h[GROWTH] <= 0 then return math.huge end
    return math.max(1, math.ceil(units / a.capacity / h[GROWTH]))
  end

  -- until_held is the time by which so many held units have come back; nil when
  -- there are not as many.
  local function until_held(h, a, units)
    if h[HSUM] < units or h[HSUM] == 0 then return nil end
    if h[KIND] == HELD then return until_free('h:' .. a.key .. ':', h[HW], h[HF], h[HL], units) end
    local ends = {}
    for i = ENDS, ENDS + 4, 2 do
      if h[i + 1] > 0 then ends[#ends + 1] = i end
    end
    table.sort(ends, function(x, y) return h[x] < h[y] end)
    for _, i in ipairs(ends) do
      units = units - h[i + 1]
      if units <= 0 then return h[i] end
    end
  end

  -- freed is how long it takes until so many units have come back.
  local function freed(h, a, missing)
    if missing <= 0 then return 0 end
    local t = over(a, now) - now -- of calls that are still under way
    local at = until_held(h, a, missing)
    if at then t = at - now end
    if h[FOREIGN] > 0 then
      local rest = missing - h[FOREIGN]
      at = rest > 0 and until_held(h, a, rest) or 0
      if rest <= 0 or at > 0 then t = math.min(t, math.max(h[FOREIGN_UNTIL], at) - now) end
    end
    return t
  end

  -- room_by_ends is room_in for a pool that counts calls under way only: any of
  -- them may end at any time.
  local function room_by_ends(h, a, missing, grows)
    local look, t = grows, 0
    if h[FSUM] > 0 then
      local next = until_free('f:' .. a.key .. ':', h[FW], h[FF], h[FL], 1)
      if next then look = math.min(look, next - now) end
    end
    if h[FOREIGN] > 0 then
      look = math.min(look, h[FOREIGN_UNTIL] - now)
      if missing > h[FSUM] then t = math.min(h[FOREIGN_UNTIL] - now, grows) end
    end
    return t, math.max(1, math.min(look, 1000000))
  end

  -- of tells it of a pool that is full.
  local function of(h, a, limit, used, missing)
    local grows = grown(h, a, missing)
    if h[KIND] == HELD and h[HOLD] == 0 then return room_by_ends(h, a, missing, grows) end
    local t = 0
    if missing > used then -- beyond what is there to be freed, each round of the limit takes a window
      if limit < a.units then return math.max(1, a.hold), 1000000 end -- until somebody absent returns
      local rounds = math.ceil((missing - used) / limit)
      t = rounds * (over(a, now) - now)
      missing = missing - rounds * limit
    end
    t = math.max(1, math.min(t + freed(h, a, missing), grows))
    return t, t
  end

  return of
end

local asks, pools = {}, {}
local granted, refused, worst, room, again, paused, soft = true, 0, -1, 0, 0, 0, false
for i = 1, count do
  local a = ask(ARGV[2 * i + 2], ARGV[2 * i + 3])
  local h = pool(stored[i + 2], s, a, by, lease, now)
  asks[i], pools[i] = a, h
  if a.hold > s.longest or a.calendar > 0 and over(a, now) - now > s.longest then
    s.longest, changed = math.max(a.hold, over(a, now) - now), true
  end
  local is_paused = h[PAUSED] > now
  local t, look = h[PAUSED] - now, h[PAUSED] - now
  if not is_paused then
    if a.capacity == 0 or a.free > 0 or a.soft > 0 and overdraw then
      look = 0
    else
      -- However small a pool has become, it takes a call that fits into the whole
      -- of it when nothing else is there.
      local capacity = effective(h, a, now)
      local limit = capacity - a.reserve
      if capacity < a.capacity and limit < a.units then limit = math.max(limit, math.min(a.units, a.capacity - a.reserve)) end
      local away, wanted = 0, 0
      if s.any > 0 then away = (h[KIND] == BUCKET and not single(a.capacity) and s.sig or absent(registry, s, a, now)) * a.capacity end
      if h[DEMAND] > now and not by_floor then wanted = queues()(h, a, class, now) end
      limit = limit - away - wanted
      -- t is how long it takes at least until the ask has room, and look how long
      -- until it is worth another look, which is zero when there is room now.
      t, look = 0, 0
      if h[KIND] == BUCKET then
        local missing = h[FSUM] + h[DEBT] + a.units - limit
        if missing > 0 or h[AT] > now then
          t = math.max(1, math.ceil(missing * h[INTERVAL] / (single(a.capacity) and 1 or math.max(1e-3, 1 - s.sig)) + math.max(0, h[AT] - now)))
          look = t
        end
      else
        local used = h[FSUM] + h[HSUM] + h[FOREIGN]
        local missing = used + a.units - limit
        if missing > 0 then
          t, look = wait()(h, a, limit, used, missing)
        elseif a.guarded > 0 then
          -- What is counted of a long pool is kept from growing fast, so that replicas
          -- that lose Redis know how much is surely left.
          local counted, stretch = used + away, s.missing + s.beat
          if now >= h[GUARD_AT] + stretch then
            h[GUARD_AT] = now
            h[CEILING] = counted + growth(h, capacity, counted)
          end
          if counted + a.units > math.max(h[CEILING], a.units) then
            t = h[GUARD_AT] + stretch - now
            look = t
          end
        end
      end
    end
  end
  if look > 0 then
    granted = false
    refused = refused + 2 ^ (i - 1)
    again = math.max(again, look)
    if worst < 0 or t > room or t == 0 and room == 0 and soft then
      worst, room, paused, soft = i, t, is_paused and WHY_PAUSED or 0, a.soft > 0
    end
  end
end

if probe or not granted then
  local write = {'c', clock_now}
  local _, demand
  if queued and not probe then _, demand = queues() end
  for i = 1, count do
    local a = asks[i]
    if demand and refused % 2 ^ i >= 2 ^ (i - 1) and a.capacity > 0 then
      demand(pools[i], a, ARGV[3], class, now + again + 100000, now)
    end
    write[#write + 1] = names[i + 2]
    write[#write + 1] = store(pools[i], now)
  end
  if changed then write[#write + 1] = 's' write[#write + 1] = store_state(s) end
  redis.call('HSET', KEYS[1], unpack(write))
  if granted then return {ADMITTED, now, 0, 0, 0, 0, 0} end
  return {REFUSED, now, worst - 1, refused, paused, math.ceil(room), math.ceil(again)}
end

local write = {'c', clock_now}
for i = 1, count do
  local a, h = asks[i], pools[i]
  put('f:' .. a.key .. ':', h, FW, FF, FL, FSUM, now + lease, a.units)
  if h[DEMAND] > now then
    local _, demand = queues()
    demand(h, a, ARGV[3], class, nil, now)
  end
  write[#write + 1] = names[i + 2]
  write[#write + 1] = store(h, now)
end
if changed then write[#write + 1] = 's' write[#write + 1] = store_state(s) end
if trial > 0 then write[#write + 1] = 't' write[#write + 1] = struct.pack('<dd', by, now + lease) end
redis.call('HSET', KEYS[1], unpack(write))
local answer = {ADMITTED, now, 0, 0, trial, 0, 0}
for i = 1, count do answer[7 + i] = pools[i][ENDED] end -- what had ended by then
return answer
