package upstream

import (
	"fmt"
	"io"
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
	const total = maxFlight + 10
	var c *fakeConn
	for _, when := range []string{"connecting", "connected"} {
		o.on(func() {
			for id := range total {
				o.give(id, "SET", "k")
			}
		})
		o.eventually("the link to be full", o.k.Full)
		if when == "connecting" {
			c = f.accept()
		}
		go func() {
			io.CopyN(io.Discard, c.r, int64(total*len("*2\r\n$3\r\nSET\r\n$1\r\nk\r\n")))
			c.send(strings.Repeat("+OK\r\n", total))
		}()
		await(t, o.relieved, "relief when "+when)
		for id := range total {
			o.wantFate(id, "+OK\r\n", nil)
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
			if !o.k.Up() || o.k.in.drop {
				t.Errorf("after reply %d: up %v, dropping %v", i, o.k.Up(), o.k.in.drop)
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
	o := newOwner(t, &Target{Address: f.address(), ConnectTimeout: 100 * time.Millisecond, Timeout: 100 * time.Millisecond}, 2)
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
