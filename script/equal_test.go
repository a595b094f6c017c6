package script

import (
	"strings"
	"testing"
)

// equal are scripts that a tenant must see no difference in. They run in this order on one keyspace.
var equal = strings.Split(strings.TrimSpace(`
return 1
return
local x = 1
return nil
return true
return false
return 3.99
return -0.5
return 'str'
return {1,2,{3,'four',{5}},nil,6}
return {1,2,nil,4}
return {ok='FINE'}
return {err='MY error'}
return {err='noprefix'}
return redis.status_reply('YES')
return redis.error_reply('OWN made up')
return redis.error_reply('-OWN made up')
return redis.error_reply(1)
return redis.error_reply()
return {double=3.5}
return {map={a=1}}
return {set={a=true}}
return {big_number='123456789012345678901234567890'}
return {verbatim_string={format='txt',string='hello'}}
redis.setresp(3) return {double=3.5}
redis.setresp(3) return {map={a=1}}
redis.setresp(3) return true
redis.setresp(4)
redis.setresp()
return {KEYS[1],KEYS[2],#KEYS,ARGV[1],ARGV[2],ARGV[3],#ARGV}
return {unpack(ARGV)}
return {unpack(KEYS)}
return {ARGV[4],#ARGV}
return select('#',unpack(ARGV))
return #ARGV + #KEYS
local n=0 for _ in pairs(ARGV) do n=n+1 end for _ in ipairs(KEYS) do n=n+10 end return n
local t={} for k,v in pairs(ARGV) do t[#t+1]=k..v end return t
return {...}
return table.concat(ARGV,',')
ARGV[4]='x' return #ARGV
KEYS[1]='other' return redis.call('set',KEYS[1],1)
return redis.call('SET',KEYS[1],'v')
return redis.call('get',KEYS[1])
return redis.call('GeT',KEYS[1])
return redis.pcall('get',KEYS[1])
return redis.call('get','nothing')
return {redis.call('get','nothing'),1}
return redis.call('set','computed'..':'..ARGV[1],'x')
return redis.call('get','computed:a1')
return redis.call('mset','m1','1','m2','2')
return redis.call('mget','m1','m2','m3')
return redis.call('exists','m1','m2','m3')
return redis.call('del','m1','m2','m3')
return redis.call('set',1,1)
return redis.call('set',12345678901234567,1)
return redis.call('set',0.1,1)
return redis.call('set',3.0,1)
return redis.call('set',1e100,1)
return redis.call('set',-7,1)
return redis.call('set',1/0,1)
return redis.call('set',0,1)
return redis.call('get','1')
return redis.call('exists',1,0.1,3,-7,1e100,0)
return redis.call('exists','12345678901234567','12345678901234568','0.1','0.10000000000000001','inf')
return redis.call('del',1,0.1,3,-7,1e100,1/0,0,12345678901234567)
return redis.call('set','num',5)
return redis.call('incrby','num',2.0)
return redis.call('get',nil)
return redis.call('set',nil,'x')
return redis.call('set',{},'x')
return redis.call('set')
return redis.call('hset','n','f',{})
return redis.call('mget')
return redis.call('append',{},'x')
return redis.call('append')
return redis.call('hincrby')
return redis.call('rename',{},'x')
return redis.call('rename','nothing')
return redis.call('sort')
return redis.call('sort',{},'BY','x*')
return redis.call('get')
return redis.call('get',{})
return redis.call('get',true)
return redis.call('get','a','b')
return redis.call()
return redis.call(nil)
return redis.call({})
return redis.call(5)
return redis.call('')
return redis.call('nonesuch','a')
return redis.pcall('nonesuch','a')
return redis.pcall('get')
return redis.pcall()
return redis.pcall('incr',KEYS[1])
return redis.pcall('incr',KEYS[1]).err
return type(redis.pcall('incr',KEYS[1]))
return redis.call('incr',KEYS[1])
local x = redis.call('incr',KEYS[1]) return x
redis.call('incr',KEYS[1]) return 1
return (redis.call('incr',KEYS[1]))
return tostring(redis.call('incr',KEYS[1]))
local call = redis.call return call('incr',KEYS[1])
local call = redis.call call('incr',KEYS[1])
return pcall(redis.call,'incr',KEYS[1])
return {pcall(redis.call,'incr',KEYS[1])}
return {pcall(redis.call,'get',KEYS[1])}
return select(2,pcall(redis.call,'incr',KEYS[1]))
local ok,e=pcall(function() return redis.call('incr',KEYS[1]) end) return {tostring(ok),e}
local ok,e=pcall(function() redis.call('incr',KEYS[1]) end) return {tostring(ok),type(e),e}
return {xpcall(function() redis.call('incr',KEYS[1]) end,function(e) return e.err end)}
local e=redis.pcall('incr',KEYS[1]) return e
local e=redis.pcall('incr',KEYS[1]) return e['err']
local e=redis.pcall('incr',KEYS[1]) error(e)
error('raised')
error('raised',0)
error('raised',2)
error({err='TABLE raised'})
error({err='TABLE raised',x=1})
error()
error(5)
assert(false)
assert(nil,'asserted')
assert(false,{err='X y'})
local x = nil; return x.field
local x = nil; return x()
return undefined
undefined = 1
x.y = 1
return ('x').y.z
return 1 + {}
return 'a' < 1
return #5
return tostring(nil)..nil
return redis.nonesuch
redis.nonesuch()
return redis.sha1hex('abc')
return redis.sha1hex()
return redis.LOG_WARNING
return redis.REDIS_VERSION
return redis.REDIS_VERSION_NUM
redis.log(redis.LOG_DEBUG,'x')
redis.log()
redis.log(9,'x')
return tostring(redis.replicate_commands())
return redis.set_repl(redis.REPL_ALL)
redis.set_repl(77)
redis.breakpoint()
return tostring(redis.acl_check_cmd('get','foo'))
return redis.acl_check_cmd('set',KEYS[1],'x')
return redis.acl_check_cmd('nonesuch')
redis.acl_check_cmd('nonesuch')
return type(redis['call'])
local r = redis return r.call('get',KEYS[1])
local r = redis; local v = r.pcall('get',KEYS[1]) return v
local f = 'call' return redis[f]('get',KEYS[1])
return redis['call']('get',KEYS[1])
for _,c in ipairs({'get','strlen'}) do redis.call(c,KEYS[1]) end
local c='str'..'len' return redis.call(c,KEYS[1])
local c='m'..'get' return redis.call(c,'k1','k2')
local c='M'..'GeT' return redis.call(c,'k1','k2')
return redis.call('rpush','l','a','b','c')
return redis.call('lrange','l',0,-1)
return redis.call('rename','l','l2')
return redis.call('lmove','l2','l3','LEFT','RIGHT')
return redis.call('rpoplpush','l2','l3')
return redis.call('lmpop',2,'nothing','l3','LEFT')
return redis.call('lmpop',1,'nothing','LEFT')
return redis.call('lmpop','x','l3','LEFT')
return redis.call('lmpop',5,'l3','LEFT')
return redis.call('lmpop','0','l3','LEFT')
return redis.call('sort','l3','ALPHA','DESC','LIMIT',0,10)
return redis.call('sort','l3','BY','nosort','STORE','l4')
return redis.call('sort_ro','l3','ALPHA')
return redis.call('lrange','l4',0,-1)
return redis.call('sadd','s1','a','b')
return redis.call('sadd','s2','b','c')
return redis.call('sinter','s1','s2')
return redis.call('sinterstore','s3','s1','s2')
return redis.call('sintercard',2,'s1','s2','LIMIT',5)
return redis.call('smove','s1','s2','a')
return redis.call('smembers','s3')
redis.setresp(3) return redis.call('smembers','s3')
return redis.call('zadd','z1',1,'a',2.5,'b')
return redis.call('zadd','z2',1,'b',2,'c')
return redis.call('zunion',2,'z1','z2','WITHSCORES')
redis.setresp(3) return redis.call('zunion',2,'z1','z2','WITHSCORES')
return redis.call('zunionstore','z3',2,'z1','z2','WEIGHTS',1,2)
return redis.call('zrangestore','z4','z3',0,-1)
return redis.call('zrange','z4',0,-1,'WITHSCORES')
return redis.call('zmpop',1,'z4','MAX')
redis.setresp(3) return redis.call('zmpop',1,'z4','MAX')
return redis.call('zscore','z1','b')
redis.setresp(3) return redis.call('zscore','z1','b')
return redis.call('hset','h','f','v','g','w')
return redis.call('hgetall','h')
redis.setresp(3) return redis.call('hgetall','h')
return redis.call('hmget','h','f','x')
return redis.call('xadd','st','1-1','f','v')
return redis.call('xadd','st2','1-1','f','v')
return redis.call('xread','COUNT',5,'STREAMS','st','st2',0,0)
redis.setresp(3) return redis.call('xread','STREAMS','st',0)
redis.setresp(3) return redis.call('xread','STREAMS','st','st2',0,0).map.st[1][1]
return redis.call('xread','STREAMS','st','$')
return redis.call('xread','STREAMS','st')
return redis.call('xread','nonsense')
return redis.call('xgroup','CREATE','st','STREAMS','0')
return redis.call('xreadgroup','GROUP','STREAMS','STREAMS','COUNT',1,'STREAMS','st','>')
return redis.call('xreadgroup','GROUP','missing','c','STREAMS','st','>')
return redis.pcall('xreadgroup','GROUP','missing','c','STREAMS','st','>')
local x = redis.call('xreadgroup','GROUP','missing','c','STREAMS','st','>') return 1
return redis.call('xpending','st','STREAMS')
return redis.call('xinfo','GROUPS','st')
return redis.call('xinfo','STREAM','nothing')
return redis.call('xinfo')
return redis.call('xinfo','NONESUCH','st')
return redis.call('object','ENCODING','h')
return redis.call('object','ENCODING')
return redis.call('object','REFCOUNT','nothing')
return redis.call('object','NONESUCH','h')
return redis.call('geoadd','g',13.361389,38.115556,'Palermo',15.087269,37.502669,'Catania')
return redis.call('georadius','g',15,37,200,'km','WITHDIST','COUNT',1)
return redis.call('GEORADIUSBYMEMBER','g','Palermo',200,'km')
return redis.call('geosearchstore','g2','g','FROMLONLAT',15,37,'BYRADIUS',200,'km')
return redis.call('zrange','g2',0,-1)
return redis.call('set','b1','foobar')
return redis.call('set','b2','abcdef')
return redis.call('bitop','AND','b3','b1','b2')
return redis.call('get','b3')
return redis.call('lcs','b1','b2')
return redis.call('pfadd','p1','a')
return redis.call('pfcount','p1','p2')
return redis.call('publish','chan','x')
return redis.call('spublish','chan','x')
return redis.call('ping')
return redis.call('ping','x')
return redis.call('echo','hello')
return redis.call('echo',0.1)
return #redis.call('time')
return redis.call('expire','h',100)
return redis.call('ttl','h')
return redis.call('type','h')
return redis.call('dump','nothing')
return redis.call('touch','h','h','z1')
return redis.call('msetnx','h','1','nx','1')
return redis.call('blpop','l3',0)
return redis.call('blpop','nothing','nothing2',0.01)
return redis.call('auth','x','y')
return redis.call('eval','return 1',0)
return redis.call('multi')
return redis.call('subscribe','x')
return redis.call('config','get','*')
return redis.call('select','1')
return {redis.call('select','3'),redis.call('set','in3','x'),redis.call('select','0'),redis.call('get','in3'),redis.call('select',3),redis.call('get','in3')}
return redis.call('select','99')
return redis.call('select','-1')
return redis.call('select','x')
return redis.call('select')
return redis.call('get','in3')
return cjson.encode({a=1,b={1,2,'x'}})
return cjson.encode({a={[1]=1,[2]=2}})
return cjson.decode('[1,2,{"x":[3]}]')
return cjson.decode('{')
return cjson.encode({[1]=1,[1000]=2})
return cjson.encode(0/0)
return cjson.encode(1/3)
return tostring(cjson.null)
return cjson.encode(cjson.null)
local c=cjson.new() c.encode_max_depth(1) return c.encode({1})
return cjson.encode_max_depth()
return cmsgpack.unpack(cmsgpack.pack({1,2,'x'}))
return cmsgpack.pack(1,2)
return {struct.unpack('HH',struct.pack('HH',1,2))}
return struct.pack('>I',1)
return struct.pack('z')
return bit.band(255,15)
return bit.tohex(255)
return {math.floor(3.7),math.max(1,2)}
return string.format('%d %s %5.2f',1,'x',3.14159)
return ('abc'):upper()
return string.rep('ab',3)
return (string.gsub('hello','l','L'))
return {string.find('hello','l')}
return os.clock() >= 0
return type(os.time)
return loadstring('return 1+1')()
return loadstring('return redis.call("get",KEYS[1])')()
return loadstring('local a=... return a')(7)
return loadstring('return 1 +')
return {loadstring('return 1 +')}
return {loadstring('x = = 1','=name')}
return loadstring('return undefinedthing')()
return loadstring('error("inside")')()
return loadstring(5)
return load(function() return nil end)
local n=0 return load(function() n=n+1 return ({'return ','42'})[n] end)()
local n=0 return load(function() n=n+1 return ({'return redis.call("get",','"k1")'})[n] end)()
return _G.redis.call('get','k1')
return _G['redis']['call']('get','k1')
return _G._G.redis.call('get','k1')
return _G.KEYS[1] .. #_G.ARGV
return type(_G)
_G.x = 1
return _G.undefinedthing
return rawget(_G,'undefinedthing')
return type(_G.string)
local co=coroutine.create(function(a) local b=coroutine.yield(a+1) return b*2 end) local _,x=coroutine.resume(co,1) local _,y=coroutine.resume(co,5) return {x,y}
local co=coroutine.wrap(function() coroutine.yield(redis.call('get','k1')) return redis.call('get','b1') end) return {co(),co()}
local co=coroutine.create(function() redis.call('incr','k1') end) local ok,e=coroutine.resume(co) return {tostring(ok),type(e),e.err}
local co=coroutine.wrap(function() redis.call('incr','k1') end) co()
local t=setmetatable({},{__index=function(_,k) return k..'!' end}) return t.x
local t=setmetatable({},{__call=function(_,k) return redis.call('get',k) end}) return t('k1')
return tostring(setmetatable({},{__tostring=function() return 'T' end}))
return getmetatable({})
string.rep = nil
string.x = 1
table.x = 1
local redis = 5 return redis
local function redis() return 1 end return redis()
return #(redis.call('time')[1])
return tostring(1e15)
return 1e15
return 9007199254740993
return {1.5,'1.5',2.0}
return next({})
return {tostring(1/0),tostring(-1/0)}
return {collectgarbage('step') and 1}
return type(collectgarbage('count'))
return {type(type),type(select),type(unpack)}
return unpack({1,2,3})
return {unpack({1,2,3},2)}
return tonumber('0x10')
return {pcall(error,'x')}
return {pcall(error,{err='T x'})}
return {pcall(error)}
return xpcall(error,function() return 1 end)
(function() redis.call('set','paren','x') end)()
; return 1
return 1; -- comment
-- only a comment
--[[ long
comment ]] return 2
return [[long
string]]
return "a\
b"
return 1 return 2
return 'unfinished
if true then
end
)
local function f( return 1
goto x
return 0x
return "\300"
while true do break end return 'left'
repeat local x = 1 until x == 1 return 'r'
for i=1,3 do if i==2 then return i end end
local function fact(n) if n<=1 then return 1 end return n*fact(n-1) end return fact(10)
local function loop(n) if n==0 then return 'done' end return loop(n-1) end return loop(10000)
local function loop(n) return loop(n+1)+1 end return loop(1)
return redis.call('set','a','b','PX','nonsense')
return redis.call('get', 'k1') .. redis.call('get','b1')
return redis.call('get', 'k1') == 'v'
return redis.call('hgetall','h')[1]
return redis.call('exists', 'k1') and 'yes' or 'no'
return redis.call('exists', 'k1'), 5
if redis.call('exists','k1') == 1 then return redis.call('del','k1') else return 0 end
`), "\n")

func TestEqual(t *testing.T) { inIsolated(t, testEqual) }

func testEqual(t *testing.T, mode Mode) {
	w := newWorld(t, mode)
	for _, resp := range []string{"2", "3"} {
		w.flush(t)
		do(t, w.plain, "HELLO", resp)
		do(t, w.wall, "HELLO", resp)
		for _, source := range equal {
			w.same(t, source)
		}
		for _, source := range lines {
			w.same(t, source)
		}
	}
}
