-- KEYS[1]: as in space.lua. ARGV: bytes and keys that were counted, what g1 and g2 were before, in how many milliseconds.
-- What has grown meanwhile counts in addition: nobody knows whether it was met.
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
local h = redis.call('HMGET', KEYS[1], 'g1', 'g2')
for r = 1, 2 do
  local more = math.max(0, (tonumber(h[r] or 0) or 0) - tonumber(ARGV[2 + r]))
  redis.call('HSET', KEYS[1], 'b' .. r, tonumber(ARGV[r]) + more, 'm' .. r, ARGV[r], 'e' .. r, more)
end
redis.call('HSET', KEYS[1], 'counted', now, 'began', now - ARGV[5], 'took', ARGV[5])
redis.call('HDEL', KEYS[1], 'counting')
return redis.call('HINCRBY', KEYS[1], 'n', 1)
