-- Runs as it is, without a prelude: every table that all scripts share must be read-only, and there must be no global
-- that nobody has judged.
local known=" @KNOWN@ "
local seen={[KEYS]=true,[ARGV]=true}
local bad={}
local function visit(name,t)
if seen[t] then return end
seen[t]=true
if pcall(rawset,t,"riptide probe",nil) then bad[#bad+1]="table "..name.." can be changed" end
for k,v in pairs(t) do
if type(v)=="table" then visit(name.."."..tostring(k),v) end
end
local m=getmetatable(t)
if type(m)=="table" then visit("metatable of "..name,m) end
end
visit("_G",_G)
for k in pairs(_G) do
if not string.find(known," "..tostring(k).." ",1,true) then bad[#bad+1]="unknown global "..tostring(k) end
end
for _,v in ipairs({0,true,tostring}) do
if getmetatable(v)~=nil then bad[#bad+1]="metatable of type "..type(v) end
end
if rawget(_G,"newproxy") and not rawget(_G,"setfenv") then bad[#bad+1]="newproxy without setfenv" end
if rawget(_G,"getfenv") and not rawget(_G,"setfenv") then bad[#bad+1]="getfenv without setfenv" end
return bad
