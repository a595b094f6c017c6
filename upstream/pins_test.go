package upstream

import (
	"fmt"
	"testing"
	"time"
)

// Connections are reused by who speaks the same version, unless something may
// be left on them.
func TestPinReuse(t *testing.T) {
	f := newFake(t)
	r := newPinRig(t, &Target{Address: f.address()}, 10)
	o := r.take(2, "GET a")
	c := f.acceptPin(1)
	c.want("GET a")
	c.send("+1\r\n")
	o.want(`1: "+1\r\n"`)
	r.on(func() { r.pins.Give(o.pin) })

	second := r.take(2, "GET b")
	c.want("GET b")
	c.send("+2\r\n")
	second.want(`1: "+2\r\n"`)
	if second.pin != o.pin {
		t.Error("another connection")
	}
	o.wantNothing()

	// HELLO changes the version of the connection, and who may have it.
	second.send(2, "HELLO 3")
	r.on(func() { second.pin.Speaks(3) })
	c.want("HELLO 3")
	c.send("%0\r\n")
	second.want(`2: "%0\r\n"`)
	r.on(func() { r.pins.Give(second.pin) })
	third := r.take(3)
	if third.pin != o.pin {
		t.Error("another connection for RESP3")
	}

	for name, soil := range map[string]func(p *Pin[cmd]){
		"spoiled":    func(p *Pin[cmd]) { p.Spoil() },
		"in flight":  func(p *Pin[cmd]) { p.End([]byte("*1\r\n$1\r\nX\r\n"), cmd{}) },
		"broken":     func(p *Pin[cmd]) { p.Break(nil) },
		"not opened": func(p *Pin[cmd]) { p.state = stateOpening },
	} {
		o := r.take(2)
		c := f.acceptPin(2)
		r.eventually("the connection", func() bool { return o.pin.ID() == 2 })
		r.on(func() {
			soil(o.pin)
			r.pins.Give(o.pin)
			if p := r.pins.Take(2, o); p == o.pin {
				t.Errorf("%s, and given to somebody else", name)
			} else {
				p.Close()
			}
		})
		for c.next() != "" {
		}
		await(t, f.conns, "the connection that was closed at once").Close()
		o.wantNothing()
	}
	r.wantOpen(1)
}

// What the server closes, or sends unasked, in the pool is not given to
// anybody.
func TestPinsInThePoolEnd(t *testing.T) {
	f := newFake(t)
	r := newPinRig(t, &Target{Address: f.address()}, 10)
	for _, end := range []func(c *fakeConn){
		func(c *fakeConn) { c.Close() },
		func(c *fakeConn) { c.reset() },
		func(c *fakeConn) { c.send("+surprise\r\n") },
	} {
		o := r.take(2)
		c := f.acceptPin(1)
		r.eventually("the connection", func() bool { return o.pin.ID() == 1 })
		r.on(func() { r.pins.Give(o.pin) })
		end(c)
		r.wantOpen(0)
		o.wantNothing()
	}
	// In the very turn in which it ends:
	o := r.take(2)
	f.acceptPin(1)
	r.eventually("the connection", func() bool { return o.pin.ID() == 1 })
	r.on(func() {
		r.pins.Give(o.pin)
		o.pin.Ended()
		if r.pins.Take(2, o) == o.pin {
			t.Error("a closed connection was given to somebody")
		}
	})
	f.acceptPin(2)
	r.wantOpen(1)
}

func TestPinsLimit(t *testing.T) {
	f := newFake(t)
	r := newPinRig(t, &Target{Address: f.address()}, 2)
	a, b := r.take(2), r.take(2)
	f.acceptPin(1)
	f.acceptPin(1)
	if none := r.take(2); none.pin != nil {
		t.Fatal("more than the limit")
	}
	r.eventually("the connections", func() bool { return a.pin.ID() == 1 && b.pin.ID() == 1 })
	r.on(func() { r.pins.Give(a.pin) })
	// One in the other version makes room for it.
	c := r.take(3)
	if c.pin == nil || c.pin == a.pin {
		t.Fatal("no room was made")
	}
	if none := r.take(3); none.pin != nil {
		t.Error("more than the limit")
	}
	r.wantOpen(2)
	room := true
	r.on(func() {
		r.pins.Limit, r.pins.Room = 10, func() bool { return room }
		room = false
	})
	if none := r.take(2); none.pin != nil {
		t.Error("where there is no room")
	}
}

// Only some connections are opened at a time; those that are closed meanwhile
// are not opened at all.
func TestPinsDialQueue(t *testing.T) {
	f := newFake(t)
	const total, closed = 3 * maxDialing, 10
	r := newPinRig(t, &Target{Address: f.address()}, total)
	owners := make([]*pinOwner, total)
	most := 0
	r.on(func() {
		r.l.BeforeWrite(func() { most = max(most, r.pins.dialing) })
		for i := range owners {
			o := &pinOwner{r: r, lines: make(chan string, 4)}
			o.pin = r.pins.Take(2, o)
			o.give(i, "GET", fmt.Sprint(i))
			owners[i] = o
		}
		for _, o := range owners[total-closed:] {
			o.pin.Close()
		}
		if r.pins.dialing != maxDialing || r.pins.Open() != total-closed {
			t.Errorf("%d at a time, %d open", r.pins.dialing, r.pins.Open())
		}
	})
	for range total - closed {
		c := f.acceptPin(1)
		go c.echo()
	}
	for i, o := range owners[:total-closed] {
		s := fmt.Sprint("GET ", i)
		o.want(fmt.Sprintf("%d: %q", i, bulk(s)))
	}
	r.on(func() {
		if r.pins.dialing != 0 || len(r.pins.queue) != 0 || most > maxDialing {
			t.Errorf("%d being opened, %d waiting, %d at most", r.pins.dialing, len(r.pins.queue), most)
		}
	})
	for _, o := range owners[total-closed:] {
		o.wantNothing()
	}
}

// Connections that nobody needs are closed after a while, the oldest first, and
// sooner if there are many.
func TestPinsExpire(t *testing.T) {
	f := newFake(t)
	const total = fewIdle + 4
	r := newPinRig(t, &Target{Address: f.address()}, total)
	owners := make([]*pinOwner, total)
	for i := range owners {
		owners[i] = r.take(2)
		f.acceptPin(1)
	}
	r.eventually("the connections", func() bool {
		for _, o := range owners {
			if o.pin.ID() != 1 {
				return false
			}
		}
		return true
	})
	r.on(func() {
		for _, o := range owners {
			r.pins.Give(o.pin)
		}
		for _, c := range []struct {
			age  time.Duration
			left int
		}{{spareTime / 2, total}, {2 * spareTime, fewIdle}, {2 * idleTime, 0}} {
			for _, o := range owners {
				o.pin.since = r.pins.loop.Now() - int64(c.age)
			}
			r.pins.expire()
			if r.pins.Open() != c.left || len(r.pins.idle[0]) != c.left {
				t.Errorf("after %v there are %d, and %d in the pool, not %d", c.age, r.pins.Open(), len(r.pins.idle[0]), c.left)
			}
		}
	})
}
