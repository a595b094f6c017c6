-- Runs a command that writes what it finds at its keys, unless that is more than it was charged with.
-- KEYS: its keys. ARGV: the most that may be there in bytes, below 0 to be told how much there is; the error if there is more;
-- the command.
local name, n = string.upper(ARGV[3]), 0
local function add(...)
  local size = redis.pcall(...)
  if type(size) == 'number' then n = n + size end
end
for i = 1, name == 'COPY' and 1 or #KEYS do add('MEMORY', 'USAGE', KEYS[i]) end
if name == 'SORT' then -- with GET it writes what is at keys that its elements name
  local read = {list = {'LRANGE', ARGV[4], 0, -1}, set = {'SMEMBERS', ARGV[4]}, zset = {'ZRANGE', ARGV[4], 0, -1}}
  local elements
  for i = 5, #ARGV - 1 do
    if string.upper(ARGV[i]) == 'GET' and ARGV[i + 1] ~= '#' then
      local call = read[redis.call('TYPE', ARGV[4]).ok]
      elements = elements or call and redis.call(unpack(call)) or {}
      for _, e in ipairs(elements) do
        local key = string.gsub(ARGV[i + 1], '%*', function() return e end, 1)
        local hash, field = string.match(key, '^(.-)%->(.+)$')
        if hash then add('HSTRLEN', hash, field) else add('STRLEN', key) end
        n = n + 64
      end
    end
  end
end
local most = tonumber(ARGV[1])
if most < 0 then return n end
if n > most then return {err = ARGV[2]} end
return redis.pcall(unpack(ARGV, 3))
