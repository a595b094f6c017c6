package proxy

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"riptide-proxy/audit"
	"riptide-proxy/config"
	"riptide-proxy/tests/harness"
)

// auditLine is a record as tests look at it.
type auditLine struct {
	Time, Event, Tenant, User, Client, Command, Outcome, Reason string
	Keys, Channels                                              []string
	DB, Count                                                   int
	Throttled, Refused                                          int
}

// short is what most tests compare.
func (l auditLine) short() string {
	text := l.Event
	if l.Command != "" {
		text += " " + l.Command
	}
	if names := append(l.Keys, l.Channels...); len(names) > 0 {
		text += " " + strings.Join(names, ",")
	}
	if l.Count > 1 {
		text += fmt.Sprint(" x", l.Count)
	}
	return text + " " + l.Outcome
}

// startAudited runs a proxy with an audit log on the embedded upstream. lines ends it and returns the records.
func startAudited(t testing.TB, section string, o options) (s *Server, lines func() []auditLine) {
	t.Helper()
	dir := t.TempDir()
	o.top += fmt.Sprintf("audit: {dir: %q, %s}\n", dir, section)
	s = startEmbedded(t, o)
	harness.Eventually(t, "the upstream is there", s.Ready)
	return s, func() []auditLine { return auditLines(t, s, dir) }
}

// auditLines ends a proxy and returns what its log has between the start and the stop.
func auditLines(t testing.TB, s *Server, dir string) (all []auditLine) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	s.Shutdown(ctx)
	if err := s.Audit().Close(); err != nil {
		t.Fatal(err)
	}
	reports, err := audit.Verify([]string{dir}, nil)
	if err != nil || len(reports) != 1 || !reports[0].OK() || !reports[0].Stopped {
		t.Fatal(reports, err)
	}
	names, err := filepath.Glob(filepath.Join(dir, "*.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(string(text)) {
			var l auditLine
			if err := json.Unmarshal([]byte(line), &l); err != nil {
				t.Fatalf("%v: %s", err, line)
			}
			if strings.Contains(line, "-secret") {
				t.Errorf("a secret: %s", line)
			}
			if !slices.Contains([]string{"file", "start", "seal", "stop"}, l.Event) {
				all = append(all, l)
			}
		}
	}
	return all
}

func shorts(lines []auditLine) (all []string) {
	for _, l := range lines {
		all = append(all, l.short())
	}
	return all
}

// wantLines compares records with what they are to be, from the login on.
func wantLines(t testing.TB, got []auditLine, want ...string) {
	t.Helper()
	if s := shorts(got); !slices.Equal(s, want) {
		t.Errorf("recorded:\n%s\nwant:\n%s", strings.Join(s, "\n"), strings.Join(want, "\n"))
	}
}

func TestAuditLevels(t *testing.T) {
	t.Parallel()
	for level, want := range map[string][]string{
		"none":  {"login ok", "refused config|set NOPERM"},
		"admin": {"login ok", "command flushdb ok", "refused config|set NOPERM"},
		"write": {"login ok", "command set k ok", "command mset a,b ok", "command eval k ok", "command lpush k WRONGTYPE", "command flushdb ok", "refused config|set NOPERM"},
		"all": {"login ok", "command select ok", "command set k ok", "command mset a,b ok", "command get k ok", "command eval k ok", "command publish news ok", "command lpush k WRONGTYPE",
			"command flushdb ok", "refused config|set NOPERM"},
	} {
		t.Run(level, func(t *testing.T) {
			t.Parallel()
			s, lines := startAudited(t, "level: "+level, options{tenants: "  loose: {scripts: trusted, users: {default: {sha256: [" + hashOf("loose") + "]}}}\n"})
			c := login(t, s, "loose")
			c.do("SELECT", "3")
			c.do("SET", "k", "v")
			c.do("MSET", "a", "1", "b", "2")
			c.do("GET", "k")
			c.do("EVAL", "return redis.call('SET', KEYS[1], 'x')", "1", "k")
			c.do("PUBLISH", "news", "text")
			c.do("LPUSH", "k", "1")
			c.do("FLUSHDB")
			c.do("CONFIG", "SET", "maxmemory", "1")
			got := lines()
			wantLines(t, got, want...)
			for _, l := range got {
				if l.Tenant != "loose" || l.User != "default" || l.Client != c.LocalAddr().String() || l.Time == "" || l.Event == "command" && l.Command != "select" && l.DB != 3 {
					t.Errorf("%+v", l)
				}
				if l.Event == "refused" && l.Reason != "NOPERM 'config|set' is not available to tenants" {
					t.Errorf("%+v", l)
				}
			}
		})
	}
}

// Who tries to log in is recorded, but never with what.
func TestAuditLogins(t *testing.T) {
	t.Parallel()
	s, lines := startAudited(t, "level: all", options{tenants: "  asleep: {suspended: true, users: {default: {sha256: [" + hashOf("asleep") + "]}}}\n"})
	c := dial(t, s)
	c.do("GET", "k")
	c.do("AUTH", "acme", "wrong-secret")
	c.do("AUTH", "acme-secret", "acme") // the wrong way round
	c.do("AUTH", "asleep", secretOf("asleep"))
	c.do("HELLO", "3", "AUTH", "acme", secretOf("acme"))
	c.do("AUTH", secretOf("globex"))
	got := lines()
	wantLines(t, got, "refused get NOAUTH", "login WRONGPASS", "login WRONGPASS", "login NOPERM", "login ok", "login ok")
	var who []string
	for _, l := range got {
		who = append(who, l.Tenant)
	}
	if want := []string{"", "acme", "", "asleep", "acme", "globex"}; !slices.Equal(who, want) {
		t.Errorf("%q", who)
	}
}

// Commands of one turn that are alike share a line, in order.
func TestAuditRuns(t *testing.T) {
	t.Parallel()
	s, lines := startAudited(t, "level: write", options{})
	c := login(t, s, "acme")
	var all []string
	for i := range 100 {
		all = append(all, fmt.Sprintf("SET k%d v", i))
	}
	all = append(all, "LPUSH k0 1", "LPUSH k1 1", "GET k1", "SET a b", "DEL a b c", "SCRIPT FLUSH")
	c.send(all...)
	for range all {
		c.next()
	}
	var keys []string
	sum := make(map[string]int)
	var order []string
	for _, l := range lines() {
		if l.Event != "command" {
			continue
		}
		keys = append(keys, l.Keys...)
		name := l.Command + " " + l.Outcome
		sum[name] += max(1, l.Count)
		if len(order) == 0 || order[len(order)-1] != name {
			order = append(order, name)
		}
	}
	if want := []string{"set ok", "lpush WRONGTYPE", "set ok", "del ok", "script|flush ok"}; !slices.Equal(order, want) || sum["set ok"] != 101 || sum["lpush WRONGTYPE"] != 2 {
		t.Errorf("%q, %v", order, sum)
	}
	for i := range 100 {
		if keys[i] != fmt.Sprint("k", i) {
			t.Fatalf("%q", keys)
		}
	}
	if want := []string{"k0", "k1", "a", "a", "b", "c"}; !slices.Equal(keys[100:], want) {
		t.Errorf("%q", keys[100:])
	}
}

// Where there are many, so do those that a client sends one after the other, for a while, whatever it reads in between; and what is told
// of another client comes after them.
func TestAuditRunsOfOne(t *testing.T) {
	t.Parallel()
	s, lines := startAudited(t, "level: write", options{})
	c, other := login(t, s, "acme"), login(t, s, "acme")
	onLoop(t, s.workers[0], func() {
		w := s.workers[0]
		w.audit.busy, w.audit.window = true, w.loop.Now()+int64(time.Hour) // for as long as the test takes
	})
	for i := range 600 {
		c.do("SET", fmt.Sprint("k", i), "v")
		if i%7 == 0 {
			c.do("GET", "k0")
		}
		if i%100 == 99 {
			other.do("LPUSH", "k0", "x")
		}
	}
	c.do("DEL", "k0")
	harness.Eventually(t, "a session that is idle has nothing open", func() (idle bool) {
		onLoop(t, s.workers[0], func() { idle = len(s.workers[0].audit.settling) == 0 })
		return idle
	})
	var keys, order []string
	n, shared := 0, false
	for _, l := range lines() {
		if l.Event != "command" {
			continue
		}
		if l.Command == "set" {
			keys = append(keys, l.Keys...)
			n += max(1, l.Count)
			shared = shared || l.Count > 1
			continue
		}
		order = append(order, fmt.Sprintf("%d %s %s", n, l.Command, l.Outcome))
	}
	want := []string{"100 lpush WRONGTYPE", "200 lpush WRONGTYPE", "300 lpush WRONGTYPE", "400 lpush WRONGTYPE", "500 lpush WRONGTYPE", "600 lpush WRONGTYPE", "600 del ok"}
	if !slices.Equal(order, want) || n != 600 || !shared {
		t.Errorf("%q, %d sets, shared: %v", order, n, shared)
	}
	for i := range keys {
		if keys[i] != fmt.Sprint("k", i) {
			t.Fatalf("%q", keys)
		}
	}
}

// A pipeline of which some are answered otherwise, in pieces of any size, is recorded as it was.
func TestAuditMixed(t *testing.T) {
	t.Parallel()
	s, lines := startAudited(t, "level: write", options{})
	c := login(t, s, "acme")
	c.do("SET", "text", "v")
	random := rand.New(rand.NewPCG(1, 2))
	want := []string{"set text ok"}
	for range 300 {
		var send []string
		for range 1 + random.IntN(40) {
			key := fmt.Sprint("k", random.IntN(100))
			switch random.IntN(12) {
			case 0:
				send, want = append(send, "LPUSH text x"), append(want, "lpush text WRONGTYPE")
			case 1:
				send, want = append(send, "LPUSH list-"+key+" x"), append(want, "lpush list-"+key+" ok")
			case 2:
				send, want = append(send, "SELECT "+fmt.Sprint(random.IntN(2))+"\nSET text v"), append(want, "set text ok")
			case 3:
				send, want = append(send, "MULTI\nSET "+key+" v\nEXEC"), append(want, "set "+key+" queued", "exec ok")
			case 4:
				send = append(send, "GET "+key)
			default:
				send, want = append(send, "SET "+key+" v"), append(want, "set "+key+" ok")
			}
		}
		send = strings.Split(strings.Join(send, "\n"), "\n")
		c.send(send...)
		for range send {
			c.next()
		}
	}
	var got []string
	for _, l := range lines() {
		if l.Event != "command" {
			continue
		}
		if len(l.Keys) == 0 {
			got = append(got, l.Command+" "+l.Outcome)
		} else if len(l.Keys) != max(1, l.Count) {
			t.Fatalf("%+v", l)
		}
		for _, key := range l.Keys {
			got = append(got, l.Command+" "+key+" "+l.Outcome)
		}
	}
	if !slices.Equal(got, want) {
		for i := range want {
			if i >= len(got) || got[i] != want[i] {
				t.Fatalf("%d of %d and %d: %q, want %q", i, len(got), len(want), got[max(0, i-3):min(len(got), i+3)], want[max(0, i-3):min(len(want), i+3)])
			}
		}
		t.Fatalf("%d records, want %d", len(got), len(want))
	}
}

// In a transaction it shows what was queued, and what became of it.
func TestAuditTransactions(t *testing.T) {
	t.Parallel()
	s, lines := startAudited(t, "level: write", options{})
	c, other := login(t, s, "acme"), login(t, s, "acme")
	c.send("MULTI", "SET a 1", "CONFIG SET x y", "EXEC")
	for range 4 {
		c.next()
	}
	c.do("WATCH", "a")
	other.do("SET", "a", "2")
	c.send("MULTI", "SET a 1", "EXEC", "MULTI", "INCR b", "DISCARD", "MULTI", "INCR b", "EXEC")
	for range 9 {
		c.next()
	}
	wantLines(t, lines(), "login ok", "login ok",
		"command set a queued", "command config|set queued", "refused config|set NOPERM", "command exec ok",
		"command set a ok",
		"command set a queued", "command exec aborted",
		"command incr b queued", "command discard ok",
		"command incr b queued", "command exec ok")
}

// A command that nobody is answered is recorded all the same.
func TestAuditUnanswered(t *testing.T) {
	t.Parallel()
	s, lines := startAudited(t, "level: write", options{})
	c := login(t, s, "acme")
	c.send("BLPOP q 0")
	harness.Eventually(t, "it waits", func() bool { return pins(t, s) == 1 })
	c.Close()
	harness.Eventually(t, "it is gone", func() bool { return s.clients.Load() == 0 })
	wantLines(t, lines(), "login ok", "command blpop q unanswered")
}

// pins is how many connections of clients' own there are.
func pins(t testing.TB, s *Server) (n int) {
	t.Helper()
	return int(s.pinned.Load())
}

func TestAuditKeys(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("x", 1000)
	many := []string{"DEL"}
	for i := range 100 {
		many = append(many, fmt.Sprint("k", i))
	}
	for mode, want := range map[string][]string{
		"plain":  {"a\\x00\\\\\"é", strings.Repeat("x", 256) + "... (744 more bytes)", "... (36 more)"},
		"none":   nil,
		"hashed": {string(audit.NewKeyHash([]byte("0123456789abcdef")).Append(nil, "acme", []byte("a\x00\\\"é"))), string(audit.NewKeyHash([]byte("0123456789abcdef")).Append(nil, "acme", []byte(long))), "... (36 more)"},
	} {
		t.Run(mode, func(t *testing.T) {
			t.Parallel()
			section := "level: write, keys: " + mode
			if mode == "hashed" {
				section += ", secret: 0123456789abcdef"
			}
			dir := t.TempDir()
			s := startEmbedded(t, options{top: fmt.Sprintf("audit: {dir: %q, %s}\n", dir, section)})
			harness.Eventually(t, "the upstream is there", s.Ready)
			c := login(t, s, "acme")
			c.do("SET", "a\x00\\\"é", "v")
			c.do("APPEND", long, "v")
			c.do(many...)
			var got []string
			ctx, cancel := context.WithTimeout(context.Background(), time.Second)
			defer cancel()
			s.Shutdown(ctx)
			s.Audit().Close()
			names, _ := filepath.Glob(filepath.Join(dir, "*.jsonl"))
			text, err := os.ReadFile(names[0])
			if err != nil {
				t.Fatal(err)
			}
			for line := range strings.Lines(string(text)) {
				var l auditLine
				if err := json.Unmarshal([]byte(line), &l); err != nil {
					t.Fatal(err)
				}
				if n := len(l.Keys); n > 0 {
					got = append(got, l.Keys[n-1])
				}
			}
			if !slices.Equal(got, want) {
				t.Errorf("%q, want %q", got, want)
			}
			if mode != "plain" && strings.Contains(string(text), "xxxx") {
				t.Error("a name of a key")
			}
		})
	}
}

// What quotas do is recorded once a second, with how often.
func TestAuditQuotas(t *testing.T) {
	t.Parallel()
	s, lines := startAudited(t, "level: none", options{tenants: "  small: {quotas: {value: 10}, users: {default: {sha256: [" + hashOf("small") + "]}}}\n"})
	c := login(t, s, "small")
	for range 7 {
		c.do("SET", "k", "longer than ten bytes")
	}
	onLoop(t, s.workers[0], func() { s.workers[0].audit.quotas() })
	onLoop(t, s.workers[0], func() { s.workers[0].audit.quotas() })
	sum := 0
	for _, l := range lines() {
		if l.Event == "quota" {
			sum += l.Refused
			if l.Tenant != "small" || l.Throttled != 0 || l.Reason != "ERR tenant small is over its quota of bytes in a value (10)" {
				t.Errorf("%+v", l)
			}
		}
	}
	if sum != 7 {
		t.Errorf("%d were refused", sum)
	}
}

// What is recorded can be changed while clients are connected, and commands are on their way.
func TestAuditApply(t *testing.T) {
	t.Parallel()
	s, lines := startAudited(t, "level: write", options{loops: 2})
	c := login(t, s, "acme")
	c.do("SET", "a", "1")
	apply := func(change func(*config.Audit)) {
		cfg := *s.conf().cfg
		change(&cfg.Audit)
		if err := s.Apply(t.Context(), &cfg); err != nil {
			t.Fatal(err)
		}
	}
	c.send("BLPOP q 0")
	harness.Eventually(t, "it waits", func() bool { return pins(t, s) == 1 })
	apply(func(a *config.Audit) { a.Level = config.AuditNone })
	other := login(t, s, "acme")
	other.do("RPUSH", "q", "x")
	c.next()
	apply(func(a *config.Audit) { a.Level, a.Keys = config.AuditAll, config.NoKeys })
	c.do("GET", "a")
	apply(func(a *config.Audit) { a.Level, a.Keys = config.AuditAll, config.HashedKeys }) // there is no secret to hash them with
	c.do("GET", "a")
	got := lines()
	slices.SortStableFunc(got, func(a, b auditLine) int { return strings.Compare(a.Time, b.Time) }) // of two loops
	wantLines(t, got, "login ok", "command set a ok", "login ok", "command blpop q ok", "command get ok", "command get ok")
}

// With an audit log a command that is passed on costs no allocation either.
func TestNoAllocationAudited(t *testing.T) {
	s := startFrugal(t, "v", options{top: fmt.Sprintf("audit: {dir: %q, level: all}\n", t.TempDir())})
	t.Cleanup(func() { s.Audit().Close() })
	harness.Eventually(t, "the upstream is there", s.Ready)
	allocations(t, s, "v", 50)
}
