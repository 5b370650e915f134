-- One decision of a quota over a rolling window. Calls are grouped in spans
-- shorter than a slice; a span leaves the window with its last call. The spans
-- are numbered fields, from head to before tail, oldest first.
local limit, length, slice = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local owed, who, serial = tonumber(ARGV[4]), ARGV[5], ARGV[6]

local state = redis.call('HMGET', KEYS[1], 'head', 'tail', 'total', 'newest', who)
local head, tail, total = tonumber(state[1] or 1), tonumber(state[2] or 1), tonumber(state[3] or 0)
local newest = tonumber(state[4] or 0)
now = math.max(now, newest)

local function span(i)
  local first, last, calls = string.match(redis.call('HGET', KEYS[1], i), '^(%d+) (%d+) (%d+)$')
  return tonumber(first), tonumber(last), tonumber(calls)
end

while head < tail do
  local _, last, calls = span(head)
  if last > now - length then break end
  redis.call('HDEL', KEYS[1], head)
  head, total = head + 1, total - calls
end

local function enter(n)
  local first, calls = now, n
  if head < tail then
    local f, _, c = span(tail - 1)
    if now < f + slice then
      first, calls, tail = f, c + n, tail - 1
    end
  end
  redis.call('HSET', KEYS[1], tail, string.format('%.0f %.0f %.0f', first, now, calls))
  tail, total, newest = tail + 1, total + n, now
end

if owed > 0 and state[5] ~= serial then
  enter(owed)
  redis.call('HSET', KEYS[1], who, serial)
end
local ok = 0
if total < limit then
  ok = 1
  enter(1)
end

local reset, retry = 0, 0
if total > 0 then reset = newest + length - now end
if total >= limit and total > 0 then
  local more, i = total - limit + 1, head
  while i < tail do
    local _, last, calls = span(i)
    retry, more = last + length - now, more - calls
    if more <= 0 then break end
    i = i + 1
  end
end
redis.call('HSET', KEYS[1], 'head', head, 'tail', tail, 'total', total, 'newest', newest)
redis.call('PEXPIRE', KEYS[1], math.ceil(length / 1000) + 1000)
return {ok, math.max(0, limit - total), reset, retry}
