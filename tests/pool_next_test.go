package tests

import (
	"errors"
	"fmt"
	"strings"

	"riptide-proxy/tests/harness"
)

// poolClient is a client that checks every byte it gets.
type poolClient struct {
	*harness.Conn
	err error // the first thing that went wrong; nothing is done after it
}

func (c *poolClient) send(words ...string) {
	if c.err == nil {
		c.err = c.Send(words...)
	}
}

// hears reads one frame for each that is wanted.
func (c *poolClient) hears(after string, want ...string) {
	for _, w := range want {
		if c.err != nil {
			return
		}
		if got, err := c.Reply(); err != nil || got != w {
			c.err = fmt.Errorf("after %s: %q, %v; want %q", after, got, err, w)
		}
	}
}

func (c *poolClient) does(call string, want ...string) {
	c.send(strings.Fields(call)...)
	c.hears(call, want...)
}

func poolBulks(words ...string) string {
	var b strings.Builder
	for _, w := range words {
		fmt.Fprintf(&b, "$%d\r\n%s\r\n", len(w), w)
	}
	return b.String()
}

// poolCrowded are the numbers of clients that others of their tenant are beside.
const poolCrowded = 100

// next has four clients of a tenant do what needs connections of their own, all
// at once, and returns the first thing that is not as on fresh connections.
func (r *poolRig) next(tenant harness.Tenant, id int) error {
	var clients [4]*poolClient
	for i := range clients {
		c, err := r.connect(tenant)
		if err != nil {
			return err
		}
		defer c.Close()
		clients[i] = &poolClient{Conn: c}
	}
	p := fmt.Sprintf("%s-next%d-", tenant.ID, id)
	for _, part := range []func(p string, id int, a, b, c, e *poolClient){poolTransactions, poolBlocking, poolListening, poolTracking, poolLast} {
		part(p, id, clients[0], clients[1], clients[2], clients[3])
		var all error // one that went wrong leads to others
		for i, c := range clients {
			if c.err != nil {
				all = errors.Join(all, fmt.Errorf("client %d: %w", i, c.err))
			}
		}
		if all != nil {
			return all
		}
	}
	return nil
}

// poolTransactions has all in a transaction at once; the last speaks RESP3.
func poolTransactions(p string, _ int, a, b, c, e *poolClient) {
	e.send("HELLO", "3")
	if reply, err := e.Reply(); err != nil || !strings.HasPrefix(reply, "%7\r\n") {
		e.err = fmt.Errorf("HELLO: %q, %v", reply, err)
		return
	}
	all := []*poolClient{a, b, c, e}
	b.does("DEL "+p+"h "+p+"w "+p+"n "+p+"l "+p+"t", ":0\r\n")
	for _, x := range all {
		x.does("MULTI", "+OK\r\n")
	}
	for i, x := range all {
		x.does(fmt.Sprintf("SET %s%d value%d", p, i, i), "+QUEUED\r\n")
		x.does("HSET "+p+"h f v", "+QUEUED\r\n")
		x.does("HGETALL "+p+"h", "+QUEUED\r\n")
		x.does("GET "+p+"none", "+QUEUED\r\n")
	}
	for i, x := range all {
		hash, null := "*2\r\n", "$-1\r\n"
		if x == e {
			hash, null = "%1\r\n", "_\r\n"
		}
		added := 0
		if i == 0 {
			added = 1
		}
		x.does("EXEC", fmt.Sprintf("*4\r\n+OK\r\n:%d\r\n%s%s%s", added, hash, poolBulks("f", "v"), null))
	}
	for i := range all { // the database is the one that everybody begins with
		b.does(fmt.Sprintf("GET %s%d", p, i), poolBulks(fmt.Sprintf("value%d", i)))
	}
	// What somebody before has watched is changed; it was not these who did.
	a.does("WATCH "+p+"w", "+OK\r\n")
	for _, key := range []string{"acme-w", "globex-k", "acme-k"} {
		b.does("SET "+key+" changed", "+OK\r\n")
	}
	a.does("MULTI", "+OK\r\n")
	a.does("INCR "+p+"n", "+QUEUED\r\n")
	a.does("EXEC", "*1\r\n:1\r\n")
	a.does("EXEC", "-ERR EXEC without MULTI\r\n")
	a.does("WATCH "+p+"w", "+OK\r\n")
	b.does("SET "+p+"w changed", "+OK\r\n")
	a.does("MULTI", "+OK\r\n")
	a.does("EXEC", "*-1\r\n")
	b.does(fmt.Sprintf("DEL %s0 %s1 %s2 %s3 %sh %sw %sn", p, p, p, p, p, p, p), ":7\r\n")
}

// poolBlocking ends with blocking in vain, which takes up to a tenth of a second
// and is left out for clients of even numbers.
func poolBlocking(p string, id int, a, b, c, e *poolClient) {
	for i, x := range []*poolClient{a, c, e} {
		l := fmt.Sprint(p, "l", i)
		x.send("BLPOP", l, "0")
		b.does("RPUSH "+l+" element", ":1\r\n")
		x.hears("BLPOP", "*2\r\n"+poolBulks(l, "element"))
		b.does("LLEN "+l, ":0\r\n")
	}
	if id%2 == 0 {
		return
	}
	for _, x := range []*poolClient{a, e} {
		x.send("BLPOP", p+"l", "0.01")
	}
	a.hears("BLPOP in vain", "*-1\r\n")
	e.hears("BLPOP in vain", "_\r\n")
}

func poolListening(p string, id int, _, b, c, e *poolClient) {
	ch := p + "ch"
	for _, x := range []struct {
		c    *poolClient
		kind string
	}{{c, "*"}, {e, ">"}} {
		said := func(n int, kind string, rest string) string {
			return fmt.Sprintf("%s%d\r\n", x.kind, n) + poolBulks(kind) + rest
		}
		x.c.does("SUBSCRIBE "+ch, said(3, "subscribe", poolBulks(ch)+":1\r\n"))
		x.c.does("PSUBSCRIBE "+p+"c?", said(3, "psubscribe", poolBulks(p+"c?")+":2\r\n"))
		x.c.does("SSUBSCRIBE "+ch, said(3, "ssubscribe", poolBulks(ch)+":1\r\n"))
		counts := []string{":2\r\n", ":1\r\n"}
		for i, call := range []string{"PUBLISH " + ch + " hi", "SPUBLISH " + ch + " hi"} {
			if id < poolCrowded {
				b.does(call, counts[i])
				continue
			}
			// Somebody of the crowd may listen to everything.
			b.send(strings.Fields(call)...)
			reply, err := b.Reply()
			var got, least int
			fmt.Sscanf(reply, ":%d", &got)
			fmt.Sscanf(counts[i], ":%d", &least)
			if err != nil || got < least {
				b.err = fmt.Errorf("%s: %q, %v", call, reply, err)
			}
		}
		x.c.hears("PUBLISH", said(3, "message", poolBulks(ch, "hi")), said(4, "pmessage", poolBulks(p+"c?", ch, "hi")), said(3, "smessage", poolBulks(ch, "hi")))
		for _, stray := range []string{"PUBLISH news stray", "SPUBLISH news stray", "PUBLISH none stray"} {
			b.send(strings.Fields(stray)...)
			if reply, err := b.Reply(); err != nil || reply[0] != ':' {
				b.err = fmt.Errorf("%s: %q, %v", stray, reply, err)
			}
		}
		if x.kind == "*" {
			x.c.does("PING", "*2\r\n"+poolBulks("pong", ""))
		} else {
			x.c.does("PING", "+PONG\r\n")
		}
		x.c.does("UNSUBSCRIBE", said(3, "unsubscribe", poolBulks(ch)+":1\r\n"))
		x.c.does("PUNSUBSCRIBE", said(3, "punsubscribe", poolBulks(p+"c?")+":0\r\n"))
		x.c.does("SUNSUBSCRIBE", said(3, "sunsubscribe", poolBulks(ch)+":0\r\n"))
		x.c.does("PING", "+PONG\r\n")
	}
}

func poolTracking(p string, _ int, _, b, _, e *poolClient) {
	off := "%3\r\n" + poolBulks("flags") + "~1\r\n" + poolBulks("off") + poolBulks("redirect") + ":-1\r\n" + poolBulks("prefixes")
	on := strings.Replace(strings.Replace(off, poolBulks("off"), poolBulks("on"), 1), ":-1", ":0", 1)
	e.does("CLIENT TRACKINGINFO", off+"*0\r\n")
	e.does("CLIENT TRACKING ON", "+OK\r\n")
	e.does("CLIENT TRACKINGINFO", on+"*0\r\n")
	e.does("GET "+p+"t", "_\r\n")
	b.does("SET "+p+"t 1", "+OK\r\n")
	e.hears("SET", ">2\r\n"+poolBulks("invalidate")+"*1\r\n"+poolBulks(p+"t"))
	for _, key := range []string{"acme-k", "globex-k", "acme-w", p + "t"} { // what somebody before has read, or all
		b.does("SET "+key+" stray", "+OK\r\n")
	}
	e.does("ECHO quiet", poolBulks("quiet"))
	e.does("CLIENT TRACKING OFF", "+OK\r\n")
	b.does("DEL "+p+"t", ":1\r\n")
}

// poolLast is what is left in the end: nothing.
func poolLast(p string, _ int, a, b, c, e *poolClient) {
	script := "return{KEYS[1],redis.call('incr',KEYS[1])}"
	for i, x := range []*poolClient{a, b, c, e} {
		null := "$-1\r\n"
		if x == e {
			null = "_\r\n"
		}
		x.does("CLIENT GETNAME", null)
		x.does("EVAL "+script+" 1 "+p+"e", "*2\r\n"+poolBulks(p+"e")+fmt.Sprintf(":%d\r\n", i+1))
		x.does("GET "+p+"none", null)
	}
	b.does("DEL "+p+"e", ":1\r\n")
	for _, x := range []*poolClient{a, b, c, e} {
		x.does("ECHO last", poolBulks("last"))
	}
}
