package tests

import (
	"os"
	"slices"
	"strconv"
	"strings"
)

// diffRule is how two replies to one call are compared. Whatever is an error,
// in either reply, is compared byte for byte in any case.
type diffRule int

const (
	diffExact      diffRule = iota
	diffUnordered           // the same elements in any order
	diffPairs               // the same pairs in any order: a map, or a flat list of names and values
	diffShape               // the same types and numbers of elements
	diffCount               // the same type and number of elements
	diffNear                // numbers may differ by the time that passed between the two servers
	diffIdle                // so may those that stand for times, and no others
	diffPayload             // DUMP
	diffCursor              // a page of SCAN; all the pages are compared elsewhere
	diffHello               // the same but for the connection's number
	diffHelloTwice          // so, or any error
)

// diffRules are the commands whose replies differ between any two servers.
var diffRules = map[string]diffRule{
	// The order follows from a hash table, whose seed each process draws.
	"smembers": diffUnordered, "sinter": diffUnordered, "sunion": diffUnordered, "sdiff": diffUnordered,
	"hkeys": diffUnordered, "hvals": diffUnordered, "keys": diffUnordered, "hgetall": diffPairs,
	"sscan": diffCursor, "hscan": diffCursor, "zscan": diffCursor, "scan": diffCursor, "dump": diffPayload,

	// Random on purpose.
	"spop": diffShape, "srandmember": diffShape, "hrandfield": diffShape, "zrandmember": diffShape,
	"randomkey": diffShape,
	// A logarithmic counter with a probability.
	"object|freq": diffShape,

	// Clocks.
	"time": diffShape, "object|idletime": diffShape /* a small number is one object for all keys of a server, neighbours' too */, "ttl": diffNear, "pttl": diffNear, "expiretime": diffNear,
	"pexpiretime": diffNear, "httl": diffNear, "hpttl": diffNear, "hexpiretime": diffNear, "hpexpiretime": diffNear,
	"xpending": diffIdle, "xinfo|stream": diffIdle, "xinfo|consumers": diffIdle,

	// Each server numbers its own connections.
	"client|id": diffShape, "hello": diffHello,
	// The key is longer upstream, by the prefix.
	"memory|usage": diffShape,
}

// diffRuleFor returns the rule of a call, where it depends on the arguments.
func diffRuleFor(c *diffCall) diffRule {
	if c.row == nil {
		if c.words[0] == "HELLO" {
			return diffHello
		}
		return diffExact
	}
	name := c.row.cmd.Name
	switch name {
	case "hello":
		// Redis 7.0 judges one option after the other, later versions all of
		// them first: what is wrong in two ways has two errors.
		if len(c.words) > 5 {
			return diffHelloTwice
		}
	case "xadd":
		if slices.Contains(c.words[1:], "*") {
			return diffShape // the identifier is the server's clock
		}
	case "object|refcount":
		if diffSealed() {
			return diffShape // a sealed number is none of those that all keys share
		}
	case "object|encoding":
		return diffEncoding()
	case "sort", "sort_ro":
		// BY a constant asks a set for no order, and names that BY finds no
		// weight for have none: any order will do, and any part of it.
		by, limited, alpha := false, false, false
		for i, w := range c.words {
			switch {
			case strings.EqualFold(w, "BY") && i+1 < len(c.words):
				by = true
				alpha = alpha || !strings.Contains(c.words[i+1], "*")
			case strings.EqualFold(w, "ALPHA"):
				alpha = true
			case strings.EqualFold(w, "LIMIT"):
				limited = true
			}
		}
		if by && alpha && limited {
			return diffCount
		} else if by && alpha {
			return diffUnordered
		}
	}
	return diffRules[name]
}

// diffSealed reports whether tenants' values are stored sealed.
func diffSealed() bool { return os.Getenv("RIPTIDE_TEST_VALUES") != "" }

// diffEncoding is the rule for OBJECT ENCODING: whether a short string has once
// been written to in place, only the server knows, and it has not where that is done by the proxy.
func diffEncoding() diffRule {
	if diffSealed() {
		return diffShape
	}
	return diffExact
}

// diffAfter is what follows a call that leaves the two servers different by
// its nature: what was popped at random, or named by the clock, is removed.
func (l *diffLane) diffAfter(c *diffCall) (more []*diffCall) {
	if c.row == nil {
		return nil
	}
	switch name := c.row.cmd.Name; name {
	case "spop", "xadd", "sort":
		if name == "spop" || diffRuleFor(c) != diffExact {
			if len(c.words) > 1 { // whichever of the arguments is a key, in a call that may be wrong
				more = append(more, diffPrepare(append([]string{"DEL"}, c.words[1:]...)...))
			}
		}
	case "hello", "reset", "auth", "select":
		more = append(more, l.login(diffPick(l.gen, []string{"0", "0", "0", "3"}))...)
	}
	return more
}

// diffOfLex reports whether a call is about a range of names in a sorted set.
func diffOfLex(c *diffCall) bool {
	return strings.Contains(c.row.cmd.Name, "lex") || slices.ContainsFunc(c.words, func(w string) bool { return strings.EqualFold(w, "BYLEX") })
}

// diffPrepare is a call that is not what is being tested, but compared as well.
func diffPrepare(words ...string) *diffCall { return &diffCall{words: words} }

// diffNeverSucceeds lists commands whose every answer is an error, and why.
var diffNeverSucceeds = map[string]string{
	"readonly":     "a tenant sees a server that is not in cluster mode",
	"cluster|help": "a plain server that is not in cluster mode has nothing but an error either",
	"evalsha":      "what it is given is no script's hash; compared by TestStateful",
	"evalsha_ro":   "likewise",
	"fcall":        "no functions are installed",
	"fcall_ro":     "likewise",
	"script|kill":  "no script runs for long",
	"asking":       "a tenant sees a server that is not in cluster mode",
	"readwrite":    "a tenant sees a server that is not in cluster mode",
}

// diffOwnTest tells the commands that are answered for the tenant,
// with its own clients, commands and statistics, so that a plain server's reply
// is no measure; or after which a connection no longer has one reply for each
// call. COMMAND is compared in differential_command_test.go, QUIT at the end of
// every session.
func diffOwnTest(name string) bool {
	switch name {
	case "quit", "command", "command|count", "command|list", "command|docs", "command|info",
		"info", "lolwut", "config|get", "config|set", "role", "lastsave", "monitor", "function|list",
		"memory|doctor", "memory|stats", "acl|whoami", "acl|cat", "acl|genpass", "acl|getuser", "acl|dryrun", "acl|log",
		"pubsub|numpat", "client|getredir", "client|info", "client|kill", "client|list", "client|pause", "client|reply", "client|unblock", "client|unpause":
		return true
	}
	container, sub, _ := strings.Cut(name, "|")
	switch container {
	case "slowlog", "latency", "commandlog", "cluster":
		return sub != "help"
	}
	return false
}

// diffSame reports whether two replies are equal by a rule.
func diffSame(rule diffRule, a, b string) bool {
	if a == b {
		return true
	}
	if a == "" || b == "" || a[0] == '-' || b[0] == '-' {
		return rule == diffHelloTwice && a != "" && b != "" && a[0] == b[0]
	}
	x, y := diffParse(a), diffParse(b)
	switch rule {
	case diffUnordered:
		return x.head() == y.head() && slices.Equal(x.sorted(1), y.sorted(1))
	case diffPairs:
		return x.head() == y.head() && slices.Equal(x.sorted(2), y.sorted(2))
	case diffShape:
		return diffAlike(x, y, func(p, q *diffReply) bool { return true })
	case diffCount:
		return x.head() == y.head()
	case diffNear:
		return diffAlike(x, y, func(p, q *diffReply) bool {
			return p.text == q.text || p.kind == ':' && diffClose(p.text, q.text)
		})
	case diffIdle:
		x.mask()
		y.mask()
		return diffAlike(x, y, func(p, q *diffReply) bool { return p.text == q.text })
	case diffPayload:
		// What is in a hash table is written in the table's order, and a
		// consumer with a time. The type and the length are the same, but for a stream whose
		// entries are sealed.
		if diffSealed() && strings.HasPrefix(x.text, "\x13") && strings.HasPrefix(y.text, "\x13") {
			return true
		}
		return x.kind == '$' && y.kind == '$' && len(x.text) == len(y.text) && x.text != "" && x.text[0] == y.text[0]
	case diffCursor:
		page := func(r *diffReply) bool {
			return r.kind == '*' && len(r.kids) == 2 && r.kids[0].kind == '$' && r.kids[1].kind == '*'
		}
		return page(x) && page(y)
	case diffHello, diffHelloTwice:
		return diffWithoutID(a) == diffWithoutID(b)
	}
	return false
}

func diffWithoutID(hello string) string {
	before, after, found := strings.Cut(hello, "$2\r\nid\r\n:")
	if !found {
		return hello
	}
	_, after, _ = strings.Cut(after, "\r\n")
	return before + "$2\r\nid\r\n:" + after
}

// diffShow quotes a reply for the log.
func diffShow(reply string) string {
	const most = 1500
	if len(reply) > most {
		reply = reply[:most/2] + " ... " + reply[len(reply)-most/2:]
	}
	return strings.ReplaceAll(strings.Trim(strconv.Quote(reply), `"`), `\r\n`, " ")
}
