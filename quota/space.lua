-- KEYS[1]: what a tenant's keys take, as a hash:
--   b1 b2     bytes and keys that are accounted for, beside what proxies may still use
--   g1 g2     what they ever grew by, as reported
--   n         how many times all keys were counted
--   counted   when that was done last, took: in how many milliseconds, counting: when whoever is doing it said so last
--   began     when that count began
--   unsure    when something was reported that had not been measured, hasty: of which nobody knows how much it is
--   exact     since when every write is measured; absent: it is not
--   m1 m2     what was counted last
--   e1 e2     how much of b1 and b2 may not be there
--   p:<proxy> what the proxy may still use, and when it was heard of last
-- ARGV: the proxy, the count that it knows of, whether somebody is refused, whether something went unmeasured, whether nobody
-- knows how much that is;
-- then for bytes and for keys: the limit (0: none), held, spent, settled, freed, needed, wanted, guessed.
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
local h, all = {}, redis.call('HGETALL', KEYS[1])
for i = 1, #all, 2 do h[all[i]] = all[i + 1] end
local function number(field) return tonumber(h[field] or 0) or 0 end

local me, fresh = 'p:' .. ARGV[1], tonumber(ARGV[2]) == number('n')
local base, grown, own, lent = {number('b1'), number('b2')}, {number('g1'), number('g2')}, {0, 0}, {0, 0}
for field, text in pairs(h) do
  if string.sub(field, 1, 2) == 'p:' then
    local bytes, keys, at = string.match(text, '^(%d+) (%d+) (%d+)$')
    bytes, keys, at = tonumber(bytes) or 0, tonumber(keys) or 0, tonumber(at) or 0
    if field == me then
      -- it says itself what it holds
    elseif now - at > 15000 then -- it is gone, and may have used all of it
      base = {base[1] + bytes, base[2] + keys}
      grown = {grown[1] + bytes, grown[2] + keys}
      redis.call('HDEL', KEYS[1], field)
    else
      lent = {lent[1] + bytes, lent[2] + keys}
    end
  end
end

local guessed = {0, 0}
local used, most, limits, exact = {}, 0, {}, h.exact
for r = 1, 2 do
  local at = 5 + (r - 1) * 8
  local limit, spent, settled, freed = tonumber(ARGV[at + 1]), tonumber(ARGV[at + 3]), tonumber(ARGV[at + 4]), tonumber(ARGV[at + 5])
  own[r] = tonumber(ARGV[at + 2])
  base[r] = base[r] + settled
  guessed[r] = number('e' .. r) + tonumber(ARGV[at + 8])
  grown[r] = grown[r] + spent
  if fresh then base[r] = math.max(0, base[r] - freed) end -- else the count has seen it, or may have
  limits[r] = limit
  used[r] = base[r] + lent[r] + own[r]
  if limit > 0 then most = math.max(most, used[r] / limit) end
end
if most >= 0.8 then exact = exact or tostring(now) elseif most < 0.7 and exact and now - tonumber(exact) > 5000 then exact = nil end
local stale = exact and number('counted') < tonumber(exact)

local granted, rest, doubt, maybe = {0, 0}, {0, 0}, 0, guessed
for r = 1, 2 do
  local at = 5 + (r - 1) * 8
  local needed, wanted, limit = tonumber(ARGV[at + 6]), tonumber(ARGV[at + 7]), limits[r]
  if limit > 0 then
    if stale then limit = limit * 0.97 end
    local room = math.floor(limit - used[r])
    local far = math.floor(0.8 * limits[r] - used[r]) -- until then there is enough for everybody
    if far >= wanted * 4 then granted[r] = wanted
    elseif needed > room and needed <= room + maybe[r] then doubt = 1
    elseif needed <= room then granted[r] = math.max(needed, math.min(wanted, math.floor(room / 8)))
    else granted[r] = math.max(0, math.min(wanted, math.floor(room / 8))) end -- for those who need less
    rest[r] = math.max(0, room - granted[r])
  end
  own[r] = own[r] + granted[r]
  used[r] = used[r] + granted[r]
end

-- Somebody counts all keys when that may help.
if ARGV[4] == '1' then h.unsure = now redis.call('HSET', KEYS[1], 'unsure', now) end
if ARGV[5] == '1' then h.hasty = now redis.call('HSET', KEYS[1], 'hasty', now) end
local pressed, began = ARGV[3] == '1', number('began')
local unsure, hasty = number('unsure') >= began and h.unsure, number('hasty') >= began and h.hasty
local count = 0
local pause = math.max(300, 5 * number('took'))
if pressed and unsure then
  pause = math.max(100, math.min(500, number('took')))
elseif not pressed and not hasty and most < 0.8 then -- nobody is waiting for it
  pause = most < 0.5 and math.max(5000, 50 * number('took')) or math.max(1000, 20 * number('took'))
end
if now - number('counting') > 15000 and -- whoever counts says so every 5 s
  (stale or doubt == 1 and now - number('counted') > 100 or h.counted == nil or now - number('counted') > pause and (pressed or unsure)) then
  count = 1
  redis.call('HSET', KEYS[1], 'counting', now)
end
redis.call('HSET', KEYS[1], 'b1', base[1], 'b2', base[2], 'g1', grown[1], 'g2', grown[2], 'e1', guessed[1], 'e2', guessed[2])
if own[1] + own[2] > 0 then redis.call('HSET', KEYS[1], me, string.format('%d %d %d', own[1], own[2], now)) else redis.call('HDEL', KEYS[1], me) end
if exact then redis.call('HSET', KEYS[1], 'exact', exact) elseif h.exact then redis.call('HDEL', KEYS[1], 'exact') end
return {granted[1], granted[2], used[1], used[2], number('n'), exact and 1 or 0, count, lent[1], lent[2], doubt, rest[1], rest[2]}
