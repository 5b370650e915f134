-- One decision of a throttle, and what a replica takes along or brings back.
-- used is what is used of the bucket, in grains, leased calls included; it
-- drains with time, but not below what is leased: a leased call may still be
-- made, and would then be on top of what drained. So the bucket that counts
-- calls when they are made is never fuller than this one.
local call, drain, burst = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local full = burst * call
local take, wish, length = tonumber(ARGV[4]), tonumber(ARGV[5]), tonumber(ARGV[6])
local back, left, name, owed = ARGV[7], tonumber(ARGV[8]), ARGV[9], tonumber(ARGV[10])

local used, at, was, leased, leases = 0, now, call, 0, {}
local stored = redis.call('HGETALL', KEYS[1])
for i = 1, #stored, 2 do
  local field, value = stored[i], stored[i + 1]
  if field == 'used' then used = tonumber(value)
  elseif field == 'at' then at = tonumber(value)
  elseif field == 'call' then was = tonumber(value)
  else
    local calls, ends = string.match(value, '^(%d+) (%d+)$')
    leases[field] = {tonumber(calls), tonumber(ends)}
    leased = leased + calls
  end
end
now = math.max(now, at)
if was ~= call then used = math.min(2 ^ 52, math.ceil(used / was * call)) end

local function drained(moment)
  local floor = leased * call
  if moment > at then
    if used > floor then
      if moment - at >= math.ceil((used - floor) / drain) then used = floor else used = used - (moment - at) * drain end
    end
    at = moment
  end
end

local gone = {}
local function forget(field)
  leased = leased - leases[field][1]
  leases[field] = nil
  gone[#gone + 1] = field
end

-- Leases that have run out count as used to the last, at that moment.
while true do
  local first
  for field, lease in pairs(leases) do
    if lease[2] <= now and (not first or lease[2] < leases[first][2]) then first = field end
  end
  if not first then break end
  drained(leases[first][2])
  forget(first)
end
drained(now)

if leases[back] then
  used = math.max(0, used - math.min(left, leases[back][1]) * call)
  forget(back)
end
used = math.max(used, math.min(full, used + owed * call))

-- A burst may have been larger when it was used; that is remembered until a
-- call is admitted by the new numbers.
local ok, granted = 0, 0
if take == 1 and used + call <= full then
  ok, used = 1, used + call
end
if ok == 1 and wish > 1 then
  granted = math.min(wish, math.floor((full - used) / call / 2), math.floor(burst / 8), math.floor(burst / 4) - leased)
  if granted > 1 then
    used = used + granted * call
  else
    granted = 0
  end
end

if #gone > 0 then redis.call('HDEL', KEYS[1], unpack(gone)) end
if granted > 0 then
  leased = leased + granted
  redis.call('HSET', KEYS[1], name, string.format('%d %.0f', granted, now + length))
end
if used == 0 and leased == 0 then
  redis.call('DEL', KEYS[1])
else
  redis.call('HSET', KEYS[1], 'used', used, 'at', now, 'call', call)
  redis.call('PEXPIRE', KEYS[1], math.ceil((math.ceil(used / drain) + length) / 1000) + 1000)
end
return {ok, math.min(used, full), granted, leased}
