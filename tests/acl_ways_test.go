package tests

import (
	"strings"
	"testing"

	"riptide-proxy/config"
	"riptide-proxy/tests/harness"
)

// aclAs logs a user of acme in.
func aclAs(t *testing.T, p *harness.Proxy, user string) *harness.Conn {
	t.Helper()
	c, err := harness.Dial(p.Addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	if reply, err := c.Do("AUTH", "acme."+user, aclSecret(user)); err != nil || reply != "+OK\r\n" {
		t.Fatalf("AUTH %s: %q, %v", user, reply, err)
	}
	return c
}

// aclExpect sends a command and looks for what its reply is to contain.
func aclExpect(t *testing.T, c *harness.Conn, want string, args ...string) {
	t.Helper()
	if reply, err := c.Do(args...); err != nil || !strings.Contains(reply, want) {
		t.Errorf("%.200q: %.300q, %v, want %q", args, reply, err, want)
	}
}

// startACLProxy runs a proxy whose acme has these users.
func startACLProxy(t *testing.T, yaml string, users ...string) (*harness.Proxy, *harness.Process) {
	t.Helper()
	upstream := harness.StartRedis(t)
	tenant := harness.Acme
	tenant.YAML = aclYAML(users...) + yaml
	p := harness.StartProxy(t, upstream.Addr, harness.Options{Tenants: []harness.Tenant{tenant, harness.Globex}})
	p.Ready(t)
	return p, upstream
}

const (
	aclNoKey     = "can't access at least one of the keys mentioned in the command arguments"
	aclNoCommand = "can't run this command or subcommand"
	aclNoPerm    = "this user has no permissions to run the "
)

// aclWords are the refusals above as newer servers have them.
func aclWords(t *testing.T, upstream *harness.Process) (noKey, noCommand, noPerm string) {
	t.Helper()
	c, err := harness.Dial(upstream.Addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if reply, err := c.Do("INFO", "server"); err != nil || strings.Contains(reply, "redis_version:7.0.") {
		return aclNoKey, aclNoCommand, aclNoPerm
	}
	return "No permissions to access a key", "User acme.app has no permissions to run the", "User acme.app has no permissions to run the "
}

// Whichever way a script takes, what it calls is checked by the user's rules.
func TestACLScripts(t *testing.T) {
	t.Parallel()
	const rules = "+@all -@dangerous +sort -del -select ~app:* %R~shared:* &app:*"
	for _, scripts := range []string{"isolated", "trusted"} {
		t.Run(scripts, func(t *testing.T) {
			t.Parallel()
			p, upstream := startACLProxy(t, "    scripts: "+scripts+"\n    databases: 12\n", "app", rules)
			noKey, noCommand, noPerm := aclWords(t, upstream)
			root := p.Connect(t, harness.Acme)
			for _, words := range [][]string{{"SET", "app:k", "v"}, {"SET", "other", "secret"}, {"SET", "shared:k", "s"}, {"SELECT", "1"}, {"SET", "app:k", "one"},
				{"SELECT", "11"}, {"SET", "app:k", "eleven"}, {"SELECT", "0"}, {"RPUSH", "app:l", "other"}} {
				if reply, err := root.Do(words...); err != nil || reply[0] == '-' {
					t.Fatalf("%q: %q, %v", words, reply, err)
				}
			}
			attacks := []struct{ script, want string }{
				{"return redis.call('get','app:k')", "$1\r\nv\r\n"},
				{"return redis.call('get','shared:k')", "$1\r\ns\r\n"},
				{"return redis.call('get','other')", noKey},
				{"return redis.call('get',ARGV[1])", noKey},
				{"return redis.call('mget','app:k','other')", noKey},
				{"return redis.call('set','shared:k','x')", noKey},
				{"return redis.call('getdel','shared:k')", noKey},
				{"return redis.call('rename','app:k','other')", noKey},
				{"return redis.call('sort','app:l','by','nosort','get','*')", "GET option of SORT denied"},
				{"return redis.call('del','app:k')", noCommand},
				{"return redis.call('unlink','app:gone')", ":0\r\n"},
				{"return redis.call('publish','app:c','x')", ":0\r\n"},
				{"return redis.call('publish','other','x')", "channel"},
				{"redis.call('select',1) return redis.call('get','app:k')", noPermission("select")},
				{"redis.pcall('select',1) return redis.call('get','app:k')", "$1\r\nv\r\n"},
				{"return redis.call('keys','*')", "-NOPERM 'keys' is not available to scripts"},
				{"return redis.call('copy','app:k','other')", "-NOPERM 'copy' is not available to scripts"},
				{"return loadstring(\"return redis.call('get','other')\")()", noKey},
				{"local f=redis.call return f('g'..'et','oth'..'er')", noKey},
				{"return redis.pcall('get','other')", noKey},
				{"return tostring(redis.acl_check_cmd('get','other'))..tostring(redis.acl_check_cmd('get','app:k'))", "falsetrue"},
			}
			ways := map[string]func(c *harness.Conn){
				"alone":    func(*harness.Conn) {},
				"tracking": func(c *harness.Conn) { aclExpect(t, c, "+OK", "CLIENT", "TRACKING", "ON") },
				"watching": func(c *harness.Conn) { aclExpect(t, c, "+OK", "WATCH", "app:w") },
				"subscriber": func(c *harness.Conn) {
					aclExpect(t, c, "proto", "HELLO", "3")
					aclExpect(t, c, "subscribe", "SUBSCRIBE", "app:c2")
				},
			}
			for way, enter := range ways {
				c := aclAs(t, p, "app")
				enter(c)
				for _, a := range attacks {
					if way == "subscriber" && strings.Contains(a.script, "publish") {
						continue
					}
					for range 2 {
						reply, err := c.Do("EVAL", a.script, "0", "other")
						for err == nil && reply[0] == '>' { // an invalidation
							reply, err = c.Reply()
						}
						if err != nil || !strings.Contains(reply, a.want) || strings.Contains(reply, "secret") {
							t.Errorf("%s: %q: %q, %v, want %q", way, a.script, reply, err, a.want)
						}
					}
				}
			}
			c := aclAs(t, p, "app")
			for _, a := range attacks {
				aclExpect(t, c, "+OK", "MULTI")
				aclExpect(t, c, "+QUEUED", "EVAL", a.script, "0", "other")
				aclExpect(t, c, "+QUEUED", "GET", "app:k")
				aclExpect(t, c, a.want, "EXEC")
			}
			aclExpect(t, c, noPermissionKey(noKey), "EVAL", "return 1", "1", "other")
			aclExpect(t, c, noPermissionKey(noKey), "EVAL", "return 1", "1", "shared:k") // which it may not write
			aclExpect(t, c, ":1\r\n", "EVAL_RO", "return 1", "1", "shared:k")
			aclExpect(t, c, noPerm+"'del'", "DEL", "app:k")
			// What another user has loaded runs as this one.
			reply, err := root.Do("SCRIPT", "LOAD", "return redis.call('get','other')")
			if err != nil || reply[0] != '$' {
				t.Fatalf("SCRIPT LOAD: %q, %v", reply, err)
			}
			sha := strings.Split(reply, "\r\n")[1]
			aclExpect(t, root, "$6\r\nsecret\r\n", "EVALSHA", sha, "0")
			aclExpect(t, c, noKey, "EVALSHA", sha, "0")
			aclExpect(t, root, "$6\r\nsecret\r\n", "EVALSHA", sha, "0")
			// Functions of the operator's, too.
			admin, err := harness.Dial(upstream.Addr)
			if err != nil {
				t.Fatal(err)
			}
			defer admin.Close()
			aclExpect(t, admin, "lib", "FUNCTION", "LOAD", "#!lua name=lib\nredis.register_function('f', function(keys, args) return redis.call(args[1], keys[1] or args[2]) end)")
			aclExpect(t, c, "$1\r\nv\r\n", "FCALL", "f", "1", "app:k", "get")
			aclExpect(t, c, noCommand, "FCALL", "f", "1", "app:k", "del")
			aclExpect(t, c, noKey, "FCALL", "f", "0", "get", "t:acme:0:other")
			aclExpect(t, c, noKey, "FCALL", "f", "0", "get", "t:acme:1:app:k") // no SELECT, no other database
			aclExpect(t, c, noPermissionKey(noKey), "FCALL", "f", "1", "other", "get")
		})
	}
}

func noPermission(name string) string {
	return "NOPERM this user has no permissions to run the '" + name + "' command"
}

// noPermissionKey is how a command is refused for its keys, by how a script's is.
func noPermissionKey(scripted string) string {
	if scripted == aclNoKey {
		return "-NOPERM this user has no permissions to access one of the keys used as arguments\r\n"
	}
	return "-NOPERM No permissions to access a key\r\n"
}

// A user who may go to other databases has the same keys there, and no key more because of where databases' numbers stand
// in the names.
func TestACLScriptDatabases(t *testing.T) {
	t.Parallel()
	p, upstream := startACLProxy(t, "    databases: 12\n", "app", "+@all -@dangerous ~k* %R~x[12]", "pub", "+@scripting +publish &ch*", "odd", `+@all ~a\ (+get ~q\é* %R~})`)
	noKey, _, _ := aclWords(t, upstream)
	root := p.Connect(t, harness.Acme)
	for _, words := range [][]string{{"SET", "3:k", "secret"}, {"SET", "0:k:k", "secret"}, {"SET", "k", "v"}, {"SELECT", "11"}, {"SET", "k", "eleven"}, {"SET", "1:k", "secret"}} {
		aclExpect(t, root, "+OK", words...)
	}
	c := aclAs(t, p, "app")
	aclExpect(t, c, "eleven", "EVAL", "redis.call('select',11) return redis.call('get','k')", "0")
	aclExpect(t, c, noKey, "EVAL", "redis.call('select',11) return redis.call('get','1:k')", "0")
	aclExpect(t, c, noKey, "EVAL", "return redis.call('get','3:k')", "0")
	aclExpect(t, c, noKey, "EVAL", "return redis.call('get','0:k:k')", "0")
	aclExpect(t, c, "$-1", "EVAL", "return redis.call('get','x1')", "0")
	aclExpect(t, c, noKey, "EVAL", "return redis.call('get','x3')", "0")
	aclExpect(t, c, "+OK", "SELECT", "11")
	aclExpect(t, c, "eleven", "EVAL", "return redis.call('get','k')", "0")

	pub := aclAs(t, p, "pub")
	aclExpect(t, pub, ":0", "EVAL", "return redis.call('publish','ch1','x')", "0")
	aclExpect(t, pub, "channel", "EVAL", "return redis.call('publish','c','x')", "0")

	odd := aclAs(t, p, "odd")
	aclExpect(t, odd, "$-1", "EVAL", "return redis.call('get',ARGV[1])", "0", `a\`)
	aclExpect(t, odd, "$-1", "EVAL", "return redis.call('get',ARGV[1])", "0", "qéx")
	aclExpect(t, odd, "$-1", "EVAL", "return redis.call('get',ARGV[1])", "0", "}")
	aclExpect(t, odd, noKey, "EVAL", "return redis.call('get',ARGV[1])", "0", "q")
}

// What a script may not look at, it does not write either where it may be stored sealed.
func TestACLSealedScripts(t *testing.T) {
	t.Parallel()
	p, _ := startACLProxy(t, "    compression: {algorithm: zstd, min_size: 1, min_saving: 0}\n",
		"writer", "+@scripting +append +set +type %W~*", "both", "+@all ~*", "some", "+@all ~mine:*")
	root := p.Connect(t, harness.Acme)
	long := strings.Repeat("compressible ", 200)
	aclExpect(t, root, "+OK", "SET", "k", long)
	aclExpect(t, root, "+OK", "SET", "mine:k", long)
	writer := aclAs(t, p, "writer")
	aclExpect(t, writer, "NOPERM the values of this tenant may be stored sealed", "EVAL", "return redis.call('append','k','x')", "0")
	aclExpect(t, writer, "-NOPERM", "EVAL", "return redis.call('append',KEYS[1],'x')", "1", "k")
	aclExpect(t, writer, "NOPERM the values of this tenant may be stored sealed", "EVAL", "return redis.call('app'..'end','k','x')", "0")
	aclExpect(t, root, long+"\r\n", "GET", "k")
	both := aclAs(t, p, "both")
	aclExpect(t, both, ":2601", "EVAL", "return redis.call('append','k','x')", "0")
	aclExpect(t, both, long+"x\r\n", "EVAL", "return redis.call('get','k')", "0")
	some := aclAs(t, p, "some")
	aclExpect(t, some, ":2601", "EVAL", "return redis.call('append','mine:k','x')", "0")
	aclExpect(t, some, "-", "EVAL", "return redis.call('append','k','x')", "0")
}

// A user is told its own rules, and one without any those of its tenant's others.
func TestACLUsers(t *testing.T) {
	t.Parallel()
	p, _ := startACLProxy(t, "", "app", "+@all -del ~k* (+set %W~w)", "other", "+get ~o")
	root, c := p.Connect(t, harness.Acme), aclAs(t, p, "app")
	for _, who := range []*harness.Conn{root, c} {
		aclExpect(t, who, "+OK\r\n", "ACL", "DRYRUN", "acme.app", "GET", "k1")
		aclExpect(t, who, "+OK\r\n", "ACL", "DRYRUN", "acme.app", "SET", "w", "v")
		aclExpect(t, who, "has no permissions to access the 'x' key", "ACL", "DRYRUN", "acme.app", "GET", "x")
		aclExpect(t, who, "has no permissions to run the 'del' command", "ACL", "DRYRUN", "acme.app", "DEL", "k")
		aclExpect(t, who, "has no permissions to access the 'c' channel", "ACL", "DRYRUN", "acme.app", "SUBSCRIBE", "c")
		aclExpect(t, who, "-ERR Command 'nosuch' not found\r\n", "ACL", "DRYRUN", "acme.app", "nosuch")
		aclExpect(t, who, "-ERR wrong number of arguments for 'get' command\r\n", "ACL", "DRYRUN", "acme.app", "GET")
		reply, err := who.Do("ACL", "GETUSER", "acme.app")
		for _, want := range []string{"+@all -del", "~k*", "+set", "%W~w"} {
			if err != nil || !strings.Contains(reply, want) {
				t.Errorf("no %q in %q, %v", want, reply, err)
			}
		}
		if strings.Contains(reply, config.HashSecret(aclSecret("app"))) {
			t.Error("a hash is told")
		}
		for _, name := range []string{"globex", "globex.default", "acme.nobody", "nobody", "default", ""} {
			aclExpect(t, who, "$-1\r\n", "ACL", "GETUSER", name)
			aclExpect(t, who, "-ERR User '"+name+"' not found\r\n", "ACL", "DRYRUN", name, "GET", "k")
		}
	}
	aclExpect(t, root, "+OK\r\n", "ACL", "DRYRUN", "acme", "FLUSHALL")
	aclExpect(t, root, "+@all", "ACL", "GETUSER", "acme")
	aclExpect(t, root, "~o", "ACL", "GETUSER", "acme.other")
	for _, name := range []string{"acme", "acme.other"} {
		aclExpect(t, c, "$-1\r\n", "ACL", "GETUSER", name)
		aclExpect(t, c, "-ERR User '"+name+"' not found\r\n", "ACL", "DRYRUN", name, "GET", "k")
	}
}
