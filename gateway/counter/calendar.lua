-- One decision of a quota over calendar windows. Where they begin and end is
-- worked out by the caller, around its own time; which of them it is, is told
-- by the time here.
local limit, owed, since, who, serial = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3]), ARGV[4], ARGV[5]

local start, finish
for i = 6, 8 do
  if tonumber(ARGV[i]) <= now and now < tonumber(ARGV[i + 1]) then
    start, finish = tonumber(ARGV[i]), tonumber(ARGV[i + 1])
  end
end
if not start then return {-1, now, 0, 0} end

local state = redis.call('HMGET', KEYS[1], 'start', 'calls', who)
local began, calls = tonumber(state[1] or 0), tonumber(state[2] or 0)
-- A clock that was set back does not begin a window twice.
if began < start then
  redis.call('DEL', KEYS[1])
  began, calls, state[3] = start, 0, false
end
if owed > 0 and since >= began and state[3] ~= serial then
  calls = calls + owed
  redis.call('HSET', KEYS[1], who, serial)
end
local ok = 0
if calls < limit then
  ok, calls = 1, calls + 1
end
redis.call('HSET', KEYS[1], 'start', began, 'calls', calls)
redis.call('PEXPIRE', KEYS[1], math.ceil((finish - now) / 1000) + 60000)
return {ok, math.max(0, limit - calls), finish - now, start}
