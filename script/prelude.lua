-- What runs in front of a tenant's script, on the script's own first line. Go takes this file apart at the lines that
-- begin with "--@", leaves out the parts that a script does not need, and joins the rest into one line, so a comment
-- must have a line of its own and nothing may depend on where a line ends.
--
-- It is comfort: it makes names look as the tenant knows them. What a script may reach is decided by the upstream user
-- that it runs as. Only the parts "run", "clean", "metatable" and "fence" are about safety, see
-- docs/decisions/0006-scripts.md. For tenants whose values may be stored sealed, values.lua stands between it and the
-- server.

--@head
-- p: the prefix, which came as the last argument. M: how the commands that the script names take their keys, 1 meaning
-- one key at argument 1. S: everything that is not as simple, built when it is first needed.
local @LOCALS@ do
local A,R,rp,sub,find,type,select,P,L,M,S,p=ARGV,redis,redis.pcall,string.sub,string.find,type,select,pcall,loadstring,{@MEMO@}
do local n=#A p=A[n] A[n]=nil n=#p+1 A=KEYS for i=1,#A do A[i]=sub(A[i],n) end end
--@databases
local N=tonumber(ARGV[#ARGV]) ARGV[#ARGV]=nil
--@no databases
local N=16
--@plain
-- For scripts whose commands all have one key at argument 1: what is left is a key that is a number, or none at all.
local B=function() return function(...)
local c,k=...
if type(k)~="number" or not M[c] then return rp(...) end
if k==0 or k<=-1e14 or k>=1e14 or k%1~=0 then k=rp("ECHO",k) end
return rp(c,p..k,select(3,...))
end end
--@slow
-- What is not one key at argument 1. Only the kinds of commands that the script names are compiled with it; the others
-- are in a text that is compiled when a name turns up that the script has put together.
local F
local B=function()
--@helpers
local byte,lower,upper,match,gsub,unpack,tostring,tonumber,ipairs,sub=string.byte,string.lower,string.upper,string.match,
string.gsub,unpack,tostring,tonumber,ipairs,string.sub
-- A number becomes the text that this server makes of it: Lua's own loses digits. Anything else that is no string is
-- left for the server to complain about.
local name=function(k,p,rp)
local t=type(k)
if t=="string" then return p..k end
if t=="number" then
if k~=0 and k>-1e14 and k<1e14 and k%1==0 then return p..k end
return p..rp("ECHO",k)
end
return k
end
local strip=function(k,p) if type(k)=="string" and sub(k,1,#p)==p then return sub(k,#p+1) end return k end
local word=function(v) return type(v)=="string" and upper(v) or "" end
local root=function(p) return match(p,"^(.*:)%d+:$") or p end
local refuse=function(c,why) return {err="NOPERM '"..lower(c).."' is not available to scripts: "..why} end
--@databases of
local database=function(v,p)
if N==0 then return nil,{err="NOPERM this user has no permissions to run the 'select' command"} end
v=tonumber(v)
if not v or v%1~=0 then return nil,{err="@BADDB@"} end
if v<0 or v>=N then return nil,{err="ERR DB index is out of range"} end
return root(p)..v..":"
end
--@data
local D="@DATA@"
local code=function(c)
local _,e=find(D," "..lower(c).."=",1,true)
return e and sub(D,e+1,e+5)
end
--@walk
-- The code of a command: its kind, and for "r" the first and the last argument and the step, for "n" where the count
-- is, the step and whether a key is in front of it; last what in the reply is a name. It returns the reply and the
-- prefix, which SELECT changes.
local walk=function(p,rp,...)
local c=...
local n,f=select("#",...)-1,M[c]
if type(c)~="string" then return rp(...),p end
--@walk data
if not f then f=code(c) or @DEFAULT@ M[c]=f end
if f=="c0000" then
local s=select(2,...)
f=type(s)=="string" and code(c.."|"..s) or "r2o10"
end
--@walk full
if not f or f=="c0000" then
F=F or L(@FULL@,"@user_script")(N,M,R,P)
return F(p,rp,...)
end
--@walk static
if not f then return rp(...),p end
--@walk on
local a={select(2,...)}
if f==1 then f="r1n10" end
local k,i,l,s,y=byte(f,1,5)
i,l,s=i-48,l-109,s-48
if k==114 then
if l<0 then l=l+n+1 end
for j=i,l<n and l or n,s do a[j]=name(a[j],p,rp) end
--@n
elseif k==110 then
l=l+109-48
if s>0 and n>0 then a[1]=name(a[1],p,rp) end
local m=tonumber(a[i]) or 0
m=i+m*l
for j=i+1,m<n and m or n,l do a[j]=name(a[j],p,rp) end
--@!
elseif k==33 then return refuse(c,"@WHY@"),p
--@p
elseif k==112 then a[1]=name(a[1],root(p),rp)
--@x
elseif k==120 then
local j=1
while j<=n do
local o=word(a[j])
if o=="STREAMS" then
for q=j+1,j+(n-j)/2 do a[q]=name(a[q],p,rp) end
break
end
j=j+(o=="GROUP" and 3 or (o=="COUNT" or o=="BLOCK" or o=="CLAIM") and 2 or 1)
end
--@o
elseif k==111 then
if n>0 then a[1]=name(a[1],p,rp) end
local j=2
while j<n do
local o=word(a[j])
if o=="LIMIT" then j=j+2
elseif o=="STORE" or o=="BY" or (o=="GET" and a[j+1]~="#") then j=j+1 a[j]=name(a[j],p,rp)
elseif o=="GET" then j=j+1 end
j=j+1
end
--@g
elseif k==103 then
if n>0 then a[1]=name(a[1],p,rp) end
local j=i
while j<n do
local o=word(a[j])
if o=="STORE" or o=="STOREDIST" then
@STORE@
j=j+1
elseif o=="COUNT" then j=j+1 end
j=j+1
end
@READONLY@
--@s
elseif k==115 then
if n~=1 then return rp(c),p end
local q,e=database(a[1],p)
if e then return e,p end
return {ok="OK"},q
--@trusted
elseif k~=48 then
local escaped=gsub(p,"[%*%?%[%]\\]","\\%0")
local all=function(q) return rp("KEYS",gsub(q,"[%*%?%[%]\\]","\\%0").."*") end
if k==75 then
if n==1 then a[1]=name(a[1],escaped,rp) end
elseif k==67 then
local m
for j=2,n-1,2 do if word(a[j])=="MATCH" then m=j+1 end end
if not m and n>0 and n%2==1 then a[n+1]="MATCH" a[n+2]="*" n=n+2 m=n end
if m then a[m]=name(a[m],escaped,rp) end
elseif n>0 and (k==82 or k==68) then return rp(...),p
elseif k==82 then
local t=all(p)
if t.err then return t,p end
if #t==0 then return rp("GET",sub(p,1,-2)),p end
return strip(t[math.random(#t)],p),p
elseif k==68 then
local t=all(p)
return t.err and t or #t,p
elseif k==70 then
local t=all(lower(c)=="flushall" and root(p) or p)
if t.err then return t,p end
for j=1,#t,1000 do
local e=rp("UNLINK",unpack(t,j,j+999<#t and j+999 or #t))
if type(e)=="table" then return e,p end
end
return {ok="OK"},p
elseif k==89 then
local q,e,m=p,nil,2
for j=3,n do
if m==j then
elseif word(a[j])=="DB" and j<n then
q,e=database(a[j+1],p)
if e then return e,p end
m=j+1
end
end
if n>1 then a[1]=name(a[1],p,rp) a[2]=name(a[2],q,rp) end
if m>2 then table.remove(a,m) table.remove(a,m-1) n=n-2 end
elseif k==86 then
if n~=2 then return rp(c),p end
local q,e=database(a[2],p)
if e then return e,p end
if q==p then return {err="ERR source and destination objects are the same"},p end
e=rp("RENAMENX",name(a[1],p,rp),name(a[1],q,rp))
if type(e)=="table" and e.err=="ERR no such key" then e=0 end
return e,p
end
--@walk end
end
local r=rp(c,unpack(a,1,n))
if y~=48 and type(r)=="table" and not r.err then
if y==49 then r[1]=strip(r[1],p)
elseif y==51 then for j=1,#r do r[j]=strip(r[j],p) end
elseif y==52 then for j=1,#r[2] do r[2][j]=strip(r[2][j],p) end
elseif r.map then
local m={}
for q,v in pairs(r.map) do m[strip(q,p)]=v end
r.map=m
else for _,e in ipairs(r) do e[1]=strip(e[1],p) end end
end
return r,p
end
--@slow end
return function(...)
local r
r,p=walk(p,rp,...)
return r
end
end

--@full head
local N,M,R,P=... local select,type,find=select,type,string.find
--@full end
return walk

--@call
-- The error handler of the server reports the line of whoever called the function that raised the error, and that is
-- this line. The line of the script is found here, and put in when the handler wants to write its own. It is unknown
-- when the script had ended with the call ("return f()" leaves no trace of itself).
local F=function(r,v)
local _,w=P(error,"",4)
local l=tonumber(string.match(w,":(%d+): $")) or @LINE@
setmetatable(r,{__newindex=function(t,k,v) rawset(t,k,k=="line" and l or v) end})
error(r,0)
end
redis={call=function(...)
local c,k,r=...
if M[c]==1 and type(k)=="string" then r=rp(c,p..k,select(3,...))
else if not S then S=B() end r=S(...) end
if type(r)=="table" and r.err then
k,c=find(r.err,p,1,true)
if k then r.err=sub(r.err,1,k-1)..sub(r.err,c+1) end
F(r)
end
return r
end}
--@pcall
redis.pcall=function(...)
local c,k,r=...
if M[c]==1 and type(k)=="string" then r=rp(c,p..k,select(3,...))
else if not S then S=B() end r=S(...) end
if type(r)=="table" and r.err then
k,c=find(r.err,p,1,true)
if k then r.err=sub(r.err,1,k-1)..sub(r.err,c+1) end
end
return r
end
--@acl
redis.acl_check_cmd=function(...)
if not S then S=B() end
local o=rp
rp=R.acl_check_cmd
local k,r=P(S,...)
rp=o
if not k then F({err=r}) end
if type(r)=="table" then return false end
return r
end
--@rest
setmetatable(redis,{__index=R})
--@cjson
cjson.encode_max_depth(1000) cjson.decode_max_depth(1000) cjson.encode_sparse_array(false,2,10)
cjson.encode_number_precision(14) cjson.encode_invalid_numbers(false) cjson.decode_invalid_numbers(true)
cjson.encode_keep_buffer(true)
if cjson.decode_array_with_array_mt then cjson.decode_array_with_array_mt(false) end
--@metatable
P(rawset,getmetatable(""),"__metatable",false)
--@run
-- The script runs inside this function, which passes on plain errors only: servers die of an error that is a table
-- without a text in "err", or whose metatable raises an error itself, and some send line ends in an error's text as they
-- are, with which a script could forge replies. What the function is called is a name that the script does not contain.
local E,fence
local H,X=rawget(_G,"__redis__err__handler") or function(e) return e end,xpcall
--@clean
local clean,seen,next=nil,{},next
clean=function(v)
if type(v)~="table" then return v end
local s=seen[v]
if not s then
s={}
seen[v]=s
for k,e in next,v do s[clean(k)]=clean(e) end
end
return s
end
--@run end
@RUN@=function(f)
if fence then fence(f,E) end
local ok,v=X(f,H)
@SEALED@if ok then return @RESULT@ end
local t=type(v)=="table" and v or {err="ERR "..tostring(v)}
local one=function(s) return type(s)=="string" and string.gsub(s,"[\r\n]"," ") or nil end
local e,line,source=one(rawget(t,"err")),tonumber(rawget(t,"line")),one(rawget(t,"source"))
e={err=e or "ERR the error has no text",ignore_error_stats_update=rawget(t,"ignore_error_stats_update")}
setmetatable(e,{__newindex=function(t,k,v)
if k=="line" then v=line elseif k=="source" then v=source end
rawset(t,k,v)
end})
error(e,0)
end
--@server
server=rawget(_G,"server") and redis
--@fence
-- Some servers have setfenv, getfenv and newproxy, with which one script can change what all later ones see, or leave a
-- finalizer behind that runs in the middle of somebody else's. A script that could get at them gets an environment of
-- its own, in which they are not, and there is no way from it to the real one: _G is this environment, and what
-- load compiles runs in it.
local G=_G
fence=rawget(G,"setfenv")
loadstring=function(s,n)
local f,e
if fence then
f,e=L(s,n)
if f then fence(f,E) end
return f,e
end
f=(type(s)=="string" or type(s)=="number") and L("local redis,loadstring,load,_G=... return function(...) "..s.."\nend",n or s)
if f then return f(redis,loadstring,load,_G) end
f,e=L(s,n)
return nil,e or "the text is too complex"
end
load=function(f,n)
local t={}
while true do
local s=f()
if type(s)~="string" or s=="" then break end
t[#t+1]=s
end
return loadstring(table.concat(t),n or "=(load)")
end
E={redis=redis,loadstring=loadstring,load=load,server=rawget(G,"server") and redis}
E._G=E
if fence then E.setfenv=false E.getfenv=false E.newproxy=false end
setmetatable(E,{__index=G,__newindex=G,__metatable=false})
_G=E
--@tail
end return @RUN@(function(...)
--@broken
end do local _,e=loadstring("@SOURCE@","@user_script")
return {err="ERR Error compiling script (new function): "..tostring(e or "its blocks do not match")} end
--@diagnosis
local f,e=loadstring("@SOURCE@","@user_script")
return f and {ok="OK"} or {err="ERR Error compiling script (new function): "..e}
