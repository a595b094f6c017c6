-- The token buckets of one tenant, each a field of the hash KEYS[1]:
--   tokens time {participant time demand used held}...
-- times being microseconds of this server's clock, demand and used tokens per second, and held
-- what the participant has been lent and not used. tokens is below zero for a debt.
--
-- ARGV: the participant, then for each bucket name rate burst spent want demand used held.
-- spent is paid whatever there is; below zero it gives back. Returns for each bucket what was
-- granted of want, the participant's share of the rate, the tokens left, how much per second all
-- participants demand and use, and how many they are.
local forget, holds = 2000000, 10000000
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000000 + tonumber(time[2])
local me, fields = ARGV[1], 8
local result, life = {}, 60000
for i = 2, #ARGV, fields do
  local name, rate, burst = ARGV[i], tonumber(ARGV[i + 1]), tonumber(ARGV[i + 2])
  local spent, want, demand = tonumber(ARGV[i + 3]), tonumber(ARGV[i + 4]), tonumber(ARGV[i + 5])
  local used, held = tonumber(ARGV[i + 6]), tonumber(ARGV[i + 7])
  local tokens, at, others, active, lent, count = burst, now, 0, used, held, 1
  local rest = {}
  local saved = redis.call('HGET', KEYS[1], name)
  if saved then
    local words = {}
    for word in string.gmatch(saved, '%S+') do
      words[#words + 1] = word
    end
    tokens, at = tonumber(words[1]), tonumber(words[2])
    for k = 3, #words, 5 do
      local age = now - tonumber(words[k + 1])
      if words[k] ~= me and age < holds then
        lent = lent + tonumber(words[k + 4])
        rest[#rest + 1] = table.concat(words, ' ', k, k + 4)
        if age < forget then
          others, active, count = others + tonumber(words[k + 2]), active + tonumber(words[k + 3]), count + 1
        end
      end
    end
  end
  -- What is lent out counts, so that no more than a burst can be run at once anywhere.
  tokens = math.min(tokens + rate * math.max(0, now - at) / 1000000 - spent, burst - lent)
  local all = others + demand
  local part = 1 / count
  if all > 0 then
    part = demand / all
  end
  -- As much as is wanted while the others need not miss it; else a part of what there is.
  local granted = math.max(0, math.min(want, math.max(tokens - others * 0.1, tokens * part)))
  tokens, held = tokens - granted, held + granted
  rest[#rest + 1] = string.format('%s %.0f %.3f %.3f %.3f', me, now, demand, used, held)
  redis.call('HSET', KEYS[1], name, string.format('%.3f %.0f ', tokens, now) .. table.concat(rest, ' '))
  life = math.max(life, (burst - tokens) / rate * 1000 + 60000)
  result[#result + 1] = string.format('%.3f %.3f %.3f %.3f %.3f %d', granted, rate * part, tokens, all, active, count)
end
if #result > 0 then
  redis.call('PEXPIRE', KEYS[1], string.format('%.0f', math.min(life, 1e14)))
end
return result
