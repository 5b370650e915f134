-- A replica is there, until it has not said so for a while.
local absent = tonumber(ARGV[2])
redis.call('ZADD', KEYS[1], now, ARGV[1])
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now - absent)
redis.call('PEXPIRE', KEYS[1], math.ceil(absent / 1000) + 1000)
return {redis.call('ZCARD', KEYS[1])}
