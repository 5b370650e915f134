-- Ends an admitted call.
-- ARGV: the caller's numbers, its epoch; then a key and numbers for each ask.
-- A replica numbers its settlements; one that was carried out already, because its
-- answer was lost, is not carried out again.
-- It does not free what is over: that waits for an admission, whose caller has
-- made sure that the clock has not been put forward.
local least, most, lease_end, at, age, outcome, overload, hint, paused_set, by, number = struct.unpack('<ddddddddddd', ARGV[1])
local ANSWERED, UNKNOWN, UNSENT = 0, 1, 2
local FIRST_PAUSE, MAX_PAUSE = 250000, 30000000

local counter = 'q:' .. string.format('%.0f', by)
local names = {'c', 's', counter}
for i = 3, #ARGV, 2 do names[#names + 1] = 'p:' .. ARGV[i] end
local stored = redis.call('HMGET', KEYS[1], unpack(names))
if not stored[2] then return 0 end
local s = load_state(stored[2])
if s.epoch ~= ARGV[2] or number <= tonumber(stored[3] or 0) then return 0 end
local now, clock_now = clock(stored[1], least)
now = math.min(now, most) -- should the clock be ahead
local done = math.max(at, now - age)

-- release takes what was counted when the lease ran out before the call did.
local function release(h, a)
  local over_at = over(a, slice(h[FW], lease_end) * h[FW])
  if h[KIND] == HELD and h[HOLD] > 0 then
    take('h:' .. a.key .. ':', h, HW, HF, HL, HSUM, over_at, a.units)
  elseif h[KIND] == CALENDAR then
    for i = ENDS, ENDS + 4, 2 do
      if h[i] == over_at then
        local u = math.min(h[i + 1], a.units)
        h[i + 1], h[HSUM] = h[i + 1] - u, h[HSUM] - u
      end
    end
  end
end

local function finish(h, a)
  if outcome == UNKNOWN then
    put('f:' .. a.key .. ':', h, FW, FF, FL, FSUM, lease_end, a.actual - a.units) -- it may cost that much where it is
    return
  end
  if h[HSUM] == 0 then h[HF] = math.floor(least / h[HW]) + 1 end
  local flying = take('f:' .. a.key .. ':', h, FW, FF, FL, FSUM, lease_end, a.units)
  if outcome == UNSENT then return end
  if flying then
    keep(h, s, a, done, a.actual, now)
  elseif h[KIND] == BUCKET then
    keep(h, s, a, done, a.actual - a.units, now)
  elseif done > lease_end then
    -- It occupies its units since its end, not since the end of the lease.
    release(h, a)
    keep(h, s, a, done, a.actual, now)
  end
end

-- suspect is the pool that an overload shrinks: of the adaptive ones that it may be
-- about that which is nearest to full and above its floor. It is none where one of
-- them has shrunk since the call was admitted. overload is one more than the set.
local function suspect()
  local found, most
  for i = 1, #names - 3 do
    if stored[i + 3] and (overload - 1) % 2 ^ i >= 2 ^ (i - 1) then
      local a, h = ask(ARGV[2 * i + 1], ARGV[2 * i + 2]), load(stored[i + 3])
      if a.least > 0 and a.capacity > 0 then
        if at <= h[CUT_AT] then return nil end
        local used = h[FSUM] + h[HSUM] + h[FOREIGN]
        if h[KIND] == BUCKET then used = h[FSUM] + math.max(0, h[DEBT] - math.max(0, now - h[AT]) / h[INTERVAL]) end
        local full, least_part = used / math.max(1, effective(h, a, now)), math.min(1, a.least / a.capacity)
        if least_part >= 1 or h[PART] <= least_part and share(h, now) * a.cut <= least_part then full = full - 1e12 end
        if not found or full > most then found, most = i, full end
      end
    end
  end
  return found
end

local function shrink(h, a)
  local least_part = math.min(1, a.least / a.capacity)
  h[PART], h[CUT_AT], h[GROWTH] = math.max(least_part, share(h, now) * a.cut), now, (1 - least_part) / a.recover
end

-- pause stops admissions. Refusals of calls that were admitted before the pause
-- began belong to the same overload and do not make it longer, unless the system
-- says so.
local function pause(h, a)
  if hint > 0 then
    h[PAUSED], h[PAUSED_AT] = math.max(h[PAUSED], now + hint), now
    return
  end
  if h[PAUSED] > now or h[STRIKES] > 0 and at <= h[PAUSED_AT] then return end
  h[PAUSED_AT] = now
  h[PAUSED] = now + math.min(FIRST_PAUSE * 2 ^ math.min(h[STRIKES], 16), MAX_PAUSE)
  h[STRIKES] = h[STRIKES] + 1
end

-- shed takes held units out that would come back first.
local function shed(h, a, units)
  units = math.min(units, h[HSUM])
  if h[KIND] == CALENDAR then
    local ends = {ENDS, ENDS + 2, ENDS + 4}
    table.sort(ends, function(x, y) return h[x] < h[y] end)
    for _, i in ipairs(ends) do
      local u = math.min(units, h[i + 1])
      h[i + 1], h[HSUM], units = h[i + 1] - u, h[HSUM] - u, units - u
    end
    return
  end
  local i = h[HF]
  while units > 0 and i <= h[HL] do
    local name = 'h:' .. a.key .. ':' .. i
    local there = tonumber(redis.call('HGET', KEYS[1], name) or 0)
    if there > 0 then
      local u = math.min(units, there)
      if u == there then redis.call('HDEL', KEYS[1], name) else redis.call('HINCRBY', KEYS[1], name, -u) end
      h[HSUM], units = h[HSUM] - u, units - u
    end
    i = i + 1
  end
end

-- window_start is where the calendar window of now begins.
local function window_start(a)
  if a.calendar == 1 then return window_end(a, now) - a.c1 end
  local start = a.c1
  for _, c in ipairs({a.c2, a.c3, a.c4}) do
    if c <= now then start = c end
  end
  return start
end

-- report goes by what the system said of a pool with the answer to this call. It
-- may have said so at any time since the call was admitted: what has ended
-- meanwhile, or is still under way, may be in its count or not. So what it has
-- counted more than all of ours together is foreign; and what is held more than
-- it has counted, and has not ended since, it does not count.
local FOREIGN_STAY = 10000000
local function report(h, a)
  if a.used < 0 or h[KIND] == CALENDAR and at < window_start(a) + a.hold then return end
  if h[KIND] == BUCKET then settle_debt(h, s, now) end
  local since = h[ENDED] - a.ended
  local ours = h[KIND] == BUCKET and h[DEBT] or h[HSUM]
  local excess = ours - a.used - math.max(0, since - (outcome == ANSWERED and a.actual or 0))
  if a.exact > 0 and excess > 0 then
    ours = ours - excess
    if h[KIND] == BUCKET then h[DEBT] = ours else shed(h, a, excess) end
  end
  local concurrency = h[KIND] == HELD and h[HOLD] == 0
  if concurrency then ours = since end -- they were under way then
  local others = math.max(0, a.used - ours - h[FSUM])
  if h[KIND] == BUCKET then
    h[DEBT] = h[DEBT] + others
  else
    h[FOREIGN], h[FOREIGN_UNTIL] = others, concurrency and now + FOREIGN_STAY or over(a, now)
  end
end

local write, wake = {'c', clock_now, counter, number}, false
local shrinking = overload > 0 and suspect()
for i = 1, #names - 3 do
  if stored[i + 3] then
    local a = ask(ARGV[2 * i + 1], ARGV[2 * i + 2])
    local h = load(stored[i + 3])
    a.hold = math.max(a.hold, h[HOLD])
    finish(h, a)
    if overload > 0 and paused_set % 2 ^ i >= 2 ^ (i - 1) then
      pause(h, a)
    elseif outcome == ANSWERED and overload == 0 and at >= h[PAUSED] then
      h[STRIKES] = 0
    end
    if i == shrinking then shrink(h, a) end
    report(h, a)
    local freed = outcome == UNSENT or h[KIND] == HELD and h[HOLD] == 0 or a.actual < a.units
    wake = wake or freed and h[DEMAND] > now
    write[#write + 1] = names[i + 3]
    write[#write + 1] = store(h, now)
  end
end
redis.call('HSET', KEYS[1], unpack(write))
if wake then redis.call('PUBLISH', KEYS[1], string.sub(counter, 3)) end
return 1
