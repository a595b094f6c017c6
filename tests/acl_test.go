package tests

import (
	"fmt"
	"math/rand/v2"
	"regexp"
	"slices"
	"strings"
	"testing"

	"riptide-proxy/command"
	"riptide-proxy/config"
	"riptide-proxy/script"
	"riptide-proxy/tests/harness"
)

// Users with the same rules behind the proxy and in a plain Redis are refused the same things in the same words, whichever
// way a command takes: alone, in a transaction, in a script. What rules mean is compared with the server's own verdicts in
// namespace/acl, over all commands; this is about whether they are asked everywhere.

// aclUser is a user with rules in both.
type aclUser struct {
	name, rules string
	plain       *harness.Conn
	proxy       *harness.Conn
}

// aclRig is what the tests of rules share.
type aclRig struct {
	plain *harness.Process
	proxy *harness.Proxy
	users []*aclUser
}

func aclSecret(name string) string { return "secret of " + name }

// aclYAML are the users of a tenant, by name and rules.
func aclYAML(users ...string) string {
	var b strings.Builder
	for i := 0; i < len(users); i += 2 {
		acl := ""
		if users[i+1] != "" {
			acl = fmt.Sprintf(", acl: %q", users[i+1])
		}
		fmt.Fprintf(&b, "      %s: {sha256: [%s]%s}\n", users[i], config.HashSecret(aclSecret(users[i])), acl)
	}
	return b.String()
}

// startACL runs the servers with users that have these rules, by their names.
func startACL(t *testing.T, yaml string, users ...string) *aclRig {
	t.Helper()
	rig := &aclRig{plain: harness.StartRedis(t)}
	admin, err := harness.Dial(rig.plain.Addr)
	if err != nil {
		t.Fatal(err)
	}
	defer admin.Close()
	for i := 0; i < len(users); i += 2 {
		set := append([]string{"ACL", "SETUSER", "acme." + users[i], "reset", "on", ">" + aclSecret(users[i])}, strings.Fields(users[i+1])...)
		if reply, err := admin.Do(set...); err != nil || reply != "+OK\r\n" {
			t.Fatalf("%q: %q, %v", set, reply, err)
		}
	}
	tenant := harness.Acme
	tenant.YAML = aclYAML(users...) + yaml
	upstream := harness.StartRedis(t)
	rig.proxy = harness.StartProxy(t, upstream.Addr, harness.Options{Tenants: []harness.Tenant{tenant, harness.Globex}})
	rig.proxy.Ready(t)
	for i := 0; i < len(users); i += 2 {
		u := &aclUser{name: users[i], rules: users[i+1]}
		u.plain, u.proxy = rig.dial(t, u.name)
		rig.users = append(rig.users, u)
	}
	return rig
}

// dial logs a user in to both.
func (rig *aclRig) dial(t *testing.T, user string) (plain, proxy *harness.Conn) {
	t.Helper()
	var conns []*harness.Conn
	for _, addr := range []string{rig.plain.Addr, rig.proxy.Addr} {
		c, err := harness.Dial(addr)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		if reply, err := c.Do("AUTH", "acme."+user, aclSecret(user)); err != nil || reply != "+OK\r\n" {
			t.Fatalf("AUTH %s: %q, %v", user, reply, err)
		}
		conns = append(conns, c)
	}
	return conns[0], conns[1]
}

// aclRefusals are how a server refuses something for the user's rules.
var aclRefusals = regexp.MustCompile(`NOPERM [^\r]*|(BY|GET) option of SORT denied[^\r]*|User \S+ has no perm[^\r]*|ACL failure in script[^\r]*|` +
	`The user executing the script can't [a-z ]*|EXECABORT[^\r]*`)

// aclRefusal is what a reply says about the user's rules, in the words that it has for it; "" if nothing.
func aclRefusal(reply string) string {
	found := aclRefusals.FindString(reply)
	found, _, _ = strings.Cut(found, " script: ")
	return found
}

// aclElsewhere reports whether a reply has nothing to do with the user: no tenant has the command, or no script.
func aclElsewhere(reply string) bool {
	return strings.Contains(reply, "is not available to") || strings.Contains(reply, "inside a transaction") || strings.Contains(reply, "not supported by the upstream")
}

// both sends requests to both and compares what is refused.
func (u *aclUser) both(t *testing.T, counts map[string]int, way string, requests ...[]string) {
	t.Helper()
	var replies [2][]string
	for i, conn := range []*harness.Conn{u.plain, u.proxy} {
		for _, r := range requests {
			if err := conn.Send(r...); err != nil {
				t.Fatalf("%s %q: %v", way, r, err)
			}
		}
		for _, r := range requests {
			reply, err := conn.Reply()
			if err != nil {
				t.Fatalf("user %s (%s), %s %.300q: %v", u.name, u.rules, way, r, err)
			}
			replies[i] = append(replies[i], reply)
		}
	}
	for i, want := range replies[0] {
		got := replies[1][i]
		if aclElsewhere(got) || strings.Contains(want, "wrong number of arguments") {
			return // an older server than the table's asks for more, and does so before it asks who may
		}
		if way == "script" && strings.Contains(got, "option of SORT denied") {
			return // isolated scripts of any user do not have it
		}
		refused := aclRefusal(want)
		if got := aclRefusal(got); got != refused {
			t.Errorf("user %s (%s), %s %.300q:\n got %.300q\nwant %.300q", u.name, u.rules, way, requests[i], replies[1][i], want)
			return
		}
		switch {
		case refused == "":
			counts[way+" allowed"]++
		default:
			counts[way+" refused"]++
		}
	}
}

// aclRules makes rules about the names that generated calls have.
func aclRules(rnd *rand.Rand) string {
	pick := func(of ...string) string { return of[rnd.IntN(len(of))] }
	var rules []string
	set := func(n int) (rules []string) {
		rules = append(rules, pick("+@all", "+@all", "+@read +@write +@transaction +@scripting", "+@fast +@scripting +@transaction"))
		for range rnd.IntN(n) {
			cats := command.All()[rnd.IntN(command.Count())].Cats.Names()
			if len(cats) > 0 && !slices.Contains(cats, "array") {
				rules = append(rules, pick("+@", "-@")+cats[rnd.IntN(len(cats))])
			}
		}
		for range rnd.IntN(4) {
			rules = append(rules, pick("+", "-")+pick("get", "set", "del", "mset", "sort", "hset", "config|get", "client|list", "xadd", "publish", "eval", "exec", "select", "memory|usage"))
		}
		for range 1 + rnd.IntN(5) {
			rules = append(rules, pick("~", "~", "%R~", "%W~")+pick("s*", "{*", "*int*", "hash*", "*set*", "z*", "b*", "w_*", "t:acme*", "\\*\\?*", "[a-l]*", "*list*", "stream", ""))
		}
		if rnd.IntN(4) == 0 {
			rules = append(rules, "~*")
		}
		for range rnd.IntN(3) {
			rules = append(rules, "&"+pick("ch*", "news", "*1"))
		}
		return rules
	}
	rules = set(3)
	for range rnd.IntN(3) {
		rules = append(rules, "("+strings.Join(set(2), " ")+")")
	}
	return strings.Join(rules, " ")
}

func TestACLDifferential(t *testing.T) {
	t.Parallel()
	seed, users, steps := diffSetting(t, "RIPTIDE_DIFF_SEED", 1), 8, 100 // others come upon categories that differ between versions
	if full {
		users, steps = 60, 2000
	}
	rnd := rand.New(rand.NewPCG(seed, 7))
	var named []string
	for i := range users {
		named = append(named, fmt.Sprintf("u%d", i), aclRules(rnd))
	}
	rig := startACL(t, "", named...)
	rows := diffRows(t, rig.plain)
	counts := make(map[string]int)
	scripted := make(map[string]bool) // what scripts of tenants may call at all
	for _, rule := range script.AllowList(func(*command.Command) bool { return true }) {
		scripted[rule] = true
	}
	for _, u := range rig.users {
		g := &diffGen{Rand: rnd, rows: rows, tenant: harness.Acme, dumps: []string{"no payload"}}
		for range steps {
			c := g.call(diffPick(g, rows), false)
			words := c.words
			if c.row.cmd.Has(command.NoAuth) || len(words) == 2 && strings.EqualFold(words[0], "PFMERGE") {
				continue // servers run PFMERGE without a source whatever the rules are
			}
			u.both(t, counts, "alone", words)
			u.both(t, counts, "transaction", []string{"MULTI"}, words, []string{"EXEC"})
			if scripted["+"+c.row.cmd.Name] && c.row.cmd.Handler != command.HandleEcho {
				u.both(t, counts, "script", append([]string{"EVAL", "return redis.pcall(unpack(ARGV))", "0"}, words...))
			}
			if t.Failed() {
				t.Fatalf("again with RIPTIDE_DIFF_SEED=%d", seed)
			}
		}
		for _, line := range aclPinned {
			other := *u
			other.plain, other.proxy = rig.dial(t, u.name)
			other.both(t, counts, "connection", strings.Fields(line))
			other.plain.Close()
			other.proxy.Close()
		}
	}
	t.Log(counts)
	for _, way := range []string{"alone", "transaction", "script", "connection"} {
		for _, outcome := range []string{" allowed", " refused"} {
			if counts[way+outcome] < 20 {
				t.Errorf("%s%s: only %d times", way, outcome, counts[way+outcome])
			}
		}
	}
}

// aclPinned are commands that leave something on their connection.
var aclPinned = strings.Split(strings.TrimSpace(`
SUBSCRIBE ch1
SUBSCRIBE other
PSUBSCRIBE ch*
PSUBSCRIBE *
PSUBSCRIBE c*
SSUBSCRIBE news
UNSUBSCRIBE other
PUNSUBSCRIBE x*
PUBLISH ch2 m
PUBLISH other m
SPUBLISH x1 m
WATCH str
WATCH hash w_a
UNWATCH
EXEC
DISCARD
MULTI
BLPOP list 0.01
BLPOP list biglist 0.01
BLMOVE list nothing LEFT RIGHT 0.01
BZPOPMIN zset 0.01
BLMPOP 0.01 1 list LEFT
BRPOPLPUSH list biglist 0.01
XREAD BLOCK 10 STREAMS stream $
XREADGROUP GROUP g1 me STREAMS stream >
WAIT 0 0
MONITOR
CLIENT TRACKING ON
CLIENT TRACKING ON BCAST
CLIENT CACHING YES
CLIENT TRACKINGINFO
CLIENT REPLY ON
CLIENT PAUSE 1
CLIENT UNPAUSE
CLIENT LIST
CLIENT INFO
CLIENT ID
CLIENT KILL ID 999999
CLIENT NO-EVICT OFF
CONFIG GET maxmemory
CONFIG SET maxmemory 0
INFO server
SLOWLOG GET
SLOWLOG RESET
LATENCY LATEST
MEMORY DOCTOR
COMMAND COUNT
ACL WHOAMI
ACL CAT
ACL LIST
ACL SETUSER x
FLUSHALL
FLUSHDB
SWAPDB 0 1
KEYS *
SCAN 0
RANDOMKEY
DBSIZE
SCRIPT EXISTS x
SCRIPT FLUSH
SCRIPT LOAD x=1
FUNCTION LIST
FUNCTION DUMP
EVALSHA ffffffffffffffffffffffffffffffffffffffff 0
FCALL f 1 str
COPY str int
COPY int str REPLACE
MOVE str 1
MIGRATE 127.0.0.1 1 str 0 1
SORT list BY nosort GET #
SORT list BY w_*
SORT list BY nosort
SORT list STORE other
GEORADIUS geo 15 37 200 km STORE other
GETEX str
OBJECT ENCODING str
OBJECT HELP
LOLWUT
TIME
LASTSAVE
ROLE
SELECT 1
PING
ECHO x
QUIT
RESET
`), "\n")
