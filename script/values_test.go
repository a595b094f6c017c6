package script

import (
	"encoding/hex"
	"fmt"
	"strings"
	"testing"

	"riptide-proxy/tests/harness"
	"riptide-proxy/value"
)

const (
	compressed = value.Magic + "\x12\x00\x05\x00abc" // not what a codec makes, but scripts can not tell
	encrypted  = value.Magic + "\x10\x02\x05\x00abc"
)

// stored is what acme has in the upstream when each of the scripts below runs.
func stored(t testing.TB, w *world) {
	t.Helper()
	ctx := harness.Context(t)
	w.flush(t)
	p := w.admin.Pipeline()
	for name, v := range map[string]string{
		"s": compressed, "s2": compressed, "e": encrypted, "\x00\xff odd'\r\n": compressed, "plain": "text", "plain2": "more",
		"5": "5", "short": "\xfcR", "w_a": compressed, "{x}": compressed,
	} {
		p.Set(ctx, acme+name, v, 0)
	}
	p.Set(ctx, "t:acme:3:s", compressed, 0)
	p.HSet(ctx, acme+"h", "a", "1", "b", compressed)
	p.HSet(ctx, acme+"he", "a", "1", "b", encrypted)
	p.HSet(ctx, acme+"hp", "a", "1", value.Magic, "2")
	for i := range 600 {
		p.HSet(ctx, acme+"huge", fmt.Sprint("f", i), "x")
		p.HSet(ctx, acme+"hugee", fmt.Sprint("f", i), "x")
	}
	p.HSet(ctx, acme+"huge", "f7", compressed)
	p.HSet(ctx, acme+"hugee", "f599", encrypted)
	p.RPush(ctx, acme+"l", "a", "b", compressed)
	p.SAdd(ctx, acme+"set", compressed)
	p.Do(ctx, "ZADD", acme+"z", 1, compressed)
	p.Do(ctx, "XADD", acme+"x", "1-1", "f", "v")
	if _, err := p.Exec(ctx); err != nil {
		t.Fatal(err)
	}
}

// ends is the reply of a script that has come upon sealed values of these keys.
func ends(names ...string) string {
	reply := "-RIPTIDESEALED"
	for _, name := range names {
		reply += " " + hex.EncodeToString([]byte(acme+name))
	}
	return reply + "\r\n"
}

// late is the reply of one that had written before.
func late(name string) string {
	return "-ERR value of key '" + name + "' is stored sealed and was not declared in KEYS"
}

func raised(text string, line int) string {
	return fmt.Sprintf("%s script: SHA, on @user_script:%d.\r\n", text, line)
}

const (
	big   = " is stored sealed and was not read before the first write, the key being too large to look at"
	magic = "-" + whyMagic
)

var sealedScripts = []struct {
	source string
	keys   string // separated by commas
	want   string
}{
	// Declared, and read.
	{"return redis.call('get',KEYS[1])", "s", ends("s")},
	{"return redis.pcall('get',KEYS[1])", "s", ends("s")},
	{"return redis.call('get',KEYS[1])", "plain", "$4\r\ntext\r\n"},
	{"return redis.call('get',KEYS[1])", "short", "$2\r\n\xfcR\r\n"},
	{"local i=2 return redis.call('get',KEYS[i])", "s,s2,plain,l,z,x,set,nothing,e,huge", ends("s2", "s", "e")},
	{"local i=2 return {redis.call('get',KEYS[i]),redis.call('hget',KEYS[4],'b')}", "s,s2,plain,h,huge", ends("s2", "s", "h")},
	{"return redis.call('hget',KEYS[1],'b')", "h", ends("h")},
	{"return redis.call('hget',KEYS[1],'a')", "h", "$1\r\n1\r\n"},
	{"return redis.call('hget',KEYS[1],'f7')", "huge", ends("huge")},
	{"return redis.call('get',KEYS[1])", "\x00\xff odd'\r\n", ends("\x00\xff odd'\r\n")},
	// Declared, and written after.
	{"redis.call('set','n','1') return redis.call('get',KEYS[1])", "s", ends("s")},
	{"redis.call('del','n') return redis.call('hgetall',KEYS[2])", "plain,h", ends("h")},
	{"redis.call('set',KEYS[1],'1') return redis.call('get',KEYS[1])", "s", "$1\r\n1\r\n"},
	{"redis.call('set',KEYS[1],'1','EX','9') return redis.call('get',KEYS[1])", "s", "$1\r\n1\r\n"},
	{"redis.call('set',KEYS[1],'1','NX') return redis.call('get',KEYS[1])", "s", ends("s")},
	{"redis.call('get',KEYS[1]) redis.call('set',KEYS[2],'1') return redis.call('get',KEYS[2])", "plain,s", "$1\r\n1\r\n"},
	{"redis.call('get',KEYS[1]) redis.call('set','n','1') return redis.call('get',KEYS[2])", "plain,s,s2", ends("s", "s2")},
	{"redis.call('set','n','1') return redis.call('hget',KEYS[1],'f1')", "huge", "$1\r\nx\r\n"},
	{"redis.call('set','n','1') return redis.call('hget',KEYS[1],'f7')", "huge", raised("-ERR value of key 'huge'"+big, 1)},
	{"return redis.call('publish','c',redis.call('get','plain'))", "s", ends("s")},
	// Not declared.
	{"return redis.call('get','s')", "", ends("s")},
	{"return redis.call('get','s')", "s2", ends("s", "s2")},
	{"redis.call('hget','hp','a') return redis.call('get','s')", "s2,h", ends("s", "s2", "h")},
	{"redis.call('set','n','1')\nreturn redis.call('get','s')", "", raised(late("s"), 2)},
	{"redis.call('set','n','1') return redis.pcall('get','s')", "", late("s") + "\r\n"},
	{"redis.call('set','n','1') return {redis.pcall('get','s').err}", "", ""},
	{"redis.call('set','n','1') return redis.pcall('hget','h','b')", "", late("h") + "\r\n"},
	{"redis.call('set','n','1') return redis.pcall('get','\\0\\255 odd\\'\\r\\n')", "", late(" \xff odd'  ") + "\r\n"},
	{"redis.call('select',3) return redis.call('get','s')", "", "-RIPTIDESEALED " + hex.EncodeToString([]byte("t:acme:3:s")) + "\r\n"},
	{"redis.call('set',5,'5') return redis.call('get',5)", "", "$1\r\n5\r\n"},
	// It can not be caught.
	{"local ok,e=pcall(redis.call,'get','s') return {tostring(ok)}", "", ends("s")},
	{"pcall(redis.call,'get','s') pcall(redis.call,'set','n','1') pcall(redis.pcall,'set','n','1') return 1", "", ends("s")},
	{"pcall(redis.call,'get','s') error('mine')", "", ends("s")},
	{"pcall(redis.call,'get','s') error({})", "", ends("s")},
	{"local ok,e=pcall(redis.call,'get','s') pcall(redis.call,'get','s2') return e", "", ends("s")},
	{"xpcall(function() redis.call('get','s') end,function(e) redis.call('set','n','1') return 1 end) return 1", "", ends("s")},
	{"local co=coroutine.create(function() redis.call('get','s') end) coroutine.resume(co) return 1", "", ends("s")},
	{"local co=coroutine.wrap(function() return redis.call('get','s') end) return co()", "", ends("s")},
	{"return coroutine.wrap(function() coroutine.yield(redis.call('get','plain')) end)()", "s", "$4\r\ntext\r\n"},
	{"return loadstring(\"return redis.call('get','s')\")()", "", ends("s")},
	{"local f='g'..'et' return redis.call(f,'s')", "", ends("s")},
	{"local f='G'..'eT' return redis.call(f,'plain')", "", "$4\r\ntext\r\n"},
	{"local f='H'..'vals' return redis.call(f,'h')", "", ends("h")},
	{"local f='inc'..'r' return redis.pcall(f,'s')", "", ends("s")},
	{"redis.call('D'..'EL','n') return redis.call('g'..'et',KEYS[1])", "s", ends("s")},
	{"return _G.redis.call('get','s')", "", ends("s")},
	{"return redis.error_reply('RIPTIDESEALED zz')", "", "-RIPTIDESEALED zz\r\n"},
	// Each kind of reply.
	{"return redis.call('mget','plain','s','nothing','s2','s')", "", ends("s", "s2")},
	{"return redis.call('mget','plain','nothing','l')", "", "*3\r\n$4\r\ntext\r\nNIL\r\nNIL\r\n"},
	{"redis.call('set','n','1') return redis.pcall('mget','plain','s')", "", late("s") + "\r\n"},
	{"return redis.call('hmget','h','nothing','a','b')", "", ends("h")},
	{"return redis.call('hmget','h','nothing','a')", "", "*2\r\nNIL\r\n$1\r\n1\r\n"},
	{"return redis.call('hvals','h')", "", ends("h")},
	{"return redis.call('hgetall','h')", "", ends("h")},
	{"return #redis.call('hgetall','hp')", "", ":4\r\n"},
	{"redis.setresp(3) return redis.call('hgetall','h')", "", ends("h")},
	{"redis.setresp(3) return redis.call('hgetall','hp').map.a", "", "$1\r\n1\r\n"},
	{"redis.setresp(3) return redis.call('hmget','h','nothing','b')", "", ends("h")},
	{"redis.setresp(3) return redis.call('mget','nothing','nothing','s')", "", ends("s")},
	{"redis.setresp(3) return redis.call('get','s')", "", ends("s")},
	{"redis.setresp(3) redis.call('del','n') return redis.call('get',KEYS[1])", "plain,s,h", ends("s", "h")},
	{"return redis.call('hrandfield','h',5,'withvalues')", "", ends("h")},
	{"redis.setresp(3) return redis.call('hrandfield','h',5,'WITHVALUES')", "", ends("h")},
	{"return #redis.call('hrandfield','h',5)", "", ":2\r\n"},
	{"return #redis.call('hrandfield','hp',5,'withvalues')", "", ":4\r\n"},
	{"return redis.call('hscan','h',0)", "", ends("h")},
	{"return redis.call('hscan','hp',0)[1]", "", "$1\r\n0\r\n"},
	{"return redis.call('lrange','l',2,2)", "", "*1\r\n$" + fmt.Sprint(len(compressed)) + "\r\n" + compressed + "\r\n"}, // an element
	{"return redis.call('smembers','set')[1]", "", "$" + fmt.Sprint(len(compressed)) + "\r\n" + compressed + "\r\n"},
	{"return {redis.call('exists','s'),redis.call('ttl','s'),redis.call('hlen','h'),redis.call('type','s')}", "s",
		"*4\r\n:1\r\n:-1\r\n:2\r\n+string\r\n"},
	// A write that replies with what it has replaced.
	{"return redis.call('getset','s','new')", "", ends("s")},
	{"return redis.call('getset','plain','new')", "", "$4\r\ntext\r\n"},
	{"return redis.call('getdel','s')", "", ends("s")},
	{"return redis.call('getex','s','EX',9)", "", ends("s")},
	{"return redis.call('set','s','new','GET')", "", ends("s")},
	{"return redis.call('set','plain','new','get')", "", "$4\r\ntext\r\n"},
	{"redis.call('del','n') return redis.pcall('set','s','new','GET')", "", late("s") + "\r\n"},
	{"redis.call('del','n') return redis.pcall('getdel','s')", "", late("s") + "\r\n"},
	// What looks inside.
	{"return redis.call('strlen','s')", "", ends("s")},
	{"return redis.call('strlen','plain')", "", ":4\r\n"},
	{"return redis.call('getrange','s',0,2)", "", ends("s")},
	{"return redis.call('append','s','x')", "", ends("s")},
	{"return redis.call('append','plain','x')", "", ":5\r\n"},
	{"return redis.call('setrange','s',1,'x')", "", ends("s")},
	{"return redis.call('incr','s')", "", ends("s")},
	{"return redis.call('incr',5)", "", ":6\r\n"},
	{"return redis.call('incrbyfloat','s',1)", "", ends("s")},
	{"return redis.call('getbit','s',1)", "", ends("s")},
	{"return redis.call('bitcount','s')", "", ends("s")},
	{"return redis.call('bitop','AND','n','plain','s','s2')", "", ends("s", "s2")},
	{"return redis.call('bitop','NOT','s','plain')", "", ":4\r\n"},
	{"return redis.call('lcs','plain','s')", "", ends("s")},
	{"return redis.call('lcs','plain','plain2')", "", "$1\r\ne\r\n"},
	{"return redis.call('pfcount','plain2','s')", "", ends("s")},
	{"return redis.call('pfadd','p','x')", "", ":1\r\n"},
	{"return redis.call('hincrby','h','b',1)", "", ends("h")},
	{"return redis.call('hincrby','h','a',1)", "", ":2\r\n"},
	{"return redis.call('hstrlen','h','b')", "", ends("h")},
	{"redis.call('set','n','1') return redis.pcall('append','s','x')", "", late("s") + "\r\n"},
	{"redis.call('set','n','1') return redis.pcall('hincrby','h','b',1)", "", late("h") + "\r\n"},
	{"return redis.call('strlen','l')", "", raised("-WRONGTYPE Operation against a key holding the wrong kind of value", 1)},
	{"return redis.call('dump','h')", "", ends("h")},
	{"return redis.call('dump','s')", "", ends("s")},
	{"return #redis.call('dump','hp') > 5", "", ":1\r\n"},
	// Under another name what is encrypted can not be read.
	{"return redis.call('rename','e','n')", "", ends("e")},
	{"return redis.call('rename','he','n')", "", ends("he")},
	{"return redis.call('renamenx','hugee','n')", "", ends("hugee")},
	{"return redis.call('rename','huge','n')", "", "+OK\r\n"},
	{"return redis.call('rename','s','n')", "", "+OK\r\n"},
	{"return redis.call('rename','h','n')", "", "+OK\r\n"},
	{"return redis.call('rename','l','n')", "", "+OK\r\n"},
	{"redis.call('get','n') redis.call('rename','s','n') return redis.pcall('strlen','n')", "", late("n") + "\r\n"},
	{"return redis.call('rename',KEYS[1],'n')", "h", ends("h")},
	// What a script stores.
	{"return redis.call('set','n',ARGV[1])", "", raised(magic, 1)},
	{"return redis.call('set','n',ARGV[1]..'x','EX',5)", "", raised(magic, 1)},
	{"return redis.pcall('set','n','\\252R\\158')", "", magic + "\r\n"},
	{"return redis.call('set','n','\\252R')", "", "+OK\r\n"},
	{"return redis.call('set',ARGV[1],'x')", "", "+OK\r\n"},
	{"return redis.pcall('setnx','n',ARGV[1])", "", magic + "\r\n"},
	{"return redis.pcall('setex','n',5,ARGV[1])", "", magic + "\r\n"},
	{"return redis.pcall('psetex','n',5,ARGV[1])", "", magic + "\r\n"},
	{"return redis.pcall('getset','n',ARGV[1])", "", magic + "\r\n"},
	{"return redis.pcall('mset','n','1','m',ARGV[1])", "", magic + "\r\n"},
	{"return redis.pcall('mset','n','1',ARGV[1],'1')", "", "+OK\r\n"},
	{"return redis.pcall('msetnx','n','1','m',ARGV[1])", "", magic + "\r\n"},
	{"return redis.pcall('hset','n','f','1','g',ARGV[1])", "", magic + "\r\n"},
	{"return redis.pcall('hset','n',ARGV[1],'1')", "", ":1\r\n"},
	{"return redis.pcall('hmset','n','f',ARGV[1])", "", magic + "\r\n"},
	{"return redis.pcall('hsetnx','n','f',ARGV[1])", "", magic + "\r\n"},
	{"return redis.pcall('h'..'setnx','n','f',ARGV[1])", "", magic + "\r\n"},
	{"return redis.call('rpush','n',ARGV[1])", "", ":1\r\n"},
	{"return redis.call('sadd','n',ARGV[1])", "", ":1\r\n"},
	{"return redis.call('set','n',5)", "", "+OK\r\n"},
	{"return tostring(redis.acl_check_cmd('get','s'))", "", "$4\r\ntrue\r\n"},
	{"#!lua flags=no-writes\nreturn redis.call('get',KEYS[1])", "s", ends("s")},
	{"#!lua\n\nredis.call('set','n','1')\nreturn redis.call('get','s')", "", raised(late("s"), 4)},
}

func TestSealed(t *testing.T) {
	for _, mode := range []Mode{{Values: true}, {Trusted: true, Values: true}} {
		w := newWorld(t, mode)
		for _, tc := range sealedScripts {
			stored(t, w)
			before := changes(t, w)
			var keys []string
			if tc.keys != "" {
				keys = strings.Split(tc.keys, ",")
			}
			got := eval(t, w.wall, mode, tc.source, acme, keys, []string{compressed})
			got = strings.ReplaceAll(got, Sum([]byte(tc.source)), "SHA")
			want := strings.ReplaceAll(tc.want, "NIL", "$-1")
			if want == "" {
				want = "*1\r\n" + bulk(strings.TrimPrefix(late("s"), "-"))
			}
			if got != want {
				t.Errorf("%+v, %q with %q\n got %q\nwant %q", mode, tc.source, tc.keys, got, want)
			}
			if strings.HasPrefix(got, "-RIPTIDE") && changes(t, w) != before {
				t.Errorf("%+v, %q has changed something", mode, tc.source)
			}
		}
	}
}

// changes is how many changes the server has counted.
func changes(t *testing.T, w *world) string {
	_, rest, ok := strings.Cut(w.admin.Info(harness.Context(t), "persistence").Val(), "rdb_changes_since_last_save:")
	if !ok {
		t.Fatal("the server does not count changes")
	}
	n, _, _ := strings.Cut(rest, "\r\n")
	return n
}

func bulk(text string) string { return fmt.Sprintf("$%d\r\n%s\r\n", len(text), text) }

// TestSealedUntouched shows that keys whose values a script does not read may have any.
func TestSealedUntouched(t *testing.T) {
	w := newWorld(t, Mode{Values: true})
	for source, want := range map[string]string{
		"return {redis.call('del','s'),redis.call('expire','h',9),redis.call('hdel','h','b')}": "*3\r\n:1\r\n:1\r\n:1\r\n",
		"redis.call('del',KEYS[1]) return redis.call('hget',KEYS[3],'a')":                      "$1\r\n1\r\n",
		"redis.call('rpush','n','x') return redis.call('strlen',KEYS[4])":                      ":4\r\n",
		"redis.call('rpush','n','x') local r=redis.pcall return r('get',KEYS[4])":              ends("s", "h"),
		"return redis.call('hset',KEYS[2],'b','x')":                                            ":0\r\n",
		"return redis.pcall('hset',KEYS[2],'b',ARGV[1])":                                       magic + "\r\n",
		"redis.call('setex',KEYS[1],5,'x') return redis.call('ttl',KEYS[1])":                   ":5\r\n",
	} {
		stored(t, w)
		if got := eval(t, w.wall, w.mode, source, acme, []string{"s", "h", "hp", "plain"}, []string{compressed}); got != want {
			t.Errorf("%s\n got %q\nwant %q", source, got, want)
		}
	}
}

// TestSealedTrusted has what only trusted scripts can do.
func TestSealedTrusted(t *testing.T) {
	w := newWorld(t, Mode{Trusted: true, Values: true})
	for source, want := range map[string]string{
		"return redis.call('copy','s','n')":                            ":1\r\n",
		"return redis.call('copy','e','n')":                            ends("e"),
		"return redis.call('copy','he','n','DB',2)":                    ends("he"),
		"return redis.call('move','e',2)":                              ends("e"),
		"return redis.call('move','s',2)":                              ":1\r\n",
		"return redis.call('sort','l','BY','w_*')":                     ends("w_a"),
		"return redis.call('sort','l','BY','nosort','GET','w_*')":      ends("w_a"),
		"return redis.call('sort','l','ALPHA','GET','#','LIMIT',0,1)":  "*1\r\n$1\r\na\r\n",
		"return redis.call('sort','l','BY','h_*->f','ALPHA')[1]":       "$1\r\na\r\n",
		"return redis.call('sort','l','ALPHA','STORE','n')":            ":3\r\n",
		"redis.call('set','h_b','1') return redis.call('flushdb')":     "+OK\r\n",
		"return redis.call('flushall')":                                "+OK\r\n",
		"return redis.call('get',redis.call('keys','s')[1])":           ends("s"),
		"redis.call('del','n') return redis.call('get',KEYS[1])":       ends("s"),
		"return redis.call('sort','hk','BY','*->b','ALPHA','GET','#')": ends("h"),
		"return redis.call('sort','hk','BY','nosort','GET','*->a')[1]": "$1\r\n1\r\n",
		"return redis.call('sort_ro','hk','BY','nosort','GET','*->b')": ends("h"),
		"redis.call('sort','l','ALPHA') return redis.call('get','e')":  ends("e"),
	} {
		stored(t, w)
		w.admin.RPush(harness.Context(t), acme+"hk", "h")
		var keys []string
		if strings.Contains(source, "KEYS") {
			keys = []string{"s"}
		}
		if got := eval(t, w.wall, w.mode, source, acme, keys, nil); got != want {
			t.Errorf("%s\n got %q\nwant %q", source, got, want)
		}
	}
}

// TestSealedReadOnly has the other ways to run a script.
func TestSealedReadOnly(t *testing.T) {
	w := newWorld(t, Mode{Values: true})
	stored(t, w)
	for source, want := range map[string]string{
		"return redis.call('get',KEYS[1])":                    ends("s"),
		"local i=1 return redis.call('mget',KEYS[i],'plain')": ends("s"),
		"return redis.call('get','plain')":                    "$4\r\ntext\r\n",
	} {
		s := New([]byte(source), w.mode)
		sha := w.admin.ScriptLoad(harness.Context(t), string(s.Wrapped)).Val()
		guarded := s.Guarded()
		if sha != s.WrappedSHA || guarded.Mode != w.mode || Sum(guarded.Wrapped) != guarded.WrappedSHA {
			t.Errorf("%s: the hashes are wrong", source)
		}
		for _, run := range [][]string{
			{"EVAL_RO", string(s.Wrapped)}, {"EVALSHA_RO", s.WrappedSHA}, {"EVALSHA", s.WrappedSHA}, {"EVAL", string(guarded.Wrapped)},
		} {
			reply := do(t, w.wall, append(run, "1", acme+"s", acme)...)
			if reply != want {
				t.Errorf("%s %s\n got %q\nwant %q", run[0], source, reply, want)
			}
		}
	}
	wrapped := New([]byte("return redis.call('set',KEYS[1],'x')"), w.mode)
	if reply := do(t, w.wall, "EVAL_RO", string(wrapped.Wrapped), "1", acme+"n", acme); !strings.Contains(reply, "read-only script") {
		t.Errorf("%q", reply)
	}
}
