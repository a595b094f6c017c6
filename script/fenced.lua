-- Runs behind the prelude, as a tenant's script does.
local bad={}
for _,name in ipairs({"setfenv","getfenv","newproxy","debug","require","module","package","dofile","loadfile","io"}) do
local ok,v=pcall(function() return _G[name] end)
if ok and v then bad[#bad+1]=name.." can be reached" end
local f=loadstring("return "..name)
ok,v=pcall(f)
if ok and v then bad[#bad+1]=name.." can be reached through loadstring" end
end
local m=getmetatable("")
if type(m)=="table" and pcall(rawset,m,"riptide probe",nil) then bad[#bad+1]="strings' metatable can be changed" end
if loadstring(string.dump(function() end)) then bad[#bad+1]="bytecode can be loaded" end
return bad
