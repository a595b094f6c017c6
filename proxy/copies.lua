-- Runs a command that writes what it finds at its keys, unless that is more than it was charged with.
-- KEYS: its keys. ARGV: the most that may be there in bytes, below 0 to be told how much there is; the error if there is more;
-- what all the tenant's keys begin with; the command.
local root, name, n = ARGV[3], string.upper(ARGV[4]), 0
local function add(...)
  local size = redis.pcall(...)
  if type(size) == 'number' then n = n + size end
end
if name == 'XREADGROUP' then -- it delivers what the group has not seen, and 600 bytes are needed to remember an entry
  for i = 1, #KEYS do
    local groups = redis.pcall('XINFO', 'GROUPS', KEYS[i])
    for _, fields in ipairs(groups) do
      local group = {}
      for j = 1, #fields, 2 do group[fields[j]] = fields[j + 1] end
      if group.name == ARGV[6] then n = n + 600 * (group.lag or redis.call('XLEN', KEYS[i])) end
    end
  end
else
  for i = 1, name == 'COPY' and 1 or #KEYS do add('MEMORY', 'USAGE', KEYS[i]) end
end
if name == 'SORT' then -- with GET it writes what is at keys that its elements name
  local read = {list = {'LRANGE', ARGV[5], 0, -1}, set = {'SMEMBERS', ARGV[5]}, zset = {'ZRANGE', ARGV[5], 0, -1}}
  local elements
  for i = 6, #ARGV - 1 do
    local pattern = ARGV[i + 1]
    if string.upper(ARGV[i]) == 'GET' and string.sub(pattern, 1, #root) == root and string.find(pattern, '*', 1, true) then
      local call = read[redis.call('TYPE', ARGV[5]).ok]
      elements = elements or call and redis.call(unpack(call)) or {}
      for _, e in ipairs(elements) do
        local key = string.gsub(pattern, '%*', function() return e end, 1)
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
return redis.pcall(unpack(ARGV, 4))
