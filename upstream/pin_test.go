package upstream

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

const (
	unavailable = "UNAVAILABLE the upstream does not answer"
	unknownFate = "UNKNOWN connection to the upstream was lost, the command may have run"
)

// The greeting logs in and asks for the connection's number; what was given
// before it is answered is sent after it.
func TestPinGreeting(t *testing.T) {
	for _, c := range []struct {
		user, password string
		proto          int
		login          string
	}{
		{"", "", 2, ""},
		{"", "secret", 2, "AUTH secret"},
		{"u", "secret", 2, "AUTH u secret"},
		{"", "", 3, "HELLO 3"},
		{"u", "secret", 3, "HELLO 3 AUTH u secret"},
	} {
		f := newFake(t)
		r := newPinRig(t, &Target{Address: f.address(), Username: c.user, Password: c.password}, 10)
		o := r.take(c.proto, "GET a", "GET b")
		conn := await(t, f.conns, "a connection")
		if c.login != "" {
			conn.want(c.login)
			conn.send("+OK\r\n")
		}
		conn.want("CLIENT ID")
		o.wantNothing()
		conn.send(":77\r\n")
		conn.want("GET a", "GET b")
		conn.send("+1\r\n+2\r\n")
		o.want(`1: "+1\r\n"`, `2: "+2\r\n"`)
		r.on(func() {
			if o.pin.ID() != 77 || o.pin.Proto() != c.proto || o.pin.Flight() != 0 || o.pin.Full() {
				t.Errorf("%+v: number %d, version %d, %d in flight", c, o.pin.ID(), o.pin.Proto(), o.pin.Flight())
			}
		})
	}
}

// A greeting that is refused is the fate of all that waited; one that fails
// since the server is busy is not, but others are not given the connection.
func TestPinGreetingRefused(t *testing.T) {
	for _, c := range []struct {
		reply string
		lines []string
		again bool
	}{
		{reply: "-ERR max number of clients reached\r\n", lines: []string{
			"1: UNAVAILABLE the upstream refused a connection: ERR max number of clients reached",
			"2: UNAVAILABLE the upstream refused a connection: ERR max number of clients reached", "lost"}},
		{reply: "-NOAUTH no\r\n", lines: []string{
			"1: UNAVAILABLE the upstream refused a connection: NOAUTH no", "2: UNAVAILABLE the upstream refused a connection: NOAUTH no", "lost"}},
		{reply: "what", lines: []string{"1: " + unavailable, "2: " + unavailable, "lost"}},
		{reply: "-BUSY a script\r\n"},
		{reply: "-ERR unknown command 'CLIENT'\r\n", again: true}, // some servers do not have it
	} {
		f := newFake(t)
		r := newPinRig(t, &Target{Address: f.address()}, 10)
		o := r.take(2, "GET a", "GET b")
		conn := await(t, f.conns, "a connection")
		conn.want("CLIENT ID")
		conn.send(c.reply)
		if c.lines != nil {
			o.want(c.lines...)
			conn.wantEnd()
			r.wantOpen(0)
			continue
		}
		conn.want("GET a", "GET b")
		conn.send("+1\r\n+2\r\n")
		o.want(`1: "+1\r\n"`, `2: "+2\r\n"`)
		r.on(func() { r.pins.Give(o.pin) })
		if !c.again {
			conn.wantEnd()
			r.wantOpen(0)
		}
	}
}

// Where a connection breaks decides what becomes of each command.
func TestPinLoss(t *testing.T) {
	t.Run("nobody listens", func(t *testing.T) {
		f := newFake(t)
		f.down()
		r := newPinRig(t, &Target{Address: f.address()}, 10)
		r.take(2, "GET a", "SET b").want("1: "+unavailable, "2: "+unavailable, "lost")
		r.wantOpen(0)
	})
	t.Run("before the greeting is answered", func(t *testing.T) {
		f := newFake(t)
		r := newPinRig(t, &Target{Address: f.address()}, 10)
		o := r.take(2, "GET a")
		await(t, f.conns, "a connection").reset()
		o.want("1: "+unavailable, "lost")
		r.wantOpen(0)
	})
	t.Run("after sending", func(t *testing.T) {
		f := newFake(t)
		r := newPinRig(t, &Target{Address: f.address()}, 10)
		o := r.take(2, "GET a", "GET b", "SET c")
		c := f.acceptPin(1)
		c.want("GET a", "GET b", "SET c")
		c.send("+1\r\n")
		o.want(`1: "+1\r\n"`)
		c.reset()
		o.want("2: "+unknownFate, "3: "+unknownFate, "lost")
		r.wantOpen(0)
	})
	t.Run("in the middle of sending", func(t *testing.T) {
		f := newFake(t)
		r := newPinRig(t, &Target{Address: f.address()}, 10)
		o := r.take(2)
		c := f.acceptPin(1)
		n := 0
		r.eventually("the buffers are full", func() bool {
			for range 10 {
				n++
				o.give(n, "SET", "k", strings.Repeat("v", 50_000))
			}
			return o.pin.conn != nil && o.pin.conn.Unsent() > 1<<20
		})
		sent := 0 // of which something went out
		r.on(func() {
			for i := range o.pin.flight.n {
				if o.pin.base+o.pin.flight.at(i).start < o.pin.conn.Sent() {
					sent++
				}
			}
		})
		c.reset()
		for id := 1; id <= n; id++ {
			want := unavailable
			if id <= sent {
				want = unknownFate
			}
			o.want(fmt.Sprintf("%d: %s", id, want))
		}
		o.want("lost")
		if sent == 0 || sent == n {
			t.Errorf("%d of %d went out", sent, n)
		}
	})
	t.Run("the proxy itself breaks it", func(t *testing.T) {
		f := newFake(t)
		r := newPinRig(t, &Target{Address: f.address()}, 10)
		o := r.take(2, "A", "B", "C")
		o.calls(func(line string) {
			if line == `1: "+1\r\n"` {
				o.pin.Break(errSilent)
			}
		})
		c := f.acceptPin(1)
		c.want("A", "B", "C")
		c.send("+1\r\n+2\r\n+3\r\n") // in one piece: what follows the first is not to be trusted
		o.want(`1: "+1\r\n"`, "2: "+unknownFate, "3: "+unknownFate, "lost")
	})
	t.Run("a reply that nobody asked for", func(t *testing.T) {
		f := newFake(t)
		r := newPinRig(t, &Target{Address: f.address()}, 10)
		o := r.take(2)
		f.acceptPin(1).send("+1\r\n")
		o.want("lost")
		r.wantOpen(0)
	})
}

// A server that accepts and does not greet, and one that connections wait in
// line for, are given up.
func TestPinOpensTooLong(t *testing.T) {
	f := newFake(t)
	r := newPinRig(t, &Target{Address: f.address(), ConnectTimeout: 20 * time.Millisecond, Timeout: 20 * time.Millisecond}, 10)
	r.take(2, "GET a").want("1: "+unavailable, "lost")
	r.on(func() { r.pins.dialing = maxDialing })
	waits := r.take(2, "GET b")
	waits.want("1: "+unavailable, "lost")
	r.wantOpen(0)
	r.on(func() { r.pins.dialing = 0 })
}

// Closing tells the owner nothing, at any point.
func TestPinClose(t *testing.T) {
	f := newFake(t)
	r := newPinRig(t, &Target{Address: f.address()}, 10)
	dialing := &pinOwner{r: r, lines: make(chan string, 8)}
	r.on(func() { // within one turn of the loop: it can not have been greeted yet
		dialing.pin = r.pins.Take(2, dialing)
		dialing.give(1, "GET", "a")
		dialing.pin.Close()
		dialing.pin.Close()
	})
	r.wantOpen(0)
	r.eventually("no dialing", func() bool { return r.pins.dialing == 0 })
	await(t, f.conns, "the connection").wantEnd()

	greeting := r.take(2, "GET a")
	c := await(t, f.conns, "a connection")
	c.want("CLIENT ID")
	r.on(func() { greeting.pin.Close() })
	c.wantEnd()

	up := r.take(2, "GET a", "GET b")
	up.calls(func(string) { up.pin.Close() }) // from within a reply
	c = f.acceptPin(1)
	c.want("GET a", "GET b")
	c.send("+1\r\n+2\r\n")
	up.want(`1: "+1\r\n"`)
	c.wantEnd()
	r.wantOpen(0)
	for _, o := range []*pinOwner{dialing, greeting, up} {
		o.wantNothing()
	}
}

// Messages come between replies and answer nothing.
func TestPinMessages(t *testing.T) {
	f := newFake(t)
	r := newPinRig(t, &Target{Address: f.address(), MaxReply: 1 << 18}, 10)
	o := r.take(2, "A", "B", "C", "D")
	c := f.acceptPin(1)
	c.want("A", "B", "C", "D")
	long := strings.Repeat("x", 1<<20) // more than is read at once
	c.send(">1\r\n+x\r\n" + "+1\r\n" + "*2\r\n+message\r\n:1\r\n" + "+2\r\n" + bulk(long) + ">2\r\n+x\r\n" + bulk(long) + "+4\r\n")
	o.want(`message ">1\r\n+x\r\n"`, `1: "+1\r\n"`, `message "*2\r\n+message\r\n:1\r\n"`, `2: "+2\r\n"`, "3: oversized", `4: "+4\r\n"`)
	// Also while nothing is asked, and cut anywhere.
	for _, b := range ">1\r\n+y\r\n" {
		c.send(string(b))
		r.on(func() {})
	}
	o.want(`message ">1\r\n+y\r\n"`)
	r.on(func() {
		if o.pin.Oldest() != nil || o.pin.Skip() != nil {
			t.Error("something is in flight")
		}
	})
	o.send(5, "E", "F")
	c.want("E", "F")
	r.on(func() {
		if id := o.pin.Oldest().id; id != 5 {
			t.Errorf("the oldest is %d", id)
		}
		if id := o.pin.Skip().id; id != 5 {
			t.Errorf("skipped %d", id)
		}
	})
	c.send("+6\r\n")
	o.want(`6: "+6\r\n"`)
	o.wantNothing()
}

// A pin on pause tells nothing, and then all of it.
func TestPinPause(t *testing.T) {
	f := newFake(t)
	r := newPinRig(t, &Target{Address: f.address()}, 10)
	o := r.take(2)
	behind := make(chan int, 10)
	o.calls(func(string) {
		behind <- o.pin.Behind()
		o.pin.Pause()
	})
	c := f.acceptPin(1)
	c.send(">1\r\n+1\r\n>1\r\n+2\r\n")
	o.want(`message ">1\r\n+1\r\n"`)
	if n := await(t, behind, "the first"); n != len(">1\r\n+2\r\n") {
		t.Errorf("%d bytes are behind the first", n)
	}
	o.wantNothing()
	r.on(func() { o.pin.Resume() })
	o.want(`message ">1\r\n+2\r\n"`)
	if n := await(t, behind, "the second"); n != 0 {
		t.Errorf("%d bytes are behind the second", n)
	}
}

// A server that takes nothing makes the pin full, before it is connected as
// well, and tells when that is over.
func TestPinFull(t *testing.T) {
	f := newFake(t)
	r := newPinRig(t, &Target{Address: f.address()}, 10)
	o := r.take(2)
	value := strings.Repeat("v", 100_000)
	n := 0
	r.on(func() {
		for !o.pin.Full() {
			n++
			o.give(n, "SET", "k", value)
		}
		if len(o.pin.waiting) < highMark {
			t.Errorf("full with %d bytes", len(o.pin.waiting))
		}
	})
	c := f.acceptPin(1)
	go c.echo()
	relieved := 0
	for i := 1; i <= n; {
		line := await(t, o.lines, "a reply")
		if line == "relieved" {
			relieved++
			continue
		}
		if want := fmt.Sprint(i, ": "); !strings.HasPrefix(line, want) {
			t.Fatalf("%.50s, want %s", line, want)
		}
		i++
	}
	r.on(func() {
		if relieved+len(o.lines) != 1 || o.pin.Full() {
			t.Errorf("relieved %d times, full: %v", relieved, o.pin.Full())
		}
	})
}
