-- What one proxy asks for of a tenant's counted resources.
--
-- KEYS[1]  hash: for each proxy "time sequence", then what it has of each resource
-- ARGV     proxy, sequence, milliseconds after which a silent proxy is dropped,
--          then for each resource: limit (0: none), needed, extra
--
-- Returns the number of proxies, then for each resource what the proxy has from now on, and what all
-- others have.
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
local me, sequence, silence = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3])
local n = (#ARGV - 3) / 3
local others, proxies = {}, 1
for r = 1, n do
  others[r] = 0
end
local all = redis.call('HGETALL', KEYS[1])
for i = 1, #all, 2 do
  local f = {}
  for word in string.gmatch(all[i + 1], '%S+') do
    f[#f + 1] = tonumber(word)
  end
  if all[i] == me then
    if f[2] > sequence then
      return {} -- a request that was given up long ago
    end
  elseif now - f[1] > silence then
    redis.call('HDEL', KEYS[1], all[i])
  else
    proxies = proxies + 1
    for r = 1, n do
      others[r] = others[r] + (f[2 + r] or 0)
    end
  end
end
local record, reply, any = { string.format('%.0f %.0f', now, sequence) }, { proxies }, false
for r = 1, n do
  local limit, need, extra = tonumber(ARGV[3 * r + 1]), tonumber(ARGV[3 * r + 2]), tonumber(ARGV[3 * r + 3])
  local granted = 0
  if limit > 0 then
    local free = math.max(0, limit - others[r])
    granted = math.min(need, free)
    -- The nearer the limit, the less is handed out in advance.
    granted = granted + math.min(extra, math.floor((free - granted) / (2 * proxies)))
  end
  any = any or granted > 0
  record[#record + 1] = string.format('%.0f', granted)
  reply[#reply + 1] = granted
  reply[#reply + 1] = others[r]
end
if any then
  redis.call('HSET', KEYS[1], me, table.concat(record, ' '))
  redis.call('PEXPIRE', KEYS[1], 2 * silence)
else
  redis.call('HDEL', KEYS[1], me)
end
return reply
