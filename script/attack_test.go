package script

import (
	"fmt"
	"strings"
	"testing"

	"riptide-proxy/tests/harness"
)

// canary is what acme must not see, in a key and in a script of globex.
const canary = "canary7391"

// reads try to read, change, count or name what is globex's. Each runs behind the prelude and, which is what counts,
// without it.
var reads = []string{
	`return redis.call('get','t:globex:0:secret')`,
	`return redis.pcall('get','t:globex:0:secret')`,
	`return redis.call('get','../t:globex:0:secret')`,
	`return redis.call('get',KEYS[1])`,
	`return _G.redis.call('get','t:globex:0:secret')`,
	`return rawget(_G,'redis').call('get','t:globex:0:secret')`,
	`return getmetatable(redis).__index.call('get','t:globex:0:secret')`,
	`return loadstring("return redis.call('get','t:globex:0:secret')")()`,
	`return loadstring("return _G.redis.call('get','t:globex:0:secret')")()`,
	`return load(function() local s=x x=nil return s end)`,
	`return coroutine.wrap(function() return _G.redis.call('get','t:globex:0:secret') end)()`,
	`return xpcall(function() return _G.redis.call('get','t:globex:0:secret') end,function(e) return e end)`,
	`return (getfenv and getfenv(0) or _G).redis.call('get','t:globex:0:secret')`,
	`return redis.call('keys','*')`, `return redis.call('scan',0)`, `return redis.call('scan',0,'MATCH','*','COUNT',1000)`,
	`return redis.call('randomkey')`, `return redis.call('dbsize')`, `return _G.redis.call('keys','*')`,
	`return _G.redis.call('scan',0)`, `return _G.redis.call('randomkey')`, `return _G.redis.call('dbsize')`,
	`return redis.call('flushall')`, `return redis.call('flushdb')`, `return _G.redis.call('flushall')`,
	`return redis.call('swapdb',0,1)`, `return _G.redis.call('swapdb',0,1)`,
	`return _G.redis.call('move','t:globex:0:secret',1)`, `return _G.redis.call('move','t:acme:0:a',1)`,
	`return _G.redis.call('copy','t:globex:0:secret','t:acme:0:stolen')`,
	`return _G.redis.call('copy','t:acme:0:a','t:globex:0:planted')`,
	`return _G.redis.call('select',1)`,
	`return _G.redis.call('rename','t:acme:0:a','t:globex:0:planted')`,
	`return _G.redis.call('renamenx','t:globex:0:secret','t:acme:0:stolen')`,
	`return _G.redis.call('del','t:globex:0:secret')`, `return _G.redis.call('unlink','t:acme:0:a','t:globex:0:secret')`,
	`return _G.redis.call('mget','t:acme:0:a','t:globex:0:secret')`,
	`return _G.redis.call('mset','t:acme:0:a','1','t:globex:0:planted','2')`,
	`return _G.redis.call('set','t:globex:0:planted','x')`, `return _G.redis.call('set','T:ACME:0:x','x')`,
	`return _G.redis.call('set','planted','x')`, `return _G.redis.call('set','','x')`,
	`return _G.redis.call('set','riptide:x','x')`, `return _G.redis.call('hgetall','t:globex:scripts')`,
	`return _G.redis.call('sort','t:acme:0:list','BY','nosort','GET','t:globex:0:*')`,
	`return _G.redis.call('sort','t:acme:0:list','BY','t:globex:0:*','GET','#')`,
	`return _G.redis.call('sort','t:acme:0:list','STORE','t:globex:0:planted')`,
	`return _G.redis.call('sort','t:acme:0:list','STORE','t:acme:0:x','STORE','t:globex:0:planted')`,
	`return redis.call('sort','list','BY','nosort','GET','t:globex:0:*')`,
	`return _G.redis.call('georadius','t:acme:0:geo',13,38,100,'km','STORE','t:acme:0:x','STORE','t:globex:0:planted')`,
	`return _G.redis.call('georadiusbymember','t:acme:0:geo','p',100,'km','STOREDIST','t:acme:0:x','STORE','t:globex:0:planted')`,
	`return redis.call('georadius','geo',13,38,100,'km','STORE','x','STORE','t:globex:0:planted')`,
	`return _G.redis.call('geosearchstore','t:globex:0:planted','t:acme:0:geo','FROMMEMBER','p','BYRADIUS',1,'km')`,
	`return _G.redis.call('zunionstore','t:acme:0:x',1,'t:globex:0:zset')`,
	`return _G.redis.call('zunionstore','t:globex:0:planted',1,'t:acme:0:zset')`,
	`return _G.redis.call('zunion',2,'t:acme:0:x','t:globex:0:zset')`,
	`return _G.redis.call('lmpop','4294967297','t:acme:0:x','t:globex:0:list','LEFT')`,
	`return _G.redis.call('lmpop',2,'t:acme:0:x','t:globex:0:list','LEFT')`,
	`return _G.redis.call('xread','STREAMS','t:globex:0:stream','0')`,
	`return _G.redis.call('xreadgroup','GROUP','STREAMS','t:acme:0:x','STREAMS','t:globex:0:stream','0')`,
	`return _G.redis.call('xreadgroup','COUNT','1','GROUP','STREAMS','t:acme:0:c','STREAMS','t:globex:0:stream','0')`,
	`return _G.redis.call('lcs','t:acme:0:a','t:globex:0:secret')`,
	`return _G.redis.call('bitop','OR','t:acme:0:x','t:globex:0:secret')`,
	`return _G.redis.call('pfmerge','t:acme:0:x','t:globex:0:hll')`,
	`return _G.redis.call('object','encoding','t:globex:0:secret')`, `return _G.redis.call('memory','usage','t:globex:0:secret')`,
	`return _G.redis.call('dump','t:globex:0:secret')`, `return _G.redis.call('exists','t:globex:0:secret')`,
	`return _G.redis.call('type','t:globex:0:secret')`, `return _G.redis.call('ttl','t:globex:0:secret')`,
	`return _G.redis.call('touch','t:globex:0:secret')`, `return _G.redis.call('expire','t:globex:0:secret',1)`,
	`return _G.redis.call('publish','t:globex:chan','x')`, `return _G.redis.call('spublish','t:globex:chan','x')`,
	`return _G.redis.call('publish','*','x')`,
	`return _G.redis.call('pubsub','channels')`, `return _G.redis.call('pubsub','numsub','t:globex:chan')`,
	`return _G.redis.call('memory','stats')`, `return _G.redis.call('memory','malloc-stats')`, `return _G.redis.call('info')`,
	`return _G.redis.call('slowlog','get')`, `return _G.redis.call('client','list')`, `return _G.redis.call('config','get','*')`,
	`return _G.redis.call('acl','list')`, `return _G.redis.call('latency','latest')`, `return _G.redis.call('lastsave')`,
	`return _G.redis.call('cluster','info')`, `return _G.redis.call('debug','object','t:globex:0:secret')`,
	`return _G.redis.call('migrate','127.0.0.1','1','t:acme:0:a',0,1)`, `return _G.redis.call('script','load','return 1')`,
	`return _G.redis.call('eval',"return redis.call('get','t:globex:0:secret')",0)`,
	`return _G.redis.call('function','list')`, `return _G.redis.call('wait',0,0)`, `return _G.redis.call('restore','t:acme:0:r',0,'x')`,
	`return _G.redis.call('module','list')`, `return _G.redis.call('shutdown')`, `return _G.redis.call('replicaof','no','one')`,
	`return redis.acl_check_cmd('get','t:globex:0:secret')`, `return _G.redis.acl_check_cmd('keys','*')`,
	`return redis.acl_check_cmd('set','t:globex:0:secret','x')`,
	`return ARGV[#ARGV]`, `return {unpack(ARGV,-5,10)}`, `return KEYS[0]`, `return {KEYS,ARGV}`,
	`ARGV[#ARGV]='t:globex:0:' return redis.call('get','secret')`,
	`local s='' for k,v in pairs(_G) do s=s..tostring(k)..tostring(v) end return s`,
}

func TestReads(t *testing.T) { inIsolated(t, testReads) }

func testReads(t *testing.T, mode Mode) {
	w := newWorld(t, mode)
	ctx := harness.Context(t)
	fill := func() {
		p := w.admin.Pipeline()
		p.FlushAll(ctx)
		p.Set(ctx, secret, canary, 0)
		p.RPush(ctx, "t:globex:0:list", canary)
		p.Do(ctx, "ZADD", "t:globex:0:zset", 1, canary)
		p.Do(ctx, "XADD", "t:globex:0:stream", "1-1", canary, canary)
		p.Do(ctx, "XGROUP", "CREATE", "t:globex:0:stream", "STREAMS", "0")
		p.PFAdd(ctx, "t:globex:0:hll", canary)
		p.Do(ctx, "HSET", "t:globex:scripts", "sha", canary)
		p.Do(ctx, "GEOADD", "t:acme:0:geo", 13, 38, "p")
		p.RPush(ctx, "t:acme:0:list", "secret")
		p.Do(ctx, "ZADD", "t:acme:0:zset", 1, "x")
		p.Set(ctx, "t:acme:0:a", "mine", 0)
		if _, err := p.Exec(ctx); err != nil {
			t.Fatal(err)
		}
	}
	foreign := func() string {
		keys, err := w.admin.Keys(ctx, "*").Result()
		if err != nil {
			t.Fatal(err)
		}
		n, list := 0, ""
		for _, k := range keys {
			if !strings.HasPrefix(k, acmeRoot) {
				n++
				list += k + " "
			}
		}
		return fmt.Sprint(n, len(list), w.admin.Dump(ctx, secret).Val(), w.admin.LLen(ctx, "t:globex:0:list").Val(),
			w.admin.TTL(ctx, secret).Val())
	}
	for _, source := range reads {
		for _, how := range []string{"wrapped", "bare"} {
			fill()
			before := foreign()
			var reply string
			if how == "wrapped" {
				reply = eval(t, w.wall, mode, source, acme, []string{"a"}, []string{"x"})
			} else {
				reply = do(t, w.wall, "EVAL", source, "1", "t:acme:0:a", "x")
			}
			if strings.Contains(reply, canary) {
				t.Errorf("%s: %s\n tells %q", how, source, reply)
			}
			if after := foreign(); after != before {
				t.Errorf("%s: %s\n changes what is globex's: %q, was %q", how, source, after, before)
			}
			if n := w.admin.Do(ctx, "INFO", "keyspace").Val().(string); strings.Contains(n, "db1:") {
				t.Errorf("%s: %s\n gets into another database", how, source)
			}
		}
	}
}

// What the wall must refuse of these has nothing to do with keys of the tenant, or more than with them.
func TestWallRefuses(t *testing.T) {
	w := newWorld(t, Mode{})
	for _, call := range []string{
		"KEYS *", "SCAN 0", "RANDOMKEY", "DBSIZE", "FLUSHDB", "FLUSHALL", "SELECT 1", "MOVE t:acme:0:a 1", "SWAPDB 0 1",
		"COPY t:acme:0:a t:acme:0:b DB 1", "INFO", "CLIENT LIST", "CLIENT ID", "ACL WHOAMI", "PUBSUB CHANNELS",
		"PUBSUB NUMSUB x", "PUBSUB NUMPAT", "MEMORY STATS", "MEMORY DOCTOR", "SLOWLOG GET", "LATENCY LATEST", "CONFIG GET x",
		"MONITOR", "SUBSCRIBE t:acme:x", "WAIT 0 0", "LASTSAVE", "ROLE", "COMMAND COUNT", "LOLWUT", "CLUSTER INFO",
		"SCRIPT LOAD x", "SCRIPT FLUSH", "SCRIPT KILL", "FUNCTION LIST", "FUNCTION KILL", "MULTI",
		"WATCH t:acme:0:a", "RESTORE t:acme:0:r 0 x", "MIGRATE h 1 t:acme:0:a 0 1", "OBJECT HELP",
		"GEORADIUS t:acme:0:g 1 1 1 km", "MODULE LIST", "REPLICAOF NO ONE", "SORT t:acme:0:l BY t:acme:0:*",
	} {
		if reply := do(t, w.wall, strings.Fields(call)...); !strings.HasPrefix(reply, "-NOPERM") && !strings.Contains(reply, "insufficient ACL") {
			t.Errorf("%s: %q", call, reply)
		}
	}
	rest := dial(t, w.wall.RemoteAddr().String())
	user := users.Resting()
	if reply := do(t, rest, "AUTH", user.Name, user.Password); reply != "+OK\r\n" {
		t.Fatal(reply)
	}
	for _, call := range []string{"GET x", "EVAL x 0", "SET t:acme:0:a 1", "INFO", "PING", "KEYS *", "CLIENT ID"} {
		if reply := do(t, rest, strings.Fields(call)...); !strings.HasPrefix(reply, "-NOPERM") {
			t.Errorf("at rest, %s: %q", call, reply)
		}
	}
	if reply := do(t, rest, "ECHO", "x"); reply != "$1\r\nx\r\n" {
		t.Error(reply)
	}
}

// poisons try to leave something in the Lua state that later scripts of others run into.
var poisons = []string{
	`getmetatable('').__index = function() return 'poison' end`,
	`getmetatable('').__index = {upper=function() return 'poison' end}`,
	`rawset(getmetatable(''),'__index',nil)`,
	`getmetatable('').__concat = function() return 'poison' end`,
	`getmetatable('').__call = function() return 'poison' end`,
	`_G.getmetatable('').__add = function() return 'poison' end`,
	`loadstring("getmetatable('').__mul = function() return 'poison' end")()`,
	`string.upper = function() return 'poison' end`,
	`rawset(string,'upper',function() return 'poison' end)`,
	`rawset(_G,'planted','poison')`, `_G.planted = 'poison'`, `planted = 'poison'`,
	`setfenv(0,{planted='poison'})`, `setfenv(1,{})`, `_G['set'..'fenv'](0,setmetatable({planted='poison'},{__index=_G}))`,
	`loadstring("setfenv(0,{planted='poison'})")()`,
	`getfenv(0).planted = 'poison'`, `_G['get'..'fenv'](0).redis = nil`, `getfenv(string.upper).planted='poison'`,
	`rawset(_G['get'..'fenv'](0),'planted','poison')`,
	`coroutine.wrap(function() setfenv(0,{planted='poison'}) end)()`,
	`setmetatable(_G,{__index=function() return 'poison' end})`, `setmetatable(string,{__index=function() return 'poison' end})`,
	`getmetatable(_G).__index = function() return 'poison' end`, `getmetatable(_G).__metatable=nil getmetatable(_G).__index=nil`,
	`rawset(redis,'planted','poison')`, `redis.planted='poison'`, `_G.redis.planted='poison'`,
	`rawset(_G.redis,'call',function() return 'poison' end)`, `rawset(getmetatable(redis).__index,'call',function() return 'poison' end)`,
	`cjson.encode_max_depth(1)`, `cjson.encode_sparse_array(true,1,1)`, `cjson.encode_number_precision(1)`,
	`cjson.encode_invalid_numbers(true)`, `cjson.decode_max_depth(1)`, `cjson.encode_keep_buffer(false)`,
	`_G['cj'..'son'].encode_max_depth(1)`, `cjson.encode = function() return 'poison' end`, `rawset(cjson,'encode',nil)`,
	`table.insert(cjson,'poison')`, `table.insert(string,'poison')`, `rawset(coroutine,'create',nil)`, `rawset(math,'floor',nil)`,
	`rawset(cmsgpack,'pack',nil)`, `rawset(struct,'pack',nil)`, `rawset(bit,'band',nil)`, `rawset(table,'concat',nil)`,
	`__redis__err__handler = nil`, `rawset(_G,'__redis__err__handler',function() return 'poison' end)`,
	`KEYS = {'poison'}`, `_G.KEYS = nil`, `rawset(_G,'ARGV',nil)`,
	`local p = newproxy(true) getmetatable(p).__gc = function() planted = 'poison' end p = nil collectgarbage()`,
	`local p = _G['new'..'proxy'](true) getmetatable(p).__gc = function() redis.call('set','leak','x') end`,
	`local f = loadstring('return newproxy')() local p = f(true)`,
	`local f = loadstring(string.dump(function() end)) f()`,
	`pcall(string.rep,'x',-1) collectgarbage('collect')`,
}

// healthy is what a script of another tenant must answer after all that.
const healthy = `local t = {('abc'):upper(), ('a'..'b'), cjson.encode({{{{1.123456}}}}), cjson.decode('[[[[5]]]]')[1][1][1][1],
	string.format('%d', 5), table.concat({'x','y'}), math.floor(1.5), bit.band(7,3), redis.call('get', KEYS[1]), #KEYS, #ARGV, ARGV[1],
	tostring(rawget(_G, 'planted')), redis.sha1hex('x'), cmsgpack.unpack(cmsgpack.pack('p')), struct.unpack('H', struct.pack('H', 9))}
	local ok, e = pcall(function() return ('x').nonesuch.x end)
	t[#t+1] = tostring(ok)
	t[#t+1] = select(2, pcall(cjson.encode, {[1]=1,[1000]=1}))
	t[#t+1] = tostring(pcall(function() return ('a')('b') end))
	t[#t+1] = tostring(pcall(function() return 'a' * 'b' end))
	t[#t+1] = redis.pcall('incr', KEYS[1]).err
	return t`

func TestPoison(t *testing.T) { inIsolated(t, testPoison) }

func testPoison(t *testing.T, mode Mode) {
	w := newWorld(t, mode)
	if risks, err := Probe(harness.Context(t), w.admin); err != nil || len(risks) > 0 {
		t.Fatalf("risks: %q, %v", risks, err)
	}
	other := dial(t, w.wall.RemoteAddr().String())
	login(t, other, "globex")
	const globex = "t:globex:0:"
	eval(t, other, mode, "redis.call('set',KEYS[1],'mine')", globex, []string{"k"}, nil)
	look := func() string { return eval(t, other, mode, healthy, globex, []string{"k"}, []string{"arg"}) }
	want := look()
	if strings.HasPrefix(want, "-") || !strings.Contains(want, "ABC") || !strings.Contains(want, "excessively sparse") {
		t.Fatalf("healthy: %q", want)
	}
	for i, source := range poisons {
		eval(t, w.wall, mode, source, acme, nil, nil)
		if got := look(); got != want {
			t.Errorf("after %s\n got %q\nwant %q", source, got, want)
		}
		// A script that the server has not compiled before.
		fresh := fmt.Sprintf("local _ = %d\n%s", i, healthy)
		if got := eval(t, other, mode, fresh, globex, []string{"k"}, []string{"arg"}); got != want {
			t.Errorf("after %s, in a new script:\n got %q\nwant %q", source, got, want)
		}
	}
	for range 100 { // finalizers would run about now
		eval(t, other, mode, "local t={} for i=1,1000 do t[i]={} end return 1", globex, nil, nil)
	}
	if got := look(); got != want {
		t.Errorf("in the end:\n got %q\nwant %q", got, want)
	}
	if n := w.admin.Exists(harness.Context(t), "t:globex:0:leak").Val(); n != 0 {
		t.Error("a finalizer has run as somebody else")
	}
}

// crashes kill a server, or put something into a reply that is taken for another reply, when they run as they are.
var crashes = []string{
	`error({})`, `error({err={}})`, `error({err=false})`, `error(setmetatable({},{__index=function() error('x') end}))`,
	`return setmetatable({err='x'},{__index=function() error('y') end})`, `return setmetatable({err='x'},{__index=_G})`,
	`return {{setmetatable({err='x'},{__index=_G})}}`, `return {map={a=setmetatable({err='x'},{__index=_G})}}`,
	`return {set={[setmetatable({err='x'},{__index=_G})]=true}}`, `rawset(_G,'err','x') return _G`,
	`return setmetatable({err='x'},{__index=function() error('y') end,__metatable='locked'})`,
	`local e = error e({})`, `_G.error({})`, `_G['er'..'ror']({})`, `loadstring('error({})')()`, `pcall(error) error({})`,
	`coroutine.wrap(function() error({}) end)()`, `return coroutine.wrap(function() return setmetatable({err='x'},{__index=_G}) end)()`,
	`error(setmetatable({},{__newindex=function() error({}) end}))`, `error(setmetatable({err='x'},{__newindex=function() end}))`,
	`error(redis)`, `error(string)`, `error(_G)`, `error(KEYS)`, `error(nil)`, `error(true)`, `error(error)`, `error(0/0)`,
	`xpcall(function() error({}) end,function(e) error({}) end) error({})`,
	`redis.err='x' return redis`, `redis.err={} error(redis)`, `local t = {} t[1]=t return t`, `local t={} t.err=t error(t)`,
	`local t = setmetatable({},{}) t[1]=t t[t]=t return t`,
	`error('a\r\n+FAKE')`, `error({err='a\r\n+FAKE'})`, `error({err='a',source='b\r\n+FAKE',line='c\r\n+FAKE'})`,
	`error(setmetatable({err='a',source='b\r\n+FAKE',line='c\r\n+FAKE'},{__newindex=function() end}))`,
	`assert(false,'a\r\n+FAKE')`, `return {err='a\r\n+FAKE'}`, `return {ok='a\r\n+FAKE'}`, `return redis.error_reply('a\r\n+FAKE')`,
	`return {big_number='1\r\n+FAKE'}`, `return {err='a',source='b\r\n+FAKE',line='5\r\n+FAKE'}`,
	`local t={} t['x\r\n+FAKE']()`, `local t={} t.x['a\r\n+FAKE'].y()`, `collectgarbage('a\r\n+FAKE')`,
	`loadstring('error(1)','=q\r\n+FAKE')()`, `loadstring('local x = redis.call([[xx]])','=q\r\n+FAKE')()`,
	`loadstring('error(1) --\r\n+FAKE')()`, `return redis.call('get\r\n+FAKE','x')`, `return redis.call('object','x\r\n+FAKE','y')`,
	`return redis.call('config','x\r\n+FAKE')`, `return redis.pcall('nope\r\n+FAKE')`, `return redis.call('xinfo','x\r\n+FAKE','y')`,
	`return redis.call('xreadgroup','GROUP','a\r\n+FAKE','b','STREAMS','k\r\n+FAKE','>')`,
	`return redis.call('set','k','v','x\r\n+FAKE')`, `return redis.acl_check_cmd('x\r\n+FAKE')`, "x\r\n+FAKE", "error('a'\r\n+FAKE)",
	`redis.sha1hex('a\r\n+FAKE','b')`, `string.format('%\r\n+FAKE')`, `struct.pack('\r\n+FAKE')`, `redis.log('\r\n+FAKE')`,
	"end) error({}) ;(function()", "end, error({}), function()", "return 1 end) error({}) --", "-- \rend, error({}), function()",
	"--[[ ]] end, error({}), function()", "local a = [==[ ]] ]==] end, error({}), function()", "local a = '\\\r\n' end, error({}), function()",
	"local a = 1e5..function() end, error({}), function()", "local a = 5end, error({}), function()", "\x80end, error({}), function()",
	"local a = \"\\\"\" end, error({}), function()", "local a='\\\\' end, error({}), function()", "--[==[\n]]\n]==]end, error({}), function()",
	"if true then end) error({}) (function() if true then", "local function f() end end, error({}), function()", "repeat until true end, error({}), function()",
	"local a = [[ [[ ]] end, error({}), function() --]]", "--[=x\rend, error({}), function()", "return _r0", "_r0 = nil _r1 = nil error({})",
	"local _r0 = 1 error({})",
}

func TestCrashes(t *testing.T) { inIsolated(t, testCrashes) }

func testCrashes(t *testing.T, mode Mode) {
	w := newWorld(t, mode)
	for _, resp := range []string{"2", "3"} {
		do(t, w.wall, "HELLO", resp)
		for _, source := range crashes {
			s := New([]byte(source), mode)
			reply, err := w.wall.Do("EVAL", string(s.Wrapped), "1", acme+"k", acme)
			if err != nil {
				t.Fatalf("%q: %v", source, err)
			}
			marker, err := w.wall.Do("ECHO", "marker")
			if err != nil || marker != "$6\r\nmarker\r\n" {
				t.Fatalf("%q: %q, then %q, %v", source, reply, marker, err)
			}
			if strings.Contains(reply, "\n+FAKE") {
				t.Errorf("%q: %q", source, reply)
			}
		}
	}
}
