package script

import (
	"strings"
	"testing"

	"riptide-proxy/tests/harness"
)

// trusted are scripts that only a trusted tenant may run, with the meaning that they have on a server of its own.
var trusted = strings.Split(strings.TrimSpace(`
return redis.call('keys','*')
return redis.call('dbsize')
return redis.call('randomkey')
return redis.call('flushdb')
return redis.call('flushall')
return redis.call('keys','*')
return redis.call('dbsize')
return redis.call('randomkey')
redis.setresp(3) return redis.call('randomkey')
return redis.call('set','one','1')
return redis.call('keys','*')
return redis.call('keys','o?e')
return redis.call('keys','x*')
return redis.call('keys','*[')
return redis.call('keys')
return redis.call('randomkey')
return redis.call('dbsize')
return redis.call('dbsize','x')
return redis.call('scan',0)
return redis.call('scan',0,'MATCH','o*')
return redis.call('scan',0,'COUNT',100,'MATCH','x*')
return redis.call('scan',0,'TYPE','list')
return redis.call('scan',0,'COUNT',10)
return redis.call('scan','x')
return redis.call('scan',0,'NONSENSE','x')
return redis.call('scan')
return redis.call('copy','one','two')
return redis.call('get','two')
return redis.call('copy','one','two')
return redis.call('copy','one','two','REPLACE')
return redis.call('copy','one','three','DB',2,'REPLACE')
return redis.call('copy','one','three','DB',2)
return redis.call('copy','one','three','REPLACE','DB','2')
return redis.call('copy','one','three','DB',99)
return redis.call('copy','one','three','DB','x')
return redis.call('copy','one')
return {redis.call('select',2),redis.call('keys','*'),redis.call('dbsize')}
return redis.call('move','two',3)
return redis.call('move','two',3)
return redis.call('move','one',0)
return redis.call('move','one','x')
return redis.call('move','one',99)
return redis.call('move','one')
return {redis.call('select',3),redis.call('get','two')}
return redis.call('geoadd','g',13.361389,38.115556,'Palermo',15.087269,37.502669,'Catania')
return redis.call('georadius','g',15,37,200,'km','STORE','g2')
return redis.call('georadiusbymember','g','Palermo',200,'km','COUNT',1,'STOREDIST','g3')
return {redis.call('zcard','g2'),redis.call('zcard','g3')}
return redis.call('pfadd','p1','a')
return redis.call('pfmerge','p2','p1')
return redis.call('pfmerge','p3')
return redis.call('pfcount','p1','p2')
return redis.call('rpush','l','b','a')
return {redis.call('set','w_a','2'),redis.call('set','w_b','1'),redis.call('sort','l','BY','w_*','GET','#','GET','w_*')}
return redis.call('sort','l','BY','w_*','STORE','l2')
return redis.call('lrange','l2',0,-1)
return {redis.call('select',2),redis.call('flushdb'),redis.call('dbsize'),redis.call('select',0),redis.call('exists','one')}
return {redis.call('select',3),redis.call('set','x','y'),redis.call('select',0),redis.call('flushall'),redis.call('select',3),redis.call('dbsize')}
return redis.call('exists','one')
`), "\n")

func TestTrusted(t *testing.T) { inTrusted(t, testTrusted) }

func testTrusted(t *testing.T, mode Mode) {
	w := newWorld(t, mode)
	ctx := harness.Context(t)
	for _, resp := range []string{"2", "3"} {
		w.flush(t)
		do(t, w.plain, "HELLO", resp)
		do(t, w.wall, "HELLO", resp)
		for _, key := range []string{"t:globex:0:one", "one", "t:acme2:0:one", "t:acm:0:one"} {
			w.admin.Set(ctx, key, canary, 0)
		}
		w.same(t, "return redis.call('set',KEYS[1],'v')")
		for _, source := range trusted {
			w.same(t, source)
		}
		for _, source := range equal {
			w.same(t, source)
		}
		for _, source := range lines {
			w.same(t, source)
		}
		for _, key := range []string{"t:globex:0:one", "one", "t:acme2:0:one", "t:acm:0:one"} {
			if got := w.admin.Get(ctx, key).Val(); got != canary {
				t.Errorf("%s is %q", key, got)
			}
		}
	}
	for _, call := range []string{"'info'", "'config','get','x'", "'pubsub','channels'", "'pubsub','numsub','x'", "'memory','stats'", "'swapdb',0,1"} {
		reply := eval(t, w.wall, mode, "return redis.call("+call+")", acme, nil, nil)
		if !strings.Contains(reply, "is not available to scripts") && !strings.Contains(reply, "not allowed from script") {
			t.Errorf("%s: %q", call, reply)
		}
	}
}

// TestRefused shows what isolated scripts are told of what they can not have.
func TestRefused(t *testing.T) { inIsolated(t, testRefused) }

func testRefused(t *testing.T, mode Mode) {
	w := newWorld(t, mode)
	for _, call := range []string{
		"'KEYS','*'", "'scan',0", "'randomkey'", "'dbsize'", "'flushdb'", "'flushall'", "'copy','a','b'", "'move','a',1",
		"'info'", "'pubsub','channels'", "'pubsub','numsub'", "'memory','stats'", "'georadius','g',1,1,1,'km','STORE','x'", "'wait',0,0", "'pfmerge','a'",
	} {
		name, _, _ := strings.Cut(strings.ToLower(strings.Trim(call, "'")), "'")
		want := "NOPERM '" + name + "' is not available to scripts: "
		reply := eval(t, w.wall, mode, "return redis.call("+call+")", acme, nil, nil)
		if !strings.HasPrefix(reply, "-"+want) || !strings.HasSuffix(reply, ", on @user_script:1.\r\n") {
			t.Errorf("%s: %q", call, reply)
		}
		if reply := eval(t, w.wall, mode, "return {redis.pcall("+call+").err}", acme, nil, nil); !strings.Contains(reply, want) {
			t.Errorf("pcall %s: %q", call, reply)
		}
	}
}

// TestQueue runs scripts in the style of job queues, which are given a prefix and build all names themselves.
func TestQueue(t *testing.T) { inIsolated(t, testQueue) }

func testQueue(t *testing.T, mode Mode) {
	w := newWorld(t, mode)
	add := `
--[[ Adds a job. ]]
local jobs = KEYS[1]
local rcall = redis.call
local args = cmsgpack.unpack(ARGV[1])
local prefix, name = args[1], args[2]
local function keyOf(id) return prefix .. id end
local function store(id, data)
  rcall("HMSET", keyOf(id), "name", name, "data", data, "timestamp", "1")
  rcall("XADD", prefix .. "events", "*", "event", "added", "jobId", id)
  return keyOf(id)
end
local id = rcall("INCR", prefix .. "id")
if rcall("EXISTS", keyOf(id)) == 1 then return id end
store(id, ARGV[2])
if rcall("HEXISTS", prefix .. "meta", "paused") ~= 1 then
  rcall("LPUSH", prefix .. "wait", id)
else
  rcall("RPUSH", prefix .. "paused", id)
end
rcall("ZADD", prefix .. "delayed", tonumber(id) * 4096, id)
return id .. ""`
	take := `
local rcall = redis.call
local prefix = ARGV[1]
local id = rcall("RPOPLPUSH", prefix .. "wait", prefix .. "active")
if id then
  local lock = prefix .. id .. ':lock'
  rcall("SET", lock, ARGV[2], "PX", 30000)
  rcall("ZREM", prefix .. "delayed", id)
  return {rcall("HGETALL", prefix .. id), id, rcall("GET", lock), rcall("XLEN", prefix .. "events")}
end
return {0, 0}`
	missing := `
local rcall = redis.call
if rcall("EXISTS", ARGV[1] .. "nope") == 0 then
  return redis.error_reply("Missing key for job " .. ARGV[1])
end`
	packed := "\x92\xa7bull:q:\xa3job"
	for _, run := range []struct {
		source     string
		keys, argv []string
	}{
		{add, []string{"bull:q:wait"}, []string{packed, `{"x":1}`}},
		{add, []string{"bull:q:wait"}, []string{packed, `{"x":2}`}},
		{take, []string{"bull:q:wait"}, []string{"bull:q:", "token"}},
		{take, nil, []string{"bull:q:", "token"}},
		{take, nil, []string{"bull:q:", "token"}},
		{missing, nil, []string{"bull:q:"}},
	} {
		plain, wrapped := w.both(t, run.source, run.keys, run.argv)
		if plain != wrapped {
			t.Errorf("%s\n   plain: %q\n wrapped: %q", run.source, plain, wrapped)
		}
	}
	ctx := harness.Context(t)
	names, err := w.admin.Keys(ctx, "*").Result()
	if err != nil || len(names) < 6 {
		t.Fatal(names, err)
	}
	for _, name := range names {
		if !strings.HasPrefix(name, acme+"bull:q:") {
			t.Errorf("the key %q", name)
		}
	}
}
