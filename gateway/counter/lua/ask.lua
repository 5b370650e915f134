-- Finds out whether the server takes writes, and leaves nothing behind: one that
-- is full, or may only be read, is as good as none.
redis.call('HINCRBY', KEYS[1], 'a', 0)
redis.call('HDEL', KEYS[1], 'a')
return 1
