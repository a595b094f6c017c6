package tests

import (
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"riptide-proxy/command"
	"riptide-proxy/tests/harness"
)

// hostile are the words that the attacker puts in place of every argument.
var hostile = []string{
	"t:globex:0:k", "t:{tagged}:0:k", "t:globex:0:*", "*", "t:*", "[t]:*", "t:globex:*", `\*`, `\\`, `\`, "[", "{globex}k",
	"..", "k\r\n$3\r\nGET\r\n", "\r\n*1\r\n$8\r\nFLUSHALL\r\n", "k\x00", "\x00", "", "\xff\xfe\x80", "w_*->f", "->*", "#",
	"STREAMS", "STORE", "STORE\x00", "BY", "GET", "KEYS", "DB", "COUNT", "MATCH", "MATCH\x00", "LIMIT", "GROUP", "REPLACE", "TYPE",
	"0", "-1", "2", "3", "9223372036854775807", "9223372036854775808", "-9223372036854775808", "18446744073709551617",
	"+2", "02", "1 ", " 1", "1e0", "0x1", "nan", "$", ">", "k", "l", strings.Repeat("x", 300),
}

// ownWords name the attacker's own keys as the upstream does. They are left out
// where the test looks for its own prefix in replies.
var ownWords = []string{"t:acme:0:k", "t:acme:1:k", "t:acme:0:*"}

// attack is one way to run the table.
type attack struct {
	world  *world
	words  []string
	hello  string // RESP version to ask for, if any
	inline bool
	every  int // one call in so many, chosen by the seed
	seed   uint64
	proof  bool // no reply may contain the attacker's own prefix

	record   map[string]string // by call: the reply
	volatile map[string]bool   // by call: the reply may be another one the next time
	calls    int

	complaints int
}

// run sends every row of the table with every word in every position.
func (a *attack) run(t *testing.T) {
	rnd := rand.New(rand.NewPCG(a.seed, 2))
	a.record, a.volatile = make(map[string]string), make(map[string]bool)
	for _, row := range command.All() {
		calls := a.variants(row, rnd)
		if keepsState(row) {
			a.alone(t, row, calls)
			continue
		}
		a.together(t, row, calls)
	}
	t.Logf("%d calls", a.calls)
}

// keepsState tells rows that may change the connection, or not answer at once.
func keepsState(row *command.Command) bool {
	if row.Has(command.Blocking) || row.Has(command.PubSub) || row.Cats&(command.CatTransaction|command.CatScripting) != 0 {
		return true
	}
	name, sub, _ := strings.Cut(row.Name, "|")
	switch name {
	case "auth", "hello", "reset", "quit", "select", "monitor", "sync", "psync", "shutdown":
		return true
	case "client":
		return sub == "reply" || sub == "kill" || sub == "pause" || sub == "tracking"
	}
	return false
}

// variants are the well-formed calls of a row, each with one argument replaced
// by every word, and some with more than one.
func (a *attack) variants(row *command.Command, rnd *rand.Rand) (calls [][]string) {
	fixed := strings.Count(row.Name, "|") + 1
	keep := func(call []string) {
		if a.every <= 1 || rnd.IntN(a.every) == 0 {
			calls = append(calls, call)
		}
	}
	for _, base := range bases(row) {
		calls = append(calls, base)
		for i := fixed; i <= len(base); i++ {
			for _, word := range a.words {
				call := slices.Clone(base)
				if i == len(base) {
					call = append(call, word)
				} else {
					call[i] = word
				}
				keep(call)
			}
			if i < len(base) {
				keep(slices.Delete(slices.Clone(base), i, i+1))
			}
		}
		for range 60 {
			call := slices.Clone(base)
			for range 2 + rnd.IntN(3) {
				at := fixed + rnd.IntN(len(call)-fixed+1)
				word := a.words[rnd.IntN(len(a.words))]
				if at == len(call) || rnd.IntN(4) == 0 {
					call = slices.Insert(call, at, word)
				} else {
					call[at] = word
				}
			}
			keep(call)
		}
	}
	return calls
}

// connect logs in as the attacker.
func (a *attack) connect(t *testing.T) *harness.Conn {
	t.Helper()
	c, err := harness.Dial(a.world.proxy.Addr)
	if err != nil {
		t.Fatal(err)
	}
	hello := []string{"AUTH", "acme", harness.Acme.Secret}
	if a.hello != "" {
		hello = []string{"HELLO", a.hello, "AUTH", "acme", harness.Acme.Secret}
	}
	if reply, err := c.Do(hello...); err != nil || reply[0] == '-' {
		t.Fatalf("%q: %q, %v", hello, reply, err)
	}
	return c
}

// together sends calls that are answered one for one, pipelined, over keys of
// the attacker that are made anew every now and then.
func (a *attack) together(t *testing.T, row *command.Command, calls [][]string) {
	t.Helper()
	const batch = 50
	c := a.connect(t)
	defer c.Close()
	for from := 0; from < len(calls); from += batch {
		part := calls[from:min(from+batch, len(calls))]
		var out []byte
		prepare := append([][]string{append([]string{"DEL", "out", "out2", "new", "new2", "y"}, slices.Concat(keyNames, a.words)...)}, keyset("", "mine")...)
		for _, call := range prepare {
			out = append(out, encode(false, call)...)
		}
		for _, call := range part {
			out = append(out, encode(a.inline, call)...)
		}
		if _, err := c.Write(out); err != nil {
			t.Fatalf("%s: %v", row.Name, err)
		}
		for _, call := range prepare {
			if reply, err := c.Reply(); err != nil || reply[0] == '-' {
				t.Fatalf("%q: %q, %v", call, reply, err)
			}
		}
		for _, call := range part {
			reply, err := c.Reply()
			if err != nil {
				t.Fatalf("%.300q: %v", call, err)
			}
			a.judge(t, row, call, reply)
		}
	}
}

// keyNames are the names that keyset makes.
var keyNames = strings.Fields("k k2 n l l2 s s2 z z2 h x y g p p2 b w_1 w_2 w_3 d_1 d_2")

// alone sends each call on a connection of its own, and takes whatever comes. Those that may wait, for ever even, do so
// beside each other.
func (a *attack) alone(t *testing.T, row *command.Command, calls [][]string) {
	t.Helper()
	wait, together := 10*time.Second, 1
	if row.Has(command.Blocking) {
		wait, together = 300*time.Millisecond, 16
	}
	for part := range slices.Chunk(calls, together) {
		replies := make([][]byte, len(part))
		var all sync.WaitGroup
		for i, call := range part {
			c := a.connect(t)
			out := encode(a.inline, call)
			// A pause may rightly be for ever, if nobody ends it.
			for _, more := range [][]string{{"CLIENT", "UNPAUSE"}, {"GET", "k"}, {"DBSIZE"}, {"QUIT"}} {
				out = append(out, encode(false, more)...)
			}
			if _, err := c.Write(out); err != nil {
				t.Fatalf("%s: %v", row.Name, err)
			}
			all.Go(func() {
				defer c.Close()
				c.SetReadDeadline(time.Now().Add(wait))
				var err error
				replies[i], err = io.ReadAll(c.R)
				if err != nil && !row.Has(command.Blocking) && !strings.Contains(err.Error(), "reset") {
					t.Errorf("%.300q: the connection did not end: %v", call, err)
				}
			})
		}
		all.Wait()
		for i, call := range part {
			a.judge(t, row, call, string(replies[i]))
		}
	}
}

// complain reports an error, and no more once the point is made.
func (a *attack) complain(t *testing.T, format string, args ...any) {
	t.Helper()
	if a.complaints++; a.complaints <= 20 {
		t.Errorf(format, args...)
	}
}

// judge looks for what the attacker must not see.
func (a *attack) judge(t *testing.T, row *command.Command, call []string, reply string) {
	t.Helper()
	a.calls++
	if strings.Contains(reply, a.world.token) {
		a.complain(t, "%.300q shows what belongs to others: %.600q", call, reply)
	}
	if a.proof && strings.Contains(reply, "t:acme:") {
		a.complain(t, "%.300q shows how keys are stored: %.600q", call, reply)
	}
	key := fmt.Sprintf("%q", call)
	a.record[key] = reply
	a.volatile[key] = volatile[row.Name] || keepsState(row)
}

// full says that the long versions of the tests were asked for.
var full = os.Getenv("RIPTIDE_TEST_FULL") != ""

// shorter is how much of something there is: all where the long versions were asked for, or less.
func shorter(all, less int) int {
	if full {
		return all
	}
	return less
}

// sample is how many calls of the whole there are for one that is made.
func sample(n int) int { return shorter(1, n) }

// unscanned keeps the proxy from looking at all tenants' keys by itself.
var unscanned = harness.Options{Top: "accounting: {interval: 0s}\n"}

// Nothing that a tenant sends reads or changes anything of others, or reaches
// the upstream with a key that is not the tenant's.
func TestIsolationNothingLeavesTheTenant(t *testing.T) {
	t.Parallel()
	for _, a := range []attack{
		{words: slices.Concat(hostile, ownWords), every: sample(15)},
		{words: hostile, hello: "3", every: sample(40), proof: true},
		{words: hostile, inline: true, every: sample(50), proof: true},
	} {
		a.seed = diffSeed(t)
		t.Run(fmt.Sprintf("resp%s inline=%v", a.hello, a.inline), func(t *testing.T) {
			t.Parallel()
			a.world = newWorld(t, true, unscanned)
			before := a.world.snapshot(t)
			m := a.world.monitor(t)
			a.run(t)
			m.check(t, a.world, "t:acme:")
			unchanged(t, before, a.world.snapshot(t))
		})
	}
}

// volatile are the rows whose replies differ from one time to the next, or from
// one server to the next.
var volatile = words(`time lolwut randomkey scan spop srandmember hrandfield zrandmember xadd xclaim xautoclaim xpending
	xinfo|stream xinfo|consumers object|idletime pexpire psetex pttl memory|usage client|id hello info dump command
	command|info command|docs command|list role client|info client|list client|kill slowlog|get latency|latest config|get
	sort sort_ro acl|log xsetid acl|genpass memory|stats latency|histogram lastsave memory|doctor latency|graph latency|history
	latency|doctor latency|reset slowlog|len`)

// What a tenant is told does not depend on what others have: the same calls
// have the same replies where nobody else has anything. There the server's own
// ACL confines the proxy to the tenant's prefix, and finds nothing to refuse.
func TestIsolationOthersMakeNoDifference(t *testing.T) {
	t.Parallel()
	crowded := attack{words: hostile, every: sample(30), seed: diffSeed(t), proof: true}
	alone := crowded
	fenced := unscanned
	fenced.Upstream = "  username: fenced\n  password: fenced-secret\n"
	crowded.world = newWorld(t, true, unscanned)
	alone.world = newWorld(t, false, fenced,
		"--user", "fenced", "on", ">fenced-secret", "~t:acme:*", "~riptide:*", "&*", "+@all")
	crowded.run(t)
	alone.run(t)
	differences := 0
	for call, reply := range crowded.record {
		other := alone.record[call]
		if !crowded.volatile[call] && sorted(reply) != sorted(other) && !strings.HasPrefix(other, "-NOPERM") {
			if differences++; differences < 20 {
				t.Errorf("%.300s: %.300q, and where nobody else has keys %.300q", call, reply, other)
			}
		}
	}
	// What GETKEYS takes for a key behind an option that is no number does not
	// count: the command itself is refused for that.
	for entry := range strings.SplitSeq(alone.world.must(t, "ACL", "LOG", "128"), "$5\r\ncount\r\n") {
		if strings.Contains(entry, ":space\r\n") && harness.Accounts("t:globex:space") {
			continue // the ledger looks how much each tenant has
		}
		if strings.Contains(entry, "\r\nreason\r\n") && !strings.Contains(entry, "cmd=georadius") && !strings.Contains(entry, "cmd=xread") {
			t.Errorf("the server refused what the proxy asked of it: %q", entry)
		}
	}
}

// sorted makes replies comparable whose elements are in no particular order.
func sorted(reply string) string {
	lines := strings.Split(reply, "\r\n")
	slices.Sort(lines)
	return strings.Join(lines, "\n")
}
