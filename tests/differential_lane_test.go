package tests

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"

	"riptide-proxy/tests/harness"
)

// diffLane is one tenant's pair of connections: to the proxy, and to a plain
// server that nobody else uses.
type diffLane struct {
	t       *testing.T
	rig     *diffRig
	session diffSession
	tenant  harness.Tenant
	gen     *diffGen
	proxy   *harness.Conn
	plain   *harness.Conn
	db      string
	history []diffPast // since both were last empty
	failed  map[string]bool
	dead    bool // does not connect any more
}

// diffPast is a call that was made in a database.
type diffPast struct {
	*diffCall
	db string
}

// diffMostFailures bounds what one session reports.
const diffMostFailures = 12

func newDiffLane(t *testing.T, rig *diffRig, s diffSession, tenant harness.Tenant, rng *rand.Rand) *diffLane {
	l := &diffLane{t: t, rig: rig, session: s, tenant: tenant, failed: make(map[string]bool)}
	l.gen = &diffGen{Rand: rng, rows: rig.rows, tenant: tenant, dumps: []string{"", "corrupt"}}
	l.connect()
	l.refreshAll()
	for _, k := range diffKinds {
		if reply, err := l.plain.Do("DUMP", k.names[0]); err == nil && reply[0] == '$' {
			l.gen.dumps = append(l.gen.dumps, diffParse(reply).text)
		}
	}
	return l
}

// login is what makes a connection one of this session, whatever it was.
func (l *diffLane) login(db string) []*diffCall {
	return []*diffCall{
		diffPrepare("HELLO", strconv.Itoa(l.session.proto), "AUTH", l.tenant.ID, l.tenant.Secret),
		diffPrepare("SELECT", db), diffPrepare("CLIENT", "SETNAME", ""),
	}
}

func (l *diffLane) connect() {
	l.close()
	var err error
	if l.proxy, err = harness.Dial(l.rig.proxy.Addr); err == nil {
		l.plain, err = harness.Dial(l.rig.plain[l.tenant.ID].Addr)
	}
	if err != nil {
		l.t.Errorf("connecting: %v", err)
		l.dead = true
		return
	}
	l.db = "0"
	for _, c := range l.login(l.db) {
		got, errGot := l.proxy.Do(c.words...)
		want, errWant := l.plain.Do(c.words...)
		if errGot != nil || errWant != nil || got[0] == '-' || want[0] == '-' {
			l.t.Errorf("%s: proxy %q, %v; plain %q, %v", c, got, errGot, want, errWant)
			l.dead = true
			return
		}
	}
}

func (l *diffLane) close() {
	for _, c := range []*harness.Conn{l.proxy, l.plain} {
		if c != nil {
			c.Close()
		}
	}
}

// work is the session: first every command with valid calls until one
// succeeds, then anything.
func (l *diffLane) work(steps int) {
	for _, row := range l.rig.rows {
		for try := 0; try < 60 && !l.stop(); try++ {
			c := l.gen.call(row, false)
			var before []*diffCall
			for _, k := range c.keys {
				before = append(before, diffRefresh(k)...)
			}
			replies := l.exchange(append(append(before, c), l.diffAfter(c)...))
			if at := len(before); len(replies) > at && !strings.HasPrefix(replies[at], "-") {
				break
			}
			if diffNeverSucceeds[row.cmd.Name] != "" {
				break
			}
		}
	}
	var batch []*diffCall
	size := 1
	for step := 0; step < steps && !l.stop(); step++ {
		batch = append(batch, l.step()...)
		if len(batch) < size {
			continue
		}
		replies := l.exchange(batch)
		if !l.session.pipelined && len(replies) == len(batch) {
			l.iterate(batch, replies)
		}
		batch, size = batch[:0:0], 1
		if l.session.pipelined {
			size = 20 + l.gen.IntN(180)
		}
	}
	l.exchange(batch)
}

func (l *diffLane) stop() bool { return l.dead || len(l.failed) >= diffMostFailures }

// step makes the next call, with what belongs in front of it and behind it.
func (l *diffLane) step() (calls []*diffCall) {
	g := l.gen
	switch n := g.IntN(100); {
	case n < 2:
		return []*diffCall{g.nonsense()}
	case n < 4:
		return l.large()
	}
	c := g.call(diffPick(g, l.rig.rows), g.chance(40))
	if diffOfLex(c) {
		// Members of different scores have no order of names: then a skip
		// list's random levels say what is found.
		for _, k := range c.keys {
			calls = append(calls, diffRefresh(k)...)
		}
	} else if len(c.keys) > 0 && g.chance(40) {
		calls = append(calls, diffRefresh(diffPick(g, c.keys))...)
	}
	return append(append(calls, c), l.diffAfter(c)...)
}

// large moves values that do not fit into one read, or that the proxy passes on
// without a copy.
func (l *diffLane) large() []*diffCall {
	g := l.gen
	text := func() string {
		return strings.Repeat(string([]byte{byte(g.IntN(256)), 'x', byte(g.IntN(256))}), 1000+g.IntN(20000))
	}
	calls := []*diffCall{
		diffPrepare("SET", "large", text()), diffPrepare("APPEND", "large", text()), diffPrepare("GET", "large"),
		diffPrepare("STRLEN", "large"), diffPrepare("GETRANGE", "large", "1000", "9000"),
		diffPrepare("MSET", "large", text(), "large2", text(), "large3", "small"), diffPrepare("MGET", "large2", "large", "none", "large3"),
		diffPrepare("HSET", "large:h", "f", text(), "g", "small"), diffPrepare("HMGET", "large:h", "f", "g"),
		diffPrepare("RPUSH", "large:l", text(), "x", text()), diffPrepare("LRANGE", "large:l", "0", "-1"),
		diffPrepare("ECHO", text()), diffPrepare("NOPE", text()),
	}
	g.Shuffle(len(calls), func(i, j int) { calls[i], calls[j] = calls[j], calls[i] })
	return append(calls[:1+g.IntN(5)], diffPrepare("DEL", "large", "large2", "large3", "large:h", "large:l"))
}

// diffRefresh makes a key what it was at first.
func diffRefresh(key string) []*diffCall {
	calls := []*diffCall{diffPrepare("DEL", key)}
	if kind := diffKindOf(key); kind != nil {
		for _, words := range kind.create {
			c := diffPrepare(slices.Clone(words)...)
			c.words[slices.Index(words, "KEY")] = key
			c.keys = []string{key}
			calls = append(calls, c)
		}
	}
	return calls
}

func (l *diffLane) refreshAll() {
	for _, kind := range diffKinds {
		for _, name := range kind.names {
			l.exchange(diffRefresh(name))
		}
	}
}

// exchange sends calls to both and compares the replies in their order. It
// returns the proxy's.
func (l *diffLane) exchange(calls []*diffCall) (replies []string) {
	if l.dead {
		return nil
	}
	for _, part := range l.groups(calls) {
		var request []byte
		for _, c := range part {
			request = append(request, c.bytes()...)
		}
		// Of many replies some come before all is sent.
		sent := make(chan error, 2)
		for _, conn := range []*harness.Conn{l.plain, l.proxy} {
			go func() { _, err := conn.Write(request); sent <- err }()
		}
		for i, c := range part {
			if c.words[0] == "SELECT" && c.row == nil {
				l.db = c.words[1]
			}
			l.history = append(l.history, diffPast{c, l.db})
			want, errWant := l.plain.Reply()
			got, errGot := l.proxy.Reply()
			left := len(part) - i - 1
			if errWant != nil || errGot != nil {
				l.drain(left, errWant, errGot)
				l.fail(c, got, want, fmt.Sprintf("connection: proxy %v, plain %v, and next %v", errGot, errWant, part[i+1:min(i+5, len(part))]))
				return nil
			}
			if c.row != nil {
				l.rig.cover.count(c.row.cmd.ID, got[0] == '-')
			}
			if !diffSame(diffRuleFor(c), got, want) {
				l.drain(left, nil, nil)
				l.fail(c, got, want, "")
				return nil
			}
			replies = append(replies, got)
		}
		<-sent
		<-sent
	}
	if len(l.history) > 20_000 {
		l.history = slices.Clone(l.history[10_000:])
	}
	return replies
}

// groups divides calls into those that are sent at once.
func (l *diffLane) groups(calls []*diffCall) (groups [][]*diffCall) {
	alone := func(c *diffCall) bool {
		// A server that has replies to send leaves out the one for a login
		// that fails (from Redis 7.2 on), and closes a connection that logs
		// out by RESET with more than a kilobyte of them.
		return !l.session.pipelined || c.row != nil && slices.Contains([]string{"auth", "hello", "reset"}, c.row.cmd.Name)
	}
	for i, c := range calls {
		if i == 0 || alone(c) || alone(calls[i-1]) {
			groups = append(groups, calls[i:i:i])
		}
		last := &groups[len(groups)-1]
		*last = append(*last, c)
	}
	return groups
}

// drain has both do what else they were asked to, so that it does not come in
// between later.
func (l *diffLane) drain(n int, plain, proxy error) {
	for range n {
		if plain == nil {
			_, plain = l.plain.Reply()
		}
		if proxy == nil {
			_, proxy = l.proxy.Reply()
		}
	}
}

// fail reports a difference, once for each command, and begins anew: what has
// gone apart would fail again and again.
func (l *diffLane) fail(c *diffCall, got, want, why string) {
	name := "(no command under test)"
	if c.row != nil {
		name = c.row.cmd.Name
	}
	if !l.failed[name] {
		var before strings.Builder
		for _, h := range l.related(c) {
			fmt.Fprintf(&before, "\n    %s: %s", h.db, h)
		}
		l.t.Errorf("%s: %s %s\n  proxy: %s\n  plain: %s\n  before it:%s", l.tenant.ID, c, why, diffShow(got), diffShow(want), before.String())
	}
	l.failed[name] = true
	l.history = nil
	l.connect()
	for _, c := range []*harness.Conn{l.plain, l.proxy} {
		if l.dead {
			return
		}
		if reply, err := c.Do("FLUSHALL"); err != nil || reply != "+OK\r\n" {
			l.t.Errorf("FLUSHALL: %q, %v", reply, err)
			l.dead = true
		}
	}
}

// related are the last calls that may have made c's keys what they are.
func (l *diffLane) related(c *diffCall) (list []diffPast) {
	for i := len(l.history) - 2; i >= 0 && len(list) < 25; i-- {
		h := l.history[i]
		same := h.db == l.db && slices.ContainsFunc(c.keys, func(k string) bool { return slices.Contains(h.words, k) })
		switch strings.ToUpper(h.words[0]) {
		case "FLUSHALL", "FLUSHDB", "MOVE", "COPY":
			same = true
		case "RESET", "HELLO", "AUTH", "SELECT":
			same = len(c.keys) == 0
		}
		if same || len(l.history)-i < 4 {
			list = append(list, h)
		}
	}
	slices.Reverse(list)
	return list
}

// quit ends the session as a client does.
func (l *diffLane) quit() {
	if l.dead {
		return
	}
	l.exchange([]*diffCall{{words: []string{"QUIT"}}})
	for name, c := range map[string]*harness.Conn{"proxy": l.proxy, "plain": l.plain} {
		if reply, err := c.Reply(); err == nil {
			l.t.Errorf("the %s goes on after QUIT: %q", name, reply)
		}
	}
}
