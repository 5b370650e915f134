-- Tells what the pools of a system hold; sweeps away those that hold nothing.
-- The answer: for each pool its key, used, in flight, foreign, capacity, room in, paused for.
local stored = redis.call('HMGET', KEYS[1], 'c', 's')
if not stored[2] then return {} end
local s = load_state(stored[2])
local now = clock(stored[1], 0)
local answer, cursor = {}, '0'
repeat
  local page = redis.call('HSCAN', KEYS[1], cursor, 'MATCH', 'p:*', 'COUNT', 1000)
  cursor = page[1]
  for i = 1, #page[2], 2 do
    local key, h = string.sub(page[2][i], 3), load(page[2][i + 1])
    local held, room = h[HSUM], 0
    if h[KIND] == BUCKET then
      held = math.ceil(math.max(0, h[DEBT] - math.max(0, now - h[AT]) / h[INTERVAL] * (1 - s.sig)))
      if held > 0 then room = math.ceil(math.min(held, 1000) * h[INTERVAL]) end
    elseif h[KIND] == CALENDAR then
      held = 0
      for j = ENDS, ENDS + 4, 2 do
        if h[j] > now then
          held = held + h[j + 1]
          if h[j + 1] > 0 and (room == 0 or h[j] - now < room) then room = h[j] - now end
        end
      end
    elseif held > 0 then
      -- Looking does not free anything, so what is over is left out here.
      held = 0
      local first = math.max(h[HF], math.floor(now / h[HW]) + 1)
      while first <= h[HL] do
        local names = {}
        for n = first, math.min(h[HL], first + CHUNK - 1) do names[#names + 1] = 'h:' .. key .. ':' .. n end
        for n, u in ipairs(redis.call('HMGET', KEYS[1], unpack(names))) do
          if u then
            if held == 0 then room = (first + n - 1) * h[HW] - now end
            held = held + u
          end
        end
        first = first + CHUNK
      end
    end
    local foreign = h[FOREIGN_UNTIL] > now and h[FOREIGN] or 0
    local paused = math.max(0, h[PAUSED] - now)
    if h[FSUM] + held + foreign + paused > 0 or h[STRIKES] > 0 and now - h[PAUSED] < 30000000 or share(h, now) < 1 then
      local capacity = math.floor(share(h, now) * h[CAPACITY])
      answer[#answer + 1] = {key, h[FSUM] + held + foreign, h[FSUM], foreign, capacity, math.ceil(room), math.ceil(paused)}
    end
  end
until cursor == '0'
return answer
