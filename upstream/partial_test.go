package upstream

import (
	"fmt"
	"strings"
	"testing"
)

// until has every command answered by as many replies as it takes until one of
// them is "+end".
func (o *owner) until() {
	o.t.Helper()
	o.on(func() { o.more = func(_ *cmd, reply string) bool { return reply != "+end\r\n" } })
}

// What is sent as one command may get several replies; each comes with the
// command whose it is, and Request is that command, whatever was sent since.
func TestSeveralRepliesForOneCommand(t *testing.T) {
	f := newFake(t)
	o := newOwner(t, &Target{Address: f.address(), MaxReply: 1 << 18}, 2)
	o.until()
	c := f.accept()
	o.eventually("the connection", o.k.Up)
	var requests []string
	o.on(func() {
		more := o.more
		o.more = func(c *cmd, reply string) bool {
			requests = append(requests, string(o.k.Request()))
			return more(c, reply)
		}
	})
	o.send(1, "A a", "B b")
	c.want("A a", "B b")
	c.send("+one\r\n")
	o.wantFate(1, "+one\r\n", nil)
	o.send(3, "C c")
	c.want("C c")
	c.send("+two\r\n+end\r\n+end\r\n" + bulk(strings.Repeat("x", 1<<20)) + "+end\r\n")
	o.wantFate(1, "+two\r\n", nil)
	o.wantFate(1, "+end\r\n", nil)
	o.wantFate(2, "+end\r\n", nil)
	o.wantFate(3, "", errOversized)
	o.wantFate(3, "+end\r\n", nil)
	o.on(func() {
		if o.k.Flight() != 0 || o.k.partial {
			t.Errorf("%d in flight, partial: %v", o.k.Flight(), o.k.partial)
		}
		want := "A a|A a|A a|B b|C c|C c"
		for i, s := range requests {
			name := strings.Split(want, "|")[i]
			if s != fmt.Sprintf("*2\r\n$1\r\n%c\r\n$1\r\n%c\r\n", name[0], name[2]) {
				t.Errorf("request %d is %q", i, s)
			}
		}
	})
}

// A connection that breaks between two replies of a command is the end of it,
// once, even if it only reads: it may have run.
func TestLossBetweenReplies(t *testing.T) {
	f := newFake(t)
	o := newOwner(t, &Target{Address: f.address()}, 2)
	o.until()
	c := f.accept()
	o.send(1, "GET a", "GET b", "SET c")
	c.want("GET a", "GET b", "SET c")
	c.send("+one\r\n")
	o.wantFate(1, "+one\r\n", nil)
	c.reset()
	o.wantFate(1, "", ErrUnknown)
	o.wantFate(3, "", ErrUnknown)
	c = f.accept()
	c.want("GET b")
	c.send("+end\r\n")
	o.wantFate(2, "+end\r\n", nil)
}

// When the owner breaks the connection since replies are out of step, none of
// what came in the same piece is given to anybody.
func TestNothingAfterBreak(t *testing.T) {
	f := newFake(t)
	o := newOwner(t, &Target{Address: f.address()}, 2)
	o.on(func() {
		o.more = func(_ *cmd, reply string) bool {
			if reply == "+odd\r\n" {
				o.k.Break(errSilent)
			}
			return true
		}
	})
	c := f.accept()
	o.send(1, "SET a", "SET b")
	c.want("SET a", "SET b")
	c.send("+odd\r\n+next\r\n+end\r\n")
	o.wantFate(1, "+odd\r\n", nil)
	o.wantFate(1, "", ErrUnknown)
	o.wantFate(2, "", ErrUnknown)
	f.accept()
}

// A group of commands of which the kernel has taken a part may have run but for
// its last ones, so it is not sent again.
func TestLossWithinAGroup(t *testing.T) {
	f := newFake(t)
	o := newOwner(t, &Target{Address: f.address()}, 2)
	o.on(o.k.Groups)
	c := f.accept()
	o.eventually("the connection", o.k.Up)
	const total = 400
	for i := 0; i < total; i += 10 {
		texts := make([]string, 10)
		for j := range texts {
			texts[j] = fmt.Sprint("SET ", i+j, " ", strings.Repeat("v", 20_000+i))
		}
		o.send(i, texts...)
	}
	begun := 0 // commands of which a part went out
	o.on(func() {
		for i := range o.k.flight.n {
			if o.k.flight.at(i).start < o.k.conn.Sent() {
				begun++
			}
		}
	})
	c.reset()
	go f.accept().echo()
	for range total {
		if got := await(t, o.fates, "a fate"); (got.err == ErrUnknown) != (got.id < begun) {
			t.Errorf("command %d, of %d begun: %.50v", got.id, begun, got)
		}
	}
	if begun == 0 || begun == total {
		t.Errorf("%d of %d were begun", begun, total)
	}
}
