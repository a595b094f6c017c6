package upstream

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"net"
	"strings"
	"testing"
	"time"
)

func TestRepliesKeepTheirOrder(t *testing.T) {
	f := newFake(t)
	o := newOwner(t, &Target{Address: f.address()}, 2)
	const total = 5000
	rnd := rand.New(rand.NewPCG(1, 1))
	texts := make([]string, total)
	for i := range texts {
		texts[i] = fmt.Sprint("SET ", i, " ", strings.Repeat("x", rnd.IntN(1<<rnd.IntN(16))))
	}
	go func() {
		// Before the connection stands, and in turns of many sizes after it.
		for i := 0; i < total; {
			n := min(total-i, 1+rnd.IntN(100))
			o.send(i, texts[i:i+n]...)
			i += n
		}
	}()
	go f.accept().echo()
	for i, s := range texts {
		o.wantFate(i, bulk(s), nil)
	}
	o.on(func() {
		if o.k.Flight() != 0 || !o.k.Up() || o.k.Full() {
			t.Errorf("flight %d, up %v, full %v", o.k.Flight(), o.k.Up(), o.k.Full())
		}
	})
}

// The reply arrives in pieces, cut anywhere.
func TestReplyInPieces(t *testing.T) {
	f := newFake(t)
	o := newOwner(t, &Target{Address: f.address()}, 3)
	c := await(t, f.conns, "a connection")
	c.want("HELLO 3", "PING")
	c.send("%1\r\n+server\r\n+fake\r\n+PONG\r\n")
	replies := []string{"+OK\r\n", bulk("some\r\ntext"), "*3\r\n:1\r\n*2\r\n$1\r\na\r\n_\r\n#t\r\n", "-ERR no\r\n", "%1\r\n+a\r\n,1.5\r\n"}
	push := ">2\r\n+invalidate\r\n*1\r\n$1\r\nk\r\n"
	for i, s := range replies {
		o.send(i, "GET x")
		c.want("GET x")
		for j := range s {
			c.send(s[j : j+1])
			if j == 0 {
				o.on(func() {}) // so that they do not all arrive together
			}
		}
		o.wantFate(i, s, nil)
		c.send(push) // answers nothing
	}
	o.on(func() {
		if !o.k.Up() {
			t.Error("a push has broken the connection")
		}
	})
}

// Large parts go out by reference, in their place among the others.
func TestEndLarge(t *testing.T) {
	f := newFake(t)
	o := newOwner(t, &Target{Address: f.address()}, 2)
	large := strings.Repeat("large", 50_000)
	give := func(id int) {
		head := fmt.Sprintf("*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$%d\r\n", len(large))
		o.k.EndLarge(cmd{id, true}, []byte(head), []byte(large), []byte("\r\n"))
	}
	o.on(func() { // before it is up
		give(0)
		o.give(1, "SET", "small", "0")
	})
	c := f.accept()
	go c.echo()
	o.wantFate(0, bulk("SET k "+large), nil)
	o.wantFate(1, bulk("SET small 0"), nil)
	o.on(func() {
		o.give(2, "SET", "small", "1")
		give(3)
		give(4)
		o.give(5, "SET", "small", "2")
	})
	for id, s := range []string{"SET small 1", "SET k " + large, "SET k " + large, "SET small 2"} {
		o.wantFate(2+id, bulk(s), nil)
	}
	c.Close()
	go f.accept().echo()
	o.eventually("the next connection", o.k.Up)
	o.send(6, "SET small 3")
	o.wantFate(6, bulk("SET small 3"), nil)
}

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
	seen := map[string]bool{}
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
		if seen[s] {
			t.Errorf("command %d was sent twice", i)
		}
		if want := 0; i >= sent && o.asked[1+i] != want {
			t.Errorf("command %d was not sent, yet the owner was asked about it", i)
		}
	}
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
	c := f.accept()
	o.eventually("the connection", o.k.Up)
	o.on(func() {
		o.give(0, "SET", "before")
		o.k.Ended() // in the same turn, so nothing is written any more
		o.give(1, "SET", "after")
	})
	c = f.accept()
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
		if o.k.backoff != minBackoff || o.k.Down() {
			t.Errorf("up, with a backoff of %v, down: %v", o.k.backoff, o.k.Down())
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

// A link is full when the upstream does not take what it is given, and takes
// commands again when it has.
func TestFullByBytes(t *testing.T) {
	f := newFake(t)
	o := newOwner(t, &Target{Address: f.address()}, 2)
	c := f.accept()
	big := strings.Repeat("x", 1<<20)
	n := 0
	for full := false; !full; {
		o.send(n, "SET k "+big)
		o.on(func() { full = o.k.Full() })
		if n++; n > 200 {
			t.Fatal("never full")
		}
	}
	if len(o.relieved) > 0 {
		t.Error("relieved before it was full")
	}
	go c.echo()
	await(t, o.relieved, "relief")
	for id := range n {
		o.wantFate(id, bulk("SET k "+big), nil)
	}
	o.on(func() {
		if o.k.Full() {
			t.Error("still full")
		}
	})
}

// The same for commands without a reply, and while there is no connection.
func TestFullByCommands(t *testing.T) {
	f := newFake(t)
	o := newOwner(t, &Target{Address: f.address()}, 2)
	for _, when := range []string{"connecting", "connected"} {
		o.on(func() {
			for id := range maxFlight + 10 {
				o.give(id, "SET", "k")
			}
		})
		o.eventually("the link to be full", o.k.Full)
		if when == "connecting" {
			go f.accept().echo()
		}
		await(t, o.relieved, "relief when "+when)
		for id := range maxFlight + 10 {
			o.wantFate(id, bulk("SET k"), nil)
		}
	}
}

func TestFullThenUnreachable(t *testing.T) {
	f := newFake(t)
	o := newOwner(t, &Target{Address: f.address()}, 2)
	c := f.accept()
	o.eventually("the connection", o.k.Up)
	f.down()
	for full := false; !full; {
		o.send(0, "SET k "+strings.Repeat("x", 1<<20))
		o.on(func() { full = o.k.Full() })
	}
	c.reset()
	await(t, o.relieved, "relief")
	o.eventually("the failure", o.k.Down)
}

// Replies that are too long are dropped as they come, and those behind them
// still find their commands.
func TestOversized(t *testing.T) {
	f := newFake(t)
	const limit = 300 << 10
	o := newOwner(t, &Target{Address: f.address(), MaxReply: limit}, 3)
	c := await(t, f.conns, "a connection")
	c.want("HELLO 3", "PING")
	c.send("_\r\n+PONG\r\n")
	for i, long := range []string{
		bulk(strings.Repeat("$3\r\n", 1<<20)),
		"*1000000\r\n" + strings.Repeat(":123\r\n", 1_000_000),
		"*2\r\n" + bulk(strings.Repeat("a", 1<<20)) + bulk(strings.Repeat("+OK\r\n", 1<<18)),
		"-ERR " + strings.Repeat("long ", 1<<18) + "\r\n",
	} {
		o.send(10*i, "GET a", "GET b", "GET c", "GET d")
		c.want("GET a", "GET b", "GET c", "GET d")
		short := bulk(strings.Repeat("s", limit/2))
		push := ">2\r\n+message\r\n" + bulk(strings.Repeat("p", 1<<20))
		go c.send("+A\r\n" + long + push + short + "+D\r\n")
		o.wantFate(10*i, "+A\r\n", nil)
		o.wantFate(10*i+1, "", errOversized)
		o.wantFate(10*i+2, short, nil)
		o.wantFate(10*i+3, "+D\r\n", nil)
		o.on(func() {
			if !o.k.Up() || o.k.drop {
				t.Errorf("after reply %d: up %v, dropping %v", i, o.k.Up(), o.k.drop)
			}
		})
	}
}

// What is no reply, or no one's, ends the connection. What was answered before
// it is, and the next connection serves.
func TestBadReplies(t *testing.T) {
	for name, bad := range map[string]string{
		"malformed":     "?what\r\n",
		"length":        "$-7\r\n",
		"overflow":      "*99999999999999999999\r\n",
		"not a bulk":    "$3\r\nabcde",
		"unasked":       "+OK\r\n+OK\r\n",
		"end of output": "",
	} {
		t.Run(name, func(t *testing.T) {
			f := newFake(t)
			o := newOwner(t, &Target{Address: f.address()}, 2)
			c := f.accept()
			o.send(1, "SET a", "SET b")
			c.want("SET a", "SET b")
			c.send("+A\r\n" + bad)
			o.wantFate(1, "+A\r\n", nil)
			if bad == "" {
				c.Conn.(*net.TCPConn).CloseWrite()
			}
			if name == "unasked" {
				o.wantFate(2, "+OK\r\n", nil)
			} else {
				o.wantFate(2, "", ErrUnknown)
			}
			c = f.accept()
			o.send(3, "SET c")
			c.want("SET c")
			c.send("+C\r\n")
			o.wantFate(3, "+C\r\n", nil)
		})
	}
}

func TestGreeting(t *testing.T) {
	for _, test := range []struct {
		proto      int
		user, pass string
		commands   []string
	}{
		{2, "", "", []string{"PING"}},
		{2, "", "secret", []string{"AUTH secret", "PING"}},
		{2, "me", "secret", []string{"AUTH me secret", "PING"}},
		{3, "", "", []string{"HELLO 3", "PING"}},
		{3, "", "secret", []string{"HELLO 3 AUTH default secret", "PING"}},
		{3, "me", "secret", []string{"HELLO 3 AUTH me secret", "PING"}},
	} {
		f := newFake(t)
		o := newOwner(t, &Target{Address: f.address(), Username: test.user, Password: test.pass}, test.proto)
		// A refusal of any of them means that there is no upstream.
		for refused := range test.commands {
			c := await(t, f.conns, "a connection")
			c.want(test.commands...)
			o.send(refused, "GET x")
			for i := range test.commands {
				if i == refused {
					c.send("-WRONGPASS or so\r\n")
					break
				}
				c.send("+OK\r\n")
			}
			o.eventually("the failure", o.k.Down)
			if refused == 0 { // later ones fail with the attempt that runs
				o.wantFate(0, "", ErrUnavailable)
			} else {
				o.wantFate(refused, "", ErrUnavailable)
			}
		}
		// A server that is still loading is there.
		c := await(t, f.conns, "a connection")
		c.want(test.commands...)
		c.send(strings.Repeat("+OK\r\n", len(test.commands)-1) + "-LOADING Redis is loading\r\n")
		o.eventually("the connection", o.k.Up)
		o.send(9, "GET x")
		c.want("GET x")
		c.send("-LOADING Redis is loading\r\n")
		o.wantFate(9, "-LOADING Redis is loading\r\n", nil)
	}
}

// A server that owes a reply, or the greeting, for too long is lost.
func TestTimeout(t *testing.T) {
	t.Parallel()
	f := newFake(t)
	o := newOwner(t, &Target{Address: f.address(), Timeout: 100 * time.Millisecond}, 2)
	await(t, f.conns, "a connection").want("PING")
	o.send(0, "SET a")
	o.wantFate(0, "", ErrUnavailable)
	c := f.accept()
	o.eventually("the connection", o.k.Up)
	o.send(1, "SET b")
	o.wantFate(1, "", ErrUnknown)
	c.want("SET b")
	c = f.accept() // owes nothing, so it stays however long it is silent
	o.send(2, "SET c")
	c.want("SET c")
	c.send("+C\r\n")
	o.wantFate(2, "+C\r\n", nil)
}

// After Close the owner is told nothing more, and nobody connects again.
func TestLinkClose(t *testing.T) {
	f := newFake(t)
	o := newOwner(t, &Target{Address: f.address()}, 2)
	c := f.accept()
	o.send(0, "SET a")
	c.want("SET a")
	o.on(o.k.Close)
	if s := c.next(); s != "" {
		t.Errorf("after the close: %q", s)
	}
	o.on(func() {
		if o.k.Up() || !o.k.Down() || len(o.fates) > 0 || len(f.conns) > 0 {
			t.Errorf("up %v, down %v, %d fates, %d connections", o.k.Up(), o.k.Down(), len(o.fates), len(f.conns))
		}
	})
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
