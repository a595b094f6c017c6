package upstream

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"time"
)

// TestLoss breaks a connection that has taken a part of the commands: what the
// kernel had all of is lost or may be asked again, what it had not all of is
// sent on the next connection, and nothing comes twice.
func TestLoss(t *testing.T) {
	f := newFake(t)
	o := newOwner(t, &Target{Address: f.address()}, 2)
	c := f.accept()
	o.eventually("the connection", o.k.Up)
	o.send(0, "SET first 1")
	c.want("SET first 1")
	c.send("+OK\r\n")
	o.wantFate(0, "+OK\r\n", nil)

	// The server reads no more, and the buffers fill.
	const total = 400
	texts := make([]string, total)
	for i := range texts {
		name := "SET"
		if i%3 == 0 {
			name = "GET"
		}
		texts[i] = fmt.Sprint(name, " ", i, " ", strings.Repeat("v", 20_000+i))
	}
	for i := 0; i < total; i += 10 {
		o.send(1+i, texts[i:i+10]...)
	}
	sent := 0 // commands that went out whole
	o.on(func() {
		if o.k.conn.Unsent() == 0 {
			t.Fatal("the buffers took everything")
		}
		for i := range o.k.flight.n - 1 {
			if o.k.flight.at(i+1).start <= o.k.conn.Sent() {
				sent++
			}
		}
	})
	c.reset()
	c = f.accept()
	go c.echo()
	fates := map[int]fate{}
	for range total {
		got := await(t, o.fates, "a fate")
		if _, twice := fates[got.id]; twice {
			t.Fatalf("command %d has two fates", got.id)
		}
		fates[got.id] = got
	}
	for i, s := range texts {
		got := fates[1+i]
		if lost := i < sent && s[0] == 'S'; lost && got.err != ErrUnknown {
			t.Errorf("write %d of %d sent: %.50v", i, sent, got)
		} else if !lost && (got.err != nil || got.reply != bulk(s)) {
			t.Errorf("command %d, of %d sent: %.50v", i, sent, got)
		}
	}
	o.on(func() {
		for i := range texts {
			if asked := o.asked[1+i]; i < sent && asked != 1 || i >= sent && asked != 0 {
				t.Errorf("the owner was asked %d times about command %d, of %d sent", asked, i, sent)
			}
		}
		if len(o.fates) > 0 || o.k.Flight() > 0 {
			t.Errorf("%d fates too many, %d commands in flight", len(o.fates), o.k.Flight())
		}
	})
	if sent == 0 || sent == total {
		t.Errorf("%d of %d commands went out", sent, total)
	}
}

// What only reads is sent once more, and then not again.
func TestReadIsRetriedOnce(t *testing.T) {
	f := newFake(t)
	o := newOwner(t, &Target{Address: f.address()}, 2)
	c := f.accept()
	o.send(1, "GET a", "SET b", "GET c")
	c.want("GET a", "SET b", "GET c")
	c.Close()
	o.wantFate(2, "", ErrUnknown)
	c = f.accept()
	c.want("GET a", "GET c")
	c.send("+A\r\n")
	o.wantFate(1, "+A\r\n", nil)
	c.reset()
	o.wantFate(3, "", ErrUnknown)
	c = f.accept()
	o.send(4, "SET d")
	c.want("SET d")
	c.send("+D\r\n")
	o.wantFate(4, "+D\r\n", nil)
}

// What is given between the loss and the next connection waits for it.
func TestCommandsWaitForTheNextConnection(t *testing.T) {
	f := newFake(t)
	o := newOwner(t, &Target{Address: f.address()}, 2)
	f.accept()
	o.eventually("the connection", o.k.Up)
	o.on(func() {
		o.give(0, "SET", "before")
		o.k.Ended() // in the same turn, so nothing is written any more
		o.give(1, "SET", "after")
	})
	c := f.accept()
	c.want("SET before", "SET after")
	c.send("+0\r\n+1\r\n")
	o.wantFate(0, "+0\r\n", nil)
	o.wantFate(1, "+1\r\n", nil)
}

// Nobody listens: commands fail at once, reconnecting goes on at intervals
// that stay short, and a server that has come back is found within a second.
func TestUnavailable(t *testing.T) {
	f := newFake(t)
	f.down()
	o := newOwner(t, &Target{Address: f.address()}, 2)
	o.send(0, "GET a", "SET b") // while the first attempt runs, or after it
	o.eventually("the failure", o.k.Down)
	for id := range 2 {
		got := <-o.fates
		if got.id != id || got.err != ErrUnavailable {
			t.Errorf("%v", got)
		}
	}
	o.eventually("the longest interval", func() bool { return o.k.backoff == maxBackoff && o.k.Down() })
	f.up()
	begin := time.Now()
	c := f.accept()
	o.eventually("the connection", o.k.Up)
	if d := time.Since(begin); d > time.Second {
		t.Errorf("found after %v", d)
	}
	o.on(func() {
		if o.k.Down() {
			t.Error("up and down")
		}
	})
	// Lost for longer: what waits fails when the next attempt does.
	o.send(2, "SET c")
	c.want("SET c")
	f.down()
	o.on(func() {})
	c.reset()
	o.wantFate(2, "", ErrUnknown)
	o.eventually("the failure", o.k.Down)
}

// A command whose large part was given after the connection had broken was
// never sent, and is not lost.
func TestEndLargeAfterTheBreak(t *testing.T) {
	f := newFake(t)
	o := newOwner(t, &Target{Address: f.address()}, 2)
	f.accept()
	o.eventually("the connection", o.k.Up)
	large := bytes.Repeat([]byte("l"), 10_000)
	o.on(func() {
		o.k.Ended()
		o.k.EndLarge(cmd{1, false}, []byte("*2\r\n$3\r\nSET\r\n$10000\r\n"), large, []byte("\r\n"))
		o.give(2, "SET", "b")
	})
	go f.accept().echo()
	o.wantFate(1, bulk("SET "+string(large)), nil)
	o.wantFate(2, bulk("SET b"), nil)
}

// A server that answers before it has read the commands gets them unharmed.
func TestEarlyReplies(t *testing.T) {
	f := newFake(t)
	o := newOwner(t, &Target{Address: f.address()}, 2)
	c := f.accept()
	o.eventually("the connection", o.k.Up)
	n, text := 0, func(id int) string { return fmt.Sprint("SET ", id, " ", strings.Repeat(fmt.Sprint(id%10), 1000)) }
	for waits := false; !waits; {
		o.on(func() {
			for range 500 {
				o.give(n, strings.Split(text(n), " ")...)
				n++
			}
		})
		o.on(func() { waits = o.k.conn.Unsent() > 300_000 })
	}
	c.send(strings.Repeat("+OK\r\n", n))
	for id := range n {
		o.wantFate(id, "+OK\r\n", nil)
	}
	o.on(func() {
		for range 500 {
			o.give(n, strings.Split(text(n), " ")...)
			n++
		}
	})
	for id := range n {
		c.want(text(id))
	}
}
