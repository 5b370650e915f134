-- A call begins, if fewer than the limit are under way. Each is a member with
-- the end of its lease; those that have ended are named after it.
local limit, lease = tonumber(ARGV[1]), tonumber(ARGV[2])
for i = 4, #ARGV do redis.call('ZREM', KEYS[1], ARGV[i]) end
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now)
local under, ok = redis.call('ZCARD', KEYS[1]), 0
if under < limit then
  ok, under = 1, under + 1
  redis.call('ZADD', KEYS[1], now + lease, ARGV[3])
  redis.call('PEXPIRE', KEYS[1], math.ceil(lease / 1000) + 1000)
end
return {ok, under}
