package tests

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"riptide-proxy/tests/harness"
)

// scriptAttacks are scripts that reach for what is not the tenant's: by keys
// that they compute, commands that no pattern confines, Lua's own ways around a
// prelude, and what scripts of all tenants share. V stands for another tenant's
// prefix.
var scriptAttacks = strings.Split(strings.TrimSpace(`
return redis.call('GET','V'..'k')
return redis.call('GET',KEYS[1])
return redis.pcall('GET','../V'..'k')
return {pcall(redis.call,'GET','V'..'k')}
return redis.call('MGET','k','V'..'k',ARGV[1]..'k')
return redis.call('KEYS','*')
return redis.call('keys','V*')
return redis.call('SCAN','0','MATCH','*','COUNT','1000')
return {redis.pcall('RANDOMKEY'),redis.pcall('DBSIZE')}
return redis.call('SELECT','3')
redis.pcall('SELECT','1') return redis.call('GET','k')
redis.pcall('SELECT','-1') return redis.call('GET','V'..'k')
return redis.call('SORT','l','BY','V'..'w_*','GET','V'..'d_*','GET','#')
return redis.call('SORT','l','BY','nosort','STORE','V'..'l')
return redis.call('SORT','V'..'l','STORE','mine')
return redis.call('GEORADIUS','g','1','1','1000','km','STORE','mine','STORE','V'..'mine')
return redis.call('GEORADIUS','g','1','1','1000','km','store','V'..'k','storedist','V'..'k2')
return redis.call('GEOSEARCHSTORE','V'..'z','V'..'g','FROMMEMBER','m1','BYRADIUS','1000','km')
return redis.call('EVAL','return redis.call("GET",KEYS[1])','1','V'..'k')
return redis.call('COPY','V'..'k','mine')
return redis.call('COPY','k','V'..'new','DB','0','REPLACE')
return redis.call('MOVE','V'..'k','1')
return redis.call('RESTORE','V'..'new','0',redis.call('DUMP','k'),'REPLACE')
return redis.call('MIGRATE','127.0.0.1','1','V'..'k','0','10')
return redis.call('OBJECT','ENCODING','V'..'k')
return redis.call('MEMORY','USAGE','V'..'k')
return redis.pcall('DEBUG','OBJECT','V'..'k')
return redis.call('XREAD','STREAMS','V'..'x','0')
return redis.call('XREAD','COUNT','1','STREAMS','x','V'..'x','0','0')
return redis.call('XREADGROUP','GROUP','grp','me','STREAMS','V'..'x','>')
return redis.call('ZUNIONSTORE','V'..'z','1','z')
return redis.call('ZUNION','2','z','V'..'z','WITHSCORES')
return redis.call('LMPOP','9','V'..'l','LEFT')
return redis.call('ZMPOP','-1','V'..'z','MIN')
return redis.call('SINTERCARD','1e0','V'..'s')
return redis.call('BITOP','NOT','V'..'k','k')
return redis.call('RENAME','V'..'k','mine')
return redis.call('FLUSHALL')
return redis.call('UNLINK','V'..'k','V'..'k2')
return redis.call('PUBLISH','V'..'ch','forged')
return redis.call('PUBLISH','__keyspace@0__:V'..'k','set')
return redis.call('SPUBLISH','V'..'ch','forged')
return redis.call('PUBSUB','CHANNELS','*')
return redis.call('CLIENT','LIST')
return redis.call('CLIENT','KILL','TYPE','normal')
return redis.call('CONFIG','GET','*')
return redis.call('ACL','LIST')
return redis.call('ACL','SETUSER','default','on','nopass','+@all','~*')
return redis.call('AUTH','default','')
return redis.call('SLOWLOG','GET','128')
return redis.call('INFO','all')
return redis.call('SCRIPT','FLUSH')
return redis.call('FUNCTION','LIST')
return redis.call('MONITOR')
return redis.call('COMMAND','GETKEYS','GET','V'..'k')
return redis.call('WATCH','V'..'k')
return redis.call(table.concat({'G','E','T'}),table.concat({'V','k'}))
local f=redis.call return f('get','V'..'k')
local r=redis return r['c'..'all']('GET','V'..'k')
return loadstring("return redis.call('GET','V'..'k')")()
return loadstring("return KEYS")()
return load(function() local s=L L=nil return s end)
local f=loadstring('return _G') return f and {type(f()),f().redis.call('GET','V'..'k')}
return _G.redis.call('GET','V'..'k')
return rawget(_G,'redis') and rawget(_G,'redis').call('RANDOMKEY')
local m=getmetatable(_G) return m and m.__index and m.__index.redis.call('RANDOMKEY')
local m=getmetatable(redis) return m and m.__index.call('RANDOMKEY')
setmetatable(redis,nil) return redis.call('RANDOMKEY')
rawset(_G,'redis',nil) return redis.call('RANDOMKEY')
return (getfenv and getfenv(0) or _G).redis.call('RANDOMKEY')
return setfenv and setfenv(1,{}) and redis.call('RANDOMKEY')
string.format=function() return 'W' end return string.format('x')
getmetatable('').__index=function() return 'W' end return ('x').y
table.insert(redis,'W') return tostring(redis[1])
redis.mine='W' return 1
local c=coroutine.create(function() coroutine.yield(redis.call('GET','V'..'k')) end) return {coroutine.resume(c)}
local c=coroutine.wrap(function() return redis.call('RANDOMKEY') end) return c()
return {pcall(error,setmetatable({},{__tostring=function() return redis.call('RANDOMKEY') end}))}
error({err='x',line=setmetatable({},{__tostring=error})})
error('first\r\n+forged\r\n$1\r\nx')
return {err='first\r\n+forged'}
return {ok='first\r\n+forged'}
return redis.error_reply('a\r\n:1\r\n:2')
return redis.status_reply('a\r\n:1\r\n:2')
return setmetatable({err='x'},{__index=_G})
redis.setresp(3) return {big_number='1\r\n+forged'}
redis.setresp(3) return {verbatim_string={format='\r\n+',string='+forged'}}
redis.setresp(3) return {double='x'}
redis.setresp(3) return {map={[{ok='a'}]={set={a=true}}}}
redis.setresp(4) return 1
return redis.acl_check_cmd('GET','V'..'k') and 'allowed' or 'refused'
return redis.acl_check_cmd('KEYS','*') and 'allowed' or 'refused'
return tostring(redis.acl_check_cmd('acl','setuser','x'))
return {#KEYS,#ARGV,KEYS[1],ARGV[#ARGV],ARGV[#ARGV+1]}
KEYS[1]='V'..'k' return redis.call('GET',KEYS[1])
ARGV[#ARGV+1]='V' return redis.call('GET','k')
return cjson.encode({redis.pcall('GET','V'..'k')})
return cjson.decode(string.rep('[',2000))
cjson.encode_max_depth(1) cjson.encode_keep_buffer(false) return cjson.encode({1})
return struct.unpack('Bc0',string.char(255)..'x')
return {pcall(struct.pack,'>I2147483647',1)}
return {pcall(cmsgpack.unpack,string.char(0xdd,255,255,255,255))}
return bit.tohex(-1,-2147483648)
return redis.sha1hex('V'..'k')
redis.breakpoint() redis.debug(redis.call('GET','V'..'k')) return 1
redis.replicate_commands() redis.set_repl(0) return redis.call('SET','V'..'k','x')
return redis.log and redis.log(0,'x') or 1
end)(redis) return redis.call('RANDOMKEY') --
end return redis.call('RANDOMKEY') do local x=1
]] return redis.call('RANDOMKEY') --[[
") return redis.call('RANDOMKEY') --
return 1 --\
`), "\n")

// Nothing that a script does shows or changes anything of another tenant.
func TestIsolationScripts(t *testing.T) {
	t.Parallel()
	w := newWorld(t, true, harness.Options{})
	w.must(t, "SELECT", "0")
	for _, call := range keyset("t:acme:0:", "of-acme") {
		w.must(t, call...)
	}
	victim := w.proxy.Connect(t, harness.Globex)
	listener, err := harness.Dial(w.redis.Addr) // hears everything that is published
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	listener.Do("PSUBSCRIBE", "*")
	// What the victim is answered in, whatever the attacker has done.
	const probe = `return {redis.call('GET','k'),tostring(redis.mine),string.format('%d',7),("x").y==nil and 'nil' or 'W',tostring(redis[1]),cjson.encode({{{1}}})}`
	wantProbe, err := victim.Do("EVAL", probe, "0")
	if err != nil || wantProbe[0] != '*' {
		t.Fatalf("%q, %v", wantProbe, err)
	}
	harness.Eventually(t, "the script is kept", func() bool { return w.must(t, "EXISTS", "t:globex:scripts") == ":1\r\n" })
	before := w.snapshot(t)
	// Another victim is in the middle of everything that the attacker could touch.
	watcher := w.proxy.Connect(t, harness.Globex)
	watcher.Do("WATCH", "k", "k2", "new")

	for _, proto := range []string{"2", "3"} {
		for _, mode := range []string{"shared", "MULTI", "tracking"} {
			c := w.proxy.Connect(t, harness.Acme)
			c.Do("HELLO", proto)
			if mode == "tracking" {
				if reply, err := c.Do("CLIENT", "TRACKING", "ON", "BCAST"); err != nil || reply != "+OK\r\n" {
					t.Fatalf("%q, %v", reply, err)
				}
			}
			for i, text := range scriptAttacks {
				prefix := owners[i%3]
				text = strings.ReplaceAll(strings.ReplaceAll(text, "'V'", "'"+prefix+"'"), "V", prefix)
				for _, args := range [][]string{
					{"EVAL", text, "1", prefix + "k", prefix}, {"EVAL_RO", text, "0", prefix}, {"EVALSHA", "V" + strings.Repeat("a", 39), "1", prefix + "k"},
					{"EVAL", text, "5", prefix + "k", prefix}, {"EVAL", text, "-1", prefix + "k"}, {"EVAL", text, "1", prefix + "k", "t:globex:0:"},
				} {
					replies := 0
					send := func(args ...string) { c.Write(harness.Request(args...)); replies++ }
					if mode == "MULTI" {
						send("MULTI")
						send(args...)
						send("EXEC")
					} else {
						send(args...)
					}
					mark := fmt.Sprint("mark-", i)
					send("ECHO", mark)
					for replies > 0 {
						reply, err := c.Reply()
						if err != nil {
							t.Fatalf("%s, RESP%s: %q: %q, %v", mode, proto, args, reply, err)
						}
						if reply[0] == '>' {
							if strings.Contains(reply, w.token) {
								t.Errorf("%s, RESP%s: %q: a message tells of somebody else: %q", mode, proto, args, reply)
							}
							continue
						}
						replies--
						if strings.Contains(reply, w.token) {
							t.Errorf("%s, RESP%s: %q: the reply tells of somebody else: %.300q", mode, proto, args, reply)
						}
						if last := reply == fmt.Sprintf("$%d\r\n%s\r\n", len(mark), mark); last != (replies == 0) {
							t.Fatalf("%s, RESP%s: %q: out of step: %.300q", mode, proto, args, reply)
						}
					}
				}
				if reply, err := victim.Do("EVAL", probe, "0"); err != nil || reply != wantProbe {
					t.Fatalf("%s, RESP%s: after %q another tenant's script answers %q, %v", mode, proto, text, reply, err)
				}
			}
			c.Close()
		}
	}
	unchanged(t, before, w.snapshot(t))
	if reply, err := w.control.Do("ACL", "LIST"); err != nil || strings.Contains(reply, "user x ") {
		t.Errorf("ACL LIST: %q, %v", reply, err)
	}
	watcher.Do("MULTI")
	watcher.Do("PING")
	if reply, err := watcher.Do("EXEC"); err != nil || reply != "*1\r\n+PONG\r\n" {
		t.Errorf("another tenant's WATCH: %q, %v", reply, err)
	}
	w.must(t, "PUBLISH", "end", "end")
	for {
		reply, err := listener.Reply()
		if err != nil {
			t.Fatal(err)
		}
		fields := bulks(t, reply)
		if fields[2] == "end" {
			break
		}
		if !strings.HasPrefix(fields[2], "t:acme:") && fields[2] != "riptide:wait" {
			t.Errorf("published outside the attacker's channels: %q", reply)
		}
	}
}

// What a tenant does on its server is not to be seen on another's: names of
// channels, clients and scripts, commands and their times, counters.
func TestIsolationServers(t *testing.T) {
	t.Parallel()
	w := newWorld(t, true, harness.Options{}, "--notify-keyspace-events", "KEA")
	a := w.proxy.Connect(t, harness.Acme)
	a.Do("HELLO", "3")
	ear := w.proxy.Connect(t, harness.Acme)
	ear.Do("HELLO", "3")
	for _, call := range []string{
		"SUBSCRIBE t:globex:ch __keyspace@0__:t:globex:0:k __keyevent@0__:set __redis__:invalidate ../t:globex:ch",
		"PSUBSCRIBE * t:globex:* [t]:globex:* *globex* __key*__:* __keyspace@0__:*globex* __keyevent@*__:* \\* ?* [^a]* *]* [",
		"SSUBSCRIBE t:globex:ch ch", "CLIENT TRACKING ON BCAST", "CLIENT TRACKING ON BCAST PREFIX t:globex:",
	} {
		ear.Send(strings.Fields(call)...)
	}
	watching := w.proxy.Connect(t, harness.Acme)
	watching.Do("MONITOR")
	measures := []string{
		"INFO commandstats", "INFO errorstats", "INFO clients", "INFO keyspace", "INFO stats", "DBSIZE", "CLIENT LIST", "PUBSUB CHANNELS", "PUBSUB CHANNELS *",
		"PUBSUB CHANNELS t:globex:*", "PUBSUB NUMSUB t:globex:ch ch", "PUBSUB NUMPAT", "PUBSUB SHARDCHANNELS *", "PUBSUB SHARDNUMSUB ch t:globex:ch", "SLOWLOG GET 128", "SLOWLOG LEN",
		"MEMORY STATS", "MEMORY USAGE t:globex:0:k", "MEMORY DOCTOR", "LATENCY LATEST", "LATENCY HISTOGRAM", "SCRIPT EXISTS 4e6d8fc8bb01276962cce5371fa795a7763657ae", "CONFIG GET *",
		"FUNCTION LIST", "FUNCTION STATS", "CLIENT ID", "CLIENT KILL USER globex", "CLIENT UNBLOCK 1", "COMMAND GETKEYS GET t:globex:0:k", "OBJECT ENCODING t:globex:0:k", "KEYS *", "RANDOMKEY", "ACL WHOAMI",
		"ACL LIST", "ACL LOG", "CLIENT TRACKINGINFO", "CLIENT GETREDIR", "ROLE", "LASTSAVE",
	}
	look := func() (all []string) {
		for _, call := range measures {
			reply, err := a.Do(strings.Fields(call)...)
			if err != nil {
				t.Fatalf("%s: %v", call, err)
			}
			if strings.Contains(reply, w.token) {
				t.Errorf("%s tells of somebody else: %.300q", call, reply)
			}
			all = append(all, reply)
		}
		return all
	}
	look()
	first := look()

	// The other tenant is busy with everything that leaves traces.
	g := w.proxy.Connect(t, harness.Globex)
	g.Do("CLIENT", "SETNAME", w.token)
	g.Do("EVAL", "return 1", "0")
	g.Do("EVAL", "local n=0 for i=1,3000000 do n=n+i end return '"+w.token+"'", "0", w.token)
	g.Do("NOSUCH", w.token)
	for i := range 50 {
		g.Do("SET", fmt.Sprint(w.token, i), w.token)
		g.Do("PUBLISH", "ch", w.token)
		g.Do("SPUBLISH", "ch", w.token)
	}
	for range 10 {
		s := w.proxy.Connect(t, harness.Globex)
		s.Do("SUBSCRIBE", "ch", w.token)
		s = w.proxy.Connect(t, harness.Globex)
		s.Do("PSUBSCRIBE", w.token+"*")
		s = w.proxy.Connect(t, harness.Globex)
		s.Send("BLPOP", w.token, "0")
	}
	time.Sleep(50 * time.Millisecond)
	second := look()
	for i, call := range measures {
		switch strings.Fields(call)[0] {
		case "PUBSUB", "DBSIZE", "SCRIPT", "CONFIG", "FUNCTION", "OBJECT", "ACL", "ROLE":
			if len(first[i]) != len(second[i]) { // the order of channels is the upstream's
				t.Errorf("%s told of another's doings: %.300q, then %.300q", call, first[i], second[i])
			}
		}
	}
	for what, c := range map[string]*harness.Conn{"subscriptions and tracking": ear, "MONITOR": watching} {
		c.Send("PING")
		deadline := time.Now().Add(300 * time.Millisecond)
		for {
			c.SetReadDeadline(deadline)
			line, err := c.R.ReadString('\n')
			if err != nil {
				break
			}
			if strings.Contains(line, w.token) {
				t.Errorf("%s tell of somebody else: %q", what, line)
			}
		}
	}
}
