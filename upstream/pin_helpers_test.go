package upstream

import (
	"fmt"
	"strings"
	"testing"

	"riptide-proxy/resp"
)

// pinRig is a loop with a pool of pins.
type pinRig struct {
	*owner
	pins *Pins[cmd]
}

func newPinRig(t testing.TB, target *Target, limit int) *pinRig {
	t.Helper()
	l := newLoop(t, target)
	r := &pinRig{owner: &owner{l: l, t: t}, pins: NewPins[cmd](l, target, limit)}
	run(t, l, func() { r.pins.Close() })
	return r
}

// pinOwner writes down what it is told, a line each.
type pinOwner struct {
	r     *pinRig
	pin   *Pin[cmd]
	lines chan string
	hook  func(line string)
}

func (o *pinOwner) note(format string, args ...any) {
	line := fmt.Sprintf(format, args...)
	o.lines <- line
	if o.hook != nil {
		o.hook(line)
	}
}

// Answers takes what has "message" in it for one, as subscribers of RESP2 do.
func (o *pinOwner) Answers(b []byte, push bool) bool {
	return !push && !strings.Contains(string(b), "message")
}
func (o *pinOwner) Message(b []byte)         { o.note("message %q", b) }
func (o *pinOwner) Reply(c *cmd, b []byte)   { o.note("%d: %q", c.id, b) }
func (o *pinOwner) Oversized(c *cmd)         { o.note("%d: oversized", c.id) }
func (o *pinOwner) Failed(c *cmd, err error) { o.note("%d: %v", c.id, err) }
func (o *pinOwner) Lost(error)               { o.note("lost") }
func (o *pinOwner) Relieved()                { o.note("relieved") }
func (o *pinOwner) give(id int, args ...string) {
	o.pin.End(resp.AppendRequest(o.pin.Begin(64), args...), cmd{id: id})
}

// take takes a pin for a new owner, and gives it commands in the same turn,
// numbered from 1 on.
func (r *pinRig) take(proto int, commands ...string) *pinOwner {
	r.t.Helper()
	o := &pinOwner{r: r, lines: make(chan string, 1<<16)}
	r.on(func() {
		if o.pin = r.pins.Take(proto, o); o.pin == nil {
			return
		}
		for i, s := range commands {
			o.give(1+i, strings.Split(s, " ")...)
		}
	})
	return o
}

// calls has f called with each line, on the loop.
func (o *pinOwner) calls(f func(line string)) {
	o.r.t.Helper()
	o.r.on(func() { o.hook = f })
}

func (o *pinOwner) send(first int, commands ...string) {
	o.r.t.Helper()
	o.r.on(func() {
		for i, s := range commands {
			o.give(first+i, strings.Split(s, " ")...)
		}
	})
}

func (o *pinOwner) want(lines ...string) {
	o.r.t.Helper()
	for _, want := range lines {
		if got := await(o.r.t, o.lines, want); got != want {
			o.r.t.Fatalf("the owner was told %.200s, want %.200s", got, want)
		}
	}
}

func (o *pinOwner) wantNothing() {
	o.r.t.Helper()
	o.r.on(func() {
		if len(o.lines) > 0 {
			o.r.t.Errorf("the owner was told %s", <-o.lines)
		}
	})
}

func (r *pinRig) wantOpen(n int) {
	r.t.Helper()
	r.eventually(fmt.Sprint(n, " connections"), func() bool { return r.pins.Open() == n })
}

// acceptPin takes the next connection, and answers its greeting.
func (f *fake) acceptPin(id int) *fakeConn {
	f.t.Helper()
	c := await(f.t, f.conns, "a connection")
	c.want("CLIENT ID")
	c.send(fmt.Sprintf(":%d\r\n", id))
	return c
}

// wantEnd wants the proxy to have closed the connection.
func (c *fakeConn) wantEnd() {
	c.t.Helper()
	if got := c.next(); got != "" {
		c.t.Fatalf("the server got %.100q, want the end", got)
	}
}
