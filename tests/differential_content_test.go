package tests

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"

	"riptide-proxy/tests/harness"
)

// What is stored, compared as a whole.

func diffDial(t *testing.T, addr, password string) *harness.Conn {
	t.Helper()
	c, err := harness.Dial(addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	if password != "" {
		diffMust(t, c, "AUTH", password)
	}
	return c
}

func diffMust(t *testing.T, c *harness.Conn, args ...string) string {
	t.Helper()
	reply, err := c.Do(args...)
	if err != nil || strings.HasPrefix(reply, "-") {
		t.Fatalf("%q: %q, %v", args, reply, err)
	}
	return reply
}

// diffSnapshot is everything on a server whose key begins with prefix.
func diffSnapshot(t *testing.T, c *harness.Conn, prefix string) string {
	t.Helper()
	var list []string
	for _, k := range diffParse(diffMust(t, c, "KEYS", prefix+"*")).kids {
		if diffSealed() && diffProxys(k.text) || harness.Accounts(k.text) {
			continue // a dictionary may have been trained, usage reported
		}
		list = append(list, fmt.Sprintf("%q %q %s", k.text, diffMust(t, c, "DUMP", k.text), diffMust(t, c, "PEXPIRETIME", k.text)))
	}
	slices.Sort(list)
	return strings.Join(list, "\n")
}

// iterate goes on with SCAN and its relatives to the end, once they have begun,
// and compares what they have come across.
func (l *diffLane) iterate(calls []*diffCall, replies []string) {
	for i, c := range calls {
		if c.row == nil || diffRuleFor(c) != diffCursor || strings.HasPrefix(replies[i], "-") {
			if c.row != nil && c.row.cmd.Name == "randomkey" && strings.HasPrefix(replies[i], "$") {
				l.owns(c, replies[i])
			}
			continue
		}
		at := 2
		if c.row.cmd.Name == "scan" {
			at = 1
		}
		if c.words[at] != "0" {
			continue
		}
		got, errGot := diffIterate(l.proxy, c.words, at)
		want, errWant := diffIterate(l.plain, c.words, at)
		if errGot != nil || errWant != nil || !slices.Equal(got, want) {
			l.fail(c, strings.Join(got, " "), strings.Join(want, " "), fmt.Sprintf("all pages: proxy %v, plain %v", errGot, errWant))
			return
		}
	}
}

func diffIterate(conn *harness.Conn, words []string, at int) (list []string, err error) {
	words = slices.Clone(words)
	pairs := 1
	switch strings.ToUpper(words[0]) {
	case "HSCAN", "ZSCAN":
		pairs = 2
		if slices.ContainsFunc(words, func(w string) bool { return strings.HasPrefix(strings.ToUpper(w), "NO") }) {
			pairs = 1 // NOVALUES, NOSCORES
		}
	}
	for range 100_000 {
		reply, err := conn.Do(words...)
		if err != nil {
			return nil, err
		}
		page := diffParse(reply)
		if len(page.kids) != 2 {
			return nil, fmt.Errorf("no page: %q", reply)
		}
		list = append(list, page.kids[1].sorted(pairs)...)
		if words[at] = page.kids[0].text; words[at] == "0" {
			slices.Sort(list)
			return slices.Compact(list), nil // an element may come twice
		}
	}
	return nil, fmt.Errorf("no end")
}

// owns checks what RANDOMKEY has come up with.
func (l *diffLane) owns(c *diffCall, reply string) {
	key := diffParse(reply)
	if key.null {
		return
	}
	if there, err := l.proxy.Do("EXISTS", key.text); err != nil || there != ":1\r\n" {
		l.fail(c, reply, "a key that exists", "")
	}
}

// compareContent compares all databases of the tenant with the plain server's,
// through the proxy, and returns the number of keys.
func (l *diffLane) compareContent() (total int) {
	if l.dead {
		return -1
	}
	l.connect()
	for db := range 16 {
		for _, c := range []*harness.Conn{l.proxy, l.plain} {
			diffMust(l.t, c, "SELECT", strconv.Itoa(db))
		}
		ours := diffParse(diffMust(l.t, l.proxy, "KEYS", "*"))
		theirs := diffParse(diffMust(l.t, l.plain, "KEYS", "*"))
		if !slices.Equal(ours.sorted(1), theirs.sorted(1)) {
			l.t.Errorf("%s: database %d has the keys\n  proxy: %q\n  plain: %q", l.tenant.ID, db, ours.sorted(1), theirs.sorted(1))
		}
		scanned, err := diffIterate(l.proxy, []string{"SCAN", "0"}, 1)
		if err != nil || !slices.Equal(scanned, ours.sorted(1)) {
			l.t.Errorf("%s: SCAN of database %d finds %q, %v; KEYS finds %q", l.tenant.ID, db, scanned, err, ours.sorted(1))
		}
		total += len(ours.kids)
		for _, k := range ours.kids {
			l.compareKey(db, k.text)
		}
	}
	return total
}

func (l *diffLane) compareKey(db int, key string) {
	same := func(rule diffRule, words ...string) bool {
		got, want := diffMust(l.t, l.proxy, words...), diffMust(l.t, l.plain, words...)
		if !diffSame(rule, got, want) {
			l.t.Errorf("%s: database %d, %q\n  proxy: %s\n  plain: %s", l.tenant.ID, db, words, diffShow(got), diffShow(want))
			return false
		}
		return true
	}
	if !same(diffExact, "TYPE", key) || !same(diffNear, "PTTL", key) || !same(diffEncoding(), "OBJECT", "ENCODING", key) {
		return
	}
	got, want := diffMust(l.t, l.proxy, "DUMP", key), diffMust(l.t, l.plain, "DUMP", key)
	if got == want {
		return
	}
	// The payloads of these types depend on the process, see the rules.
	switch kind := diffMust(l.t, l.plain, "TYPE", key); kind {
	case "+set\r\n":
		same(diffUnordered, "SMEMBERS", key)
	case "+hash\r\n":
		same(diffPairs, "HGETALL", key)
	case "+stream\r\n":
		_ = same(diffExact, "XRANGE", key, "-", "+") && same(diffIdle, "XINFO", "STREAM", key, "FULL", "COUNT", "0")
	default:
		l.t.Errorf("%s: database %d, DUMP %q\n  proxy: %q\n  plain: %q", l.tenant.ID, db, key, got, want)
	}
}
