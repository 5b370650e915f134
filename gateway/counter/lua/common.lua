-- What all scripts of a system share. KEYS[1] is one hash that holds all that is
-- known of the system, so that losing a part of it without the rest is not
-- possible: what is evicted, expired or flushed is the whole, and that is noticed.
--
--   c       the clock: struct of the latest time and the skew
--   s       the state: struct
--   r       the registry: a packed table of replicas by name
--   p:KEY   a pool's header: struct of numbers, named below
--   f:KEY:i units under way whose lease ends in slice i
--   h:KEY:i units that stay occupied until the end of slice i
--   d:KEY   demand: calls in line at this pool, a packed table by replica and class
--   q:BY    the number of the last settlement of a replica
--   t       the trial after a suspension: who has it, and until when
--   w       how far the sweep has come
--   k       use last known before a loss, by pool, a packed table
--
-- Times are microseconds; units are thousandths. Numbers are doubles, exact
-- beyond any time and sum that can come up.

-- The places of a pool's header. Most pools need the first few alone; what is not
-- written has its value in BLANK.
local BY, REV, KIND, HOLD, INTERVAL = 1, 2, 3, 4, 5     -- who configured it, and how
local FW, FF, FL, FSUM = 6, 7, 8, 9                     -- under way: slice width, first, last, sum
local HW, HF, HL, HSUM = 10, 11, 12, 13                 -- held: the same
local CAPACITY = 14
local SEQ = 15                                          -- the last loss that is accounted for
local ENDED = 16                                        -- units of all calls that have ended
local SEEN = 17                                         -- last use of the longer hold
local DEBT, AT, LOST, DOWN = 18, 19, 20, 21             -- what a bucket lacks at a time, see settle_debt
local DEMAND = 22                                       -- calls are in line until
local PAUSED, PAUSED_AT, STRIKES = 23, 24, 25
local PART, CUT_AT, GROWTH = 26, 27, 28                 -- adaptive: the part left at the last cut, regained in a microsecond
local FOREIGN, FOREIGN_UNTIL = 29, 30                   -- units of others that the system told of
local GUARD_AT, CEILING = 31, 32                        -- long pools: what may be counted for now
local ENDS = 33                                         -- calendar: three times an end and its units

local HELD, BUCKET, CALENDAR = 0, 1, 2
local FORMATS = {
  [17] = '<ddddddddddddddddd',
  [21] = '<ddddddddddddddddddddd',
  [38] = '<dddddddddddddddddddddddddddddddddddddd',
}
local BLANK = {__index = {0, -1, 0, 0, 0, 32, 0, 0, 0, 32, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, -1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}}

-- A header that was written as a whole has something after its last place, which
-- is where the text ends.
local WHOLE = 39

local function load(text)
  local n = #text / 8
  local h = {struct.unpack(FORMATS[n], text)}
  if n < 38 then h[n + 1] = nil end -- where the text ends
  return setmetatable(h, BLANK)
end

local function store(h, now)
  local n = h[KIND] == HELD and 17 or 21
  if h[KIND] == CALENDAR or h[DEMAND] > now or h[PAUSED] > now or h[STRIKES] > 0 or h[PART] < 1 or h[FOREIGN] > 0 or h[GUARD_AT] > 0 then
    n = 38
  end
  if not h[WHOLE] then
    for i = 18, n do h[i] = h[i] end
  end
  return struct.pack(FORMATS[n], unpack(h, 1, n))
end

-- The state, as a table and as a string. Its fields are places of a list, which takes
-- Redis much less than a table of names.
-- places of s: seq, lump, left, suspended, lease, lease_next, lease_at, longest, sig, lost, down, changed
-- places of s: emptied, next, any, count, fence, cold, loaded, missing, beat, alone, frozen, epoch, id
local STATE = '<dddddddddddddddddddddddss'

local function load_state(text) return {struct.unpack(STATE, text)} end

local function store_state(s) return struct.pack(STATE, unpack(s, 1, 25)) end

-- replid changes with every start of a server and with every promotion of a replica.
local function replid()
  return string.match(redis.call('INFO', 'replication'), 'master_replid:(%x+)')
end

-- same tells that it has not changed; finding a text that is known takes less.
local function same(id)
  return string.find(redis.call('INFO', 'replication'), 'master_replid:' .. id, 1, true)
end

-- clock gives the time, which never goes back: not behind the latest that was
-- given, nor behind what the caller knows to have passed. skew is what has to be
-- added to the server's wall clock.
local raw
local function clock(stored, least)
  local t = redis.call('TIME')
  raw = t[1] * 1000000 + t[2]
  local last, skew = 0, 0
  if stored then last, skew = struct.unpack('<dd', stored) end
  local now = math.max(raw + skew, last, least)
  return now, struct.pack('<dd', now, now > raw + skew and now - raw or skew)
end

-- window_end is the end of the calendar window that t falls into. c1..c4 are the
-- window's length and phase, or four ends from the one before the present on.
local function window_end(a, t)
  if a.calendar == 1 then return a.c2 + (math.floor((t - a.c2) / a.c1) + 1) * a.c1 end
  if t < a.c1 then return a.c1 end
  if t < a.c2 then return a.c2 end
  if t < a.c3 then return a.c3 end
  if t < a.c4 then return a.c4 end
  return t + 1.25 * (a.c4 - a.c3)
end

-- over is when the units of a call that ended at t are free. With a calendar the
-- hold is the slack between two clocks, on both sides of a window's end.
local function over(a, t)
  if a.calendar > 0 then return window_end(a, t + a.hold) + a.hold end
  return t + a.hold
end

-- ask reads one of the caller's asks.
-- places of a: units, reserve, capacity, soft, free, guarded, hold, interval, least, cut, recover, rev
-- places of a: calendar, c1, c2, c3, c4, actual, used, exact, ended, key
local function ask(key, numbers)
  local a = {struct.unpack('<ddddddddddddddddddddd', numbers)}
  a.key = key
  return a
end

-- Slices. A slice is named by its number; units that expire at t are free at the
-- end of the slice that t falls into. Widths are powers of two, so that slices
-- can be joined without moving what somebody else looks for; they are so long that
-- numbers of slices are written without loss.
local function slice(width, t) return math.floor(t / width) + 1 end

-- each_over gives f the end and the units of all slices that are over, and
-- removes them; it returns what they held.
local CHUNK = 100
local function each_over(prefix, width, first, last, sum, now, f)
  local next = math.floor(now / width) + 1
  local stop = math.min(next - 1, last)
  local gone = 0
  while first <= stop and gone < sum do
    local names, n = {}, 0
    for i = first, math.min(stop, first + CHUNK - 1) do
      n = n + 1
      names[n] = prefix .. i
    end
    local values = redis.call('HMGET', KEYS[1], unpack(names))
    local found = {}
    for i = 1, n do
      local u = tonumber(values[i] or 0)
      if values[i] then found[#found + 1] = names[i] end
      if u > 0 then
        gone = gone + u
        if f then f((first + i - 1) * width, u) end
      end
    end
    if #found > 0 then redis.call('HDEL', KEYS[1], unpack(found)) end
    first = first + n
  end
  return math.max(next, first), gone
end

-- put counts units in the slice that t falls into; in the first one that is left
-- when that is gone, because the clock was ahead for a while.
local function put(prefix, h, w, f, l, sum, t, units)
  if units <= 0 then return end
  local i = math.max(slice(h[w], t), h[f])
  redis.call('HINCRBY', KEYS[1], prefix .. i, units)
  if h[sum] == 0 or i > h[l] then h[l] = i end
  h[sum] = h[sum] + units
end

-- take removes up to so many units from the slice that t falls into, and tells
-- whether the slice was still there.
local function take(prefix, h, w, f, l, sum, t, units)
  local i = slice(h[w], t)
  if i < h[f] or i > h[l] then return false end
  local name = prefix .. i
  local there = tonumber(redis.call('HGET', KEYS[1], name) or 0)
  local u = math.min(units, there)
  if u >= there then
    redis.call('HDEL', KEYS[1], name)
  else
    redis.call('HINCRBY', KEYS[1], name, -u)
  end
  h[sum] = h[sum] - u
  return true
end

-- share is the part of a pool's capacity that overloads have left.
local function share(h, t) return math.min(1, h[PART] + math.max(0, t - h[CUT_AT]) * h[GROWTH]) end

-- effective is what there is of a pool.
local function effective(h, a, now)
  if a.least <= 0 or h[PART] >= 1 then return a.capacity end
  return math.max(math.min(a.least, a.capacity), math.floor(share(h, now) * a.capacity))
end

-- single tells of a pool that has a place for one call. Shares do not divide it: it
-- is the heir's, see beat.lua.
local function single(capacity) return capacity >= 1000 and capacity < 2000 end

-- settle_debt brings a bucket's debt up to a time. While replicas are absent their
-- part of the refill is lost to the others: s.lost is that part as a stretch of
-- time, up to s.changed. When one is no longer absent, its part of the bucket is
-- empty: s.down is the sum of all parts that came back. A single place is refilled
-- meanwhile, because it is the heir's or nobody's, and returns empty as a whole.
local function settle_debt(h, s, t)
  if t <= h[AT] then return end
  if single(h[CAPACITY]) then
    h[DEBT] = s.down > h[DOWN] and h[CAPACITY] or math.max(0, h[DEBT] - (t - h[AT]) / h[INTERVAL])
    h[AT], h[DOWN] = t, s.down
    return
  end
  local lost = s.lost + math.max(0, t - s.changed) * s.sig
  h[DEBT] = math.max(0, h[DEBT] - math.max(0, t - h[AT] - math.max(0, lost - h[LOST])) / h[INTERVAL])
  h[DEBT] = math.min(h[CAPACITY], h[DEBT] + h[CAPACITY] * (s.down - h[DOWN]))
  h[AT], h[LOST], h[DOWN] = t, lost, s.down
end

-- keep counts units of a call that ended at a time: until that is over, or as
-- a bucket's debt.
local function keep(h, s, a, at, units, now)
  if units <= 0 then return end
  h[ENDED] = h[ENDED] + units
  if h[KIND] == BUCKET then
    settle_debt(h, s, at)
    h[DEBT] = h[DEBT] + units / share(h, at) -- one that has shrunk refills more slowly, too
    return
  end
  local till = over(a, at)
  if till <= now then return end
  if h[KIND] == HELD then
    if h[HOLD] > 0 then put('h:' .. a.key .. ':', h, HW, HF, HL, HSUM, till, units) end
    return
  end
  -- A calendar pool has two or three ends at a time. Should there ever be more,
  -- the later of two stands for both. Only advance() takes out what is over.
  local spare, latest
  for i = ENDS, ENDS + 4, 2 do
    if h[i] == till then spare = i break end
    if h[i + 1] == 0 then spare = spare or i end
    if not latest or h[i] > h[latest] then latest = i end
  end
  if spare and h[spare] ~= till then h[spare], h[spare + 1] = till, 0 end
  if not spare then
    spare = latest
    h[spare] = math.max(h[spare], till)
  end
  h[spare + 1] = h[spare + 1] + units
  h[HSUM] = h[HSUM] + units
end

-- advance frees what was held long enough, and ends the leases that have run out.
local function advance(h, s, a, now)
  if h[KIND] == CALENDAR then
    for i = ENDS, ENDS + 4, 2 do
      if h[i] <= now and h[i + 1] > 0 then
        h[HSUM] = h[HSUM] - h[i + 1]
        h[i + 1] = 0
      end
    end
  elseif h[KIND] == HELD then
    if h[HSUM] <= 0 then
      h[HF] = math.floor(now / h[HW]) + 1
    elseif h[HF] * h[HW] <= now then -- the first slice is over
      local gone
      h[HF], gone = each_over('h:' .. a.key .. ':', h[HW], h[HF], h[HL], h[HSUM], now, nil)
      h[HSUM] = h[HSUM] - gone
    end
  end
  if h[FSUM] <= 0 then
    h[FF] = math.floor(now / h[FW]) + 1
  elseif h[FF] * h[FW] <= now then
    local gone
    h[FF], gone = each_over('f:' .. a.key .. ':', h[FW], h[FF], h[FL], h[FSUM], now, function(at, units)
      keep(h, s, a, at, units, now)
    end)
    h[FSUM] = h[FSUM] - gone
  end
  if h[KIND] == BUCKET then settle_debt(h, s, now) end
  if h[FOREIGN] > 0 and h[FOREIGN_UNTIL] <= now then h[FOREIGN] = 0 end
end

local LEASE_SLICES, HELD_SLICES, SHORTER_AFTER = 64, 256, 60000000

-- seldom makes what is seldom needed: Redis runs the whole of a script each time,
-- and making a function takes it a third of a microsecond.
local function seldom()
  local function kind(a)
    if a.interval > 0 then return BUCKET end
    if a.calendar > 0 then return CALENDAR end
    return HELD
  end

  local function power(n)
    local w = 32
    while w * 2 <= n do w = w * 2 end
    return w
  end

  -- shape sets how a pool counts: its kind, hold and rate.
  local function shape(h, a, now)
    h[KIND], h[HOLD], h[INTERVAL] = kind(a), a.hold, a.interval
    h[HW] = power(a.hold / HELD_SLICES)
    h[HF] = math.floor(now / h[HW]) + 1
    h[HL] = h[HF]
  end

  -- join_slices makes slices wider, to a power of two.
  local function join_slices(prefix, h, w, f, l, sum, least)
    local width = power(least)
    local factor = width / h[w]
    if h[sum] > 0 then
      for i = h[f], h[l] do
        local name = prefix .. i
        local u = redis.call('HGET', KEYS[1], name)
        if u then
          redis.call('HDEL', KEYS[1], name)
          -- Numbers of wider slices are lower: they cannot meet one that is still to be moved
          -- but its own, which is gone.
          redis.call('HINCRBY', KEYS[1], prefix .. 'n' .. (math.floor((i - 1) / factor) + 1), u)
        end
      end
      for i = math.floor((h[f] - 1) / factor) + 1, math.floor((h[l] - 1) / factor) + 1 do
        local name = prefix .. 'n' .. i
        local u = redis.call('HGET', KEYS[1], name)
        if u then
          redis.call('HDEL', KEYS[1], name)
          redis.call('HSET', KEYS[1], prefix .. i, u)
        end
      end
    end
    h[f], h[l], h[w] = math.floor((h[f] - 1) / factor) + 1, math.floor((h[l] - 1) / factor) + 1, width
  end

  -- held_slices takes all that is held out of its slices.
  local function held_slices(h, key)
    local list = {}
    if h[HSUM] > 0 and h[KIND] == HELD then
      each_over('h:' .. key .. ':', h[HW], h[HF], h[HL], h[HSUM], (h[HL] + 1) * h[HW], function(at, units)
        list[#list + 1] = {at, units}
      end)
    end
    return list
  end

  -- reshape goes over to another hold, rate or kind. Two replicas may be configured
  -- differently for a while: the longer hold and the slower rate count until the
  -- replica that set them changes its mind, or has not been heard of for a while.
  local function reshape(h, s, a, by, now)
    if h[BY] == by and a.rev < h[REV] then return end
    local same = h[BY] == by and a.rev > h[REV]
    local k = kind(a)
    if k == h[KIND] and a.hold == h[HOLD] and a.interval == h[INTERVAL] then
      h[BY], h[REV], h[SEEN] = by, a.rev, now
      return
    end
    local longer = a.hold > h[HOLD] or a.interval > h[INTERVAL]
    if k == h[KIND] and not longer and not same and now < h[SEEN] + SHORTER_AFTER then return end
    h[BY], h[REV], h[SEEN] = by, a.rev, now
    if k ~= h[KIND] then
      local used = h[KIND] == BUCKET and math.ceil(h[DEBT]) or h[HSUM]
      held_slices(h, a.key)
      for i = ENDS, ENDS + 5 do h[i] = 0 end
      h[HSUM], h[DEBT], h[AT] = 0, 0, now
      shape(h, a, now)
      keep(h, s, a, now, used, now)
    elseif k == HELD then
      local list, more = held_slices(h, a.key), math.max(0, a.hold - h[HOLD])
      h[HSUM] = 0
      shape(h, a, now)
      for _, slice_of in ipairs(list) do
        -- The slice's end is rounded up already.
        put('h:' .. a.key .. ':', h, HW, HF, HL, HSUM, slice_of[1] + more - 1, slice_of[2])
      end
    else
      h[HOLD], h[INTERVAL] = a.hold, a.interval
    end
  end

  -- occupy_unknown counts what a loss of data may have hidden: all that was known
  -- to be used, or the whole pool, until it must be over.
  local function occupy_unknown(h, s, a, now)
    local from = s.lump
    if from <= 0 or a.capacity <= 0 or over(a, from + s.lease) <= now then return end
    local known = a.capacity
    if a.guarded > 0 then
      local uses = cmsgpack.unpack(redis.call('HGET', KEYS[1], 'k') or cmsgpack.pack({}))
      known = math.min(known, uses[a.key] or known)
    end
    if h[KIND] == BUCKET then
      h[DEBT], h[AT] = math.max(h[DEBT], known), math.max(now, from + s.lease)
    elseif h[KIND] == HELD and h[HOLD] == 0 then
      put('f:' .. a.key .. ':', h, FW, FF, FL, FSUM, from + s.lease, known - h[FSUM])
    else
      keep(h, s, a, from + s.lease, known - h[FSUM] - h[HSUM], now)
    end
  end

  -- fresh makes a pool that nobody has used yet.
  local function fresh(s, a, by, lease, now)
    local h = setmetatable({unpack(BLANK.__index, 1, 21)}, BLANK)
    h[BY], h[REV], h[SEEN], h[AT] = by, a.rev, now, now
    h[FW] = power(lease / LEASE_SLICES)
    h[FF] = math.floor(now / h[FW]) + 1
    h[FL] = h[FF]
    h[LOST], h[DOWN] = s.lost + math.max(0, now - s.changed) * s.sig, s.down
    shape(h, a, now)
    -- What a bucket had left before a loss of data is not known.
    if h[KIND] == BUCKET and s.emptied > 0 then h[DEBT], h[AT] = a.capacity, s.emptied end
    return h
  end

  return fresh, join_slices, reshape, occupy_unknown
end

-- pool loads an ask's pool and brings it up to now.
local function pool(stored, s, a, by, lease, now)
  local h
  if stored then
    h = load(stored)
    if lease / LEASE_SLICES >= 4 * h[FW] then
      local _, join_slices = seldom()
      join_slices('f:' .. a.key .. ':', h, FW, FF, FL, FSUM, lease / LEASE_SLICES)
    end
    if h[BY] ~= by or h[REV] ~= a.rev then
      advance(h, s, a, now)
      local _, _, reshape = seldom()
      reshape(h, s, a, by, now)
    else
      h[SEEN] = now
    end
    if h[HOLD] > a.hold then a.hold = h[HOLD] end
  else
    h = seldom()(s, a, by, lease, now)
  end
  if a.capacity > 0 then h[CAPACITY] = a.capacity end
  advance(h, s, a, now)
  if h[SEQ] < s.seq then
    if s.lump > 0 then
      local _, _, _, occupy_unknown = seldom()
      occupy_unknown(h, s, a, now)
    end
    h[SEQ] = s.seq
  end
  return h
end

-- growth is how much more may be counted of a guarded pool within the time that a
-- replica takes to become missing.
local SHORT = 300000000
local function growth(h, capacity, counted)
  local part = h[KIND] == HELD and h[HOLD] < SHORT and 2 or 10
  return math.max(capacity / 100, (capacity - counted) / part, 1000)
end

-- overtaken tells of what a replica had said before something that has been taken in
-- already: it came on another connection, or is what a proxy sent twice. Numbers are of a
-- process, so that one that is started again begins anew, and only grow: data that is
-- older than the replica's last word does not keep its next one out.
local function overtaken(r, by, number) return r and r.by == by and number <= (r.number or 0) end

-- absence makes what looks at who is there: most calls come while all are.
local function absence()
  -- paced is the part of a guarded pool that a replica may have sent that was alone
  -- for a while and is gone: system.paced says why.
  local function paced(r, s, a)
    local window = a.calendar == 0 and a.hold or a.calendar == 1 and a.c1 or math.min(a.c2 - a.c1, a.c3 - a.c2)
    local part = 0.02 + r.ran / math.min(s.alone, window)
    return math.min(r.share, math.max(1000 / a.capacity, r.share * part))
  end

  -- absent is the part of a pool that replicas out of sight may be using: those
  -- that are missing, and those that have left without a word, until what they may
  -- have sent is over.
  local function absent(registry, s, a, now)
    local sum = 0
    for _, r in pairs(registry) do
      if r.stop or now >= r.beat + s.missing then
        local stop = r.stop or r.beat + s.alone
        if now < stop or now < over(a, stop + s.lease) then
          if single(a.capacity) then
            sum = r.heir and 1 or sum
          else
            sum = sum + (r.ran and a.guarded > 0 and paced(r, s, a) or r.share)
          end
        end
      end
    end
    return math.min(1, sum)
  end

  -- forget_number forgets which settlements of a replica were carried out: it sends none any more.
  local function forget_number(r) redis.call('HDEL', KEYS[1], 'q:' .. string.format('%.0f', r.by)) end

  -- recount looks at the registry again, and notes when that is due next.
  local function recount(registry, s, now)
    local sum, next, any, count = 0, math.huge, false, 0
    for name, r in pairs(registry) do
      local missing = r.beat + s.missing
      local stop = r.stop or r.beat + s.alone
      if not r.stop then count = count + 1 end
      if not r.stop and now < missing then
        next = math.min(next, missing)
      elseif now >= stop + s.lease + s.longest then
        registry[name] = nil
        forget_number(r)
        if not r.stop then s.left = now end
      else
        any = true
        next = math.min(next, now < stop + s.lease and stop + s.lease or stop + s.lease + s.longest)
        if now < stop + s.lease then sum = sum + r.share end
      end
    end
    sum = math.min(1, sum)
    if sum ~= s.sig then
      s.lost, s.down = s.lost + math.max(0, now - s.changed) * s.sig, s.down + math.max(0, s.sig - sum)
      s.changed, s.sig = now, sum
    end
    s.next, s.any, s.count = next == math.huge and now + 1e12 or next, any and 1 or 0, count
  end

  return recount, absent, forget_number
end

-- queues makes what looks at calls that stand in line.
local function queues()
  -- demand sums what calls of higher classes wait for at a pool.
  local function demanded(h, a, class, now)
    if h[DEMAND] <= now then return 0 end
    local sum = 0
    for _, d in pairs(cmsgpack.unpack(redis.call('HGET', KEYS[1], 'd:' .. a.key) or cmsgpack.pack({}))) do
      if d.class > class and d.till > now then sum = sum + d.units end
    end
    return sum
  end

  local function demand(h, a, name, class, till, now)
    local list = {}
    if h[DEMAND] > now then
      for id, d in pairs(cmsgpack.unpack(redis.call('HGET', KEYS[1], 'd:' .. a.key) or cmsgpack.pack({}))) do
        if d.till > now then list[id] = d end
      end
    end
    list[name .. ':' .. class] = till and {class = class, units = a.units, till = till} or nil
    h[DEMAND] = 0
    for _, d in pairs(list) do h[DEMAND] = math.max(h[DEMAND], d.till) end
    if h[DEMAND] > 0 then
      redis.call('HSET', KEYS[1], 'd:' .. a.key, cmsgpack.pack(list))
    else
      redis.call('HDEL', KEYS[1], 'd:' .. a.key)
    end
  end

  return demanded, demand
end
