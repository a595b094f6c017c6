-- What stands between the prelude and the server for tenants whose values may be stored sealed: a script is to see
-- plain values only. Taken apart like prelude.lua.
--
-- A script that comes upon a sealed value before it has written anything ends with an error that names the keys, which
-- it can not catch, and may be run again when they have been made plain. Later that is no longer possible. So all
-- declared keys are looked at when it is about to write for the first time.

--@values
-- Z: the error that ends the script. W: it has written. G, H, K: keys that are known to be plain. V: what the commands
-- that the script names have to do with values. q: the prefix of declared keys. Few upvalues, since each costs each run.
local Z,W,G,H,O,T
local K,V,raw,byte,q={},{@MARKS@},rp,string.byte,p
--@look
-- Called with the keys in whose values something sealed was found, and before the script writes for the first time. It
-- returns an error when it is too late to end the script.
local found=function(t)
if W then
if not t then return end
local why=" is stored sealed and was not declared in KEYS"
for i=1,#KEYS do
if q..tostring(KEYS[i])==t[1] then why=" is stored sealed and was not read before the first write, the key being too large to look at" end
end
return {err="ERR value of key '"..string.gsub(t[1],"[%z\r\n]"," ").."'"..why}
end
W=true
if t then
for i=1,#t do K[t[i]]=true end
end
for @DECLARED@ do
local k,e=KEYS[i],nil
if type(k)=="string" then
k=q..k
if k~=G and k~=H and not K[k] then
K[k]=true
e=raw("TYPE",k).ok
--@look strings
if e=="string" then
if raw("GETRANGE",k,0,2)=="@MAGIC@" then t=t or {} t[#t+1]=k end
end
--@look hashes
if e=="hash" then
e=raw("HLEN",k)
if type(e)~="number" or e>@MOST@ then K[k]=nil else
e=raw("HVALS",k)
for j=1,#e do
if byte(e[j])==252 and sub(e[j],1,3)=="@MAGIC@" then t=t or {} t[#t+1]=k break end
end
end
end
--@look end
end
end
end
if not t then return end
local names,seen,size={},{},0
for i=1,#t do
local k=t[i]
size=size+2*#k+1
if i>1 and size>@LONGEST@ then break end
if not seen[k] then
seen[k]=true
names[#names+1]=string.gsub(k,".",function(c) return string.format("%02x",string.byte(c)) end)
end
end
Z="@WORD@ "..table.concat(names," ")
rp=function() error({err=Z},0) end
rp()
end
--@no look
W=true
--@other
-- What is more than one plain string in, or one out. Its first argument is the mark of the command: the kind, whether
-- it writes, the first and the last key ('m' plus it) and the step, the first argument that is a value and the step.
local is=function(v) return type(v)=="string" and byte(v)==252 and sub(v,1,3)=="@MAGIC@" end
O=function(v,...)
local lower=string.lower
local a,n,t={...},select("#",...),{}
local k,w,i,l,s,f,g=byte(v,1,7)
w,i,l,f=w==49,i-47,l-108,f-47
if f>1 then
for j=f,n,g-48 do if is(a[j]) then return {err="@REFUSED@"} end end
end
if k==105 then
if l<1 then l=l+n end
for j=i,l<n and l or n,s-48 do
local x=a[j]
if not K[x] then
local r=raw("GETRANGE",x,0,2)
if is(r) then t[#t+1]=x elseif type(r)=="string" then K[x]=true end
end
end
--@other h
elseif k==104 then
if n>2 and is(raw("HGET",a[2],a[3])) then t[1]=a[2] end
--@other f
elseif k==102 then
for j=3,n-2 do
if type(a[j])=="string" and lower(a[j])=="fields" then
local r=raw("HMGET",a[2],unpack(a,j+2,n))
for q=1,n do if is(r[q]) then t[1]=a[2] end end
break
end
end
--@other r
-- What is encrypted belongs to one name of a key.
elseif n>1 and (k==114 or k==100) then
local bad=function(x) return is(x) and (k==100 or (byte(x,5) or 0)%8>1) end
local x=raw("TYPE",a[2]).ok
if x=="string" then
if bad(raw("GETRANGE",a[2],0,4)) then t[1]=a[2] end
elseif x=="hash" then
local r={"0"}
repeat
r=raw("HSCAN",a[2],r[1],"COUNT",@MOST@)
if r.err then break end
for j=2,#r[2],2 do if bad(r[2][j]) then t[1]=a[2] break end end
until r[1]=="0" or t[1]
end
--@other o
elseif k==111 then
w=false
local l
for j=3,n do
local o,q=type(a[j])=="string" and lower(a[j]),a[j+1]
if o=="store" then w=true end
if (o=="by" or o=="get") and type(q)=="string" and find(q,"*",1,true) then
l=l or raw("SORT",a[2],"BY","nosort")
local at=find(q,"*",1,true)
local to=find(q,"->",at,true)
if to==#q-1 then to=nil end
for e=1,#l do
local x=sub(q,1,at-1)..l[e]..sub(q,at+1,(to or 0)-1)
local r
if to then r=raw("HGET",x,sub(q,to+2)) else r=raw("GETRANGE",x,0,2) end
if is(r) then t[#t+1]=x end
end
end
end
--@other end
end
if #t>0 then return found(t) end
if w and not W then found() end
if k==114 then for x in next,K do K[x]=nil end end
local reply=raw(...)
if type(reply)~="table" or reply.err then return reply end
--@other reads
local r=reply
if k==101 then
for j=1,#r>n and #r or n do if is(r[j]) then t[1]=a[2] break end end
elseif k==103 then
for j=2,n do if is(r[j-1]) then t[#t+1]=a[j] end end
else
local has=function(o)
for j=3,n do if type(a[j])=="string" and lower(a[j])==o then return true end end
end
if k==99 then r=r[2] end
if k==112 or k==109 and has("withvalues") or k==99 and not has("novalues") then
for _,x in next,r.map or {} do if is(x) then t[1]=a[2] end end
for j=1,#r do
local x=r[j]
if type(x)=="table" then x=x[2] elseif j%2==1 then x=nil end
if is(x) then t[1]=a[2] end
end
end
end
if #t>0 then return found(t) end
--@other tail
return reply
end

--@server
-- The server's own redis.pcall, with names as they are stored.
rp=function(...)
local c,k,s=...
local v=V[c]
if v==0 then return raw(...) end
--@get
if v==1 then
local r=raw(...)
if type(r)~="table" then
if r and byte(r)==252 and sub(r,1,3)=="@MAGIC@" then return found({k}) end
if not W then if not G then G=k elseif G~=k then K[k]=true end end
end
return r
end
--@hget
if v==4 then
local r=raw(...)
if type(r)=="string" and byte(r)==252 and sub(r,1,3)=="@MAGIC@" then return found({k}) end
return r
end
--@set
if v==3 then
if type(s)=="string" and byte(s)==252 and sub(s,1,3)=="@MAGIC@" then return {err="@REFUSED@"} end
local n=type(k)=="string" and select("#",...) or 0
if n>3 then
local reads,may
for i=4,n do
local o=select(i,...)
if type(o)=="string" then
o=string.lower(o)
if o=="get" or string.find(o,"^if..") then reads=true elseif o=="nx" or o=="xx" then may=true end
end
end
if reads then
if not K[k] and raw("GETRANGE",k,0,2)=="@MAGIC@" then return found({k}) end
elseif not may and not W then H=k end
elseif n==3 and not W then H=k end
if not W then found() end
return raw(...)
end
--@inside
if v==5 or v==6 then
if type(k)=="string" and not K[k] then
local r=raw("GETRANGE",k,0,2)
if r=="@MAGIC@" then return found({k}) end
if type(r)=="string" then K[k]=true end
end
if v==6 and not W then found() end
return raw(...)
end
--@writes
if v==2 then
if not W then found() end
return raw(...)
end
--@static
return raw(...)
end
--@static other
if v then return O(v,...) end
return raw(...)
end
--@dynamic
-- The name of a command that the script has put together is looked up in a part that is compiled when it is needed.
if v==nil and type(c)=="string" then
T=T or {L(@ALL@,"@user_script")(raw,K,found)}
v=T[1](c)
V[c]=type(v)=="number" and v or function(...) return T[2](v,...) end
return rp(...)
end
if type(v)=="function" then return v(...) end
if v then return O(v,...) end
return raw(...)
end

--@all head
local raw,K,found=...
local W,O
local select,type,find,sub,byte,lower,next,unpack,tonumber=select,type,string.find,string.sub,string.byte,string.lower,next,unpack,tonumber
--@all tail
local D="@DATA@"
return function(c)
local _,e=find(D," "..lower(c).."=",1,true)
if not e then return 2 end
return tonumber(sub(D,e+1,e+1)) or sub(D,e+1,e+7)
end,O
