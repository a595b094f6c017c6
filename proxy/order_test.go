package proxy

import (
	"fmt"
	"math"
	"strings"
	"testing"

	"riptide-proxy/tests/harness"
)

// Local answers come between forwarded ones exactly where they were asked for.
func TestOrder(t *testing.T) {
	s, _ := startFake(t, options{})
	c := login(t, s, "acme")
	c.send(
		"PING", "SET a 1", "PING x", "GET a", "ECHO y", "NOSUCH", "GET b", "DEBUG x", "ECHO",
		"GET a", "CLIENT GETNAME", "GET a", "SELECT 99", "GET a", "PING",
	)
	c.read("+PONG\r\n" + "+OK\r\n" + "$1\r\nx\r\n" + "$1\r\n1\r\n" + "$1\r\ny\r\n" +
		"-ERR unknown command 'NOSUCH', with args beginning with: \r\n" + "$-1\r\n" +
		"-NOPERM 'debug' is not available to tenants: it reaches into the server\r\n" +
		"-ERR wrong number of arguments for 'echo' command\r\n" +
		"$1\r\n1\r\n" + "$-1\r\n" + "$1\r\n1\r\n" + "-ERR DB index is out of range\r\n" + "$1\r\n1\r\n" + "+PONG\r\n")
}

// What comes early waits: no answer overtakes one that the upstream still owes.
func TestOrderWhileTheUpstreamIsBusy(t *testing.T) {
	s, f := startFake(t, options{})
	arrived, open := f.gate("GET", "$3\r\nyes\r\n")
	c := login(t, s, "acme")
	other := login(t, s, "globex")
	var want strings.Builder
	var ask []string
	for i := range 50 {
		ask = append(ask, "GET k", fmt.Sprintf("ECHO %d", i), "PING")
		fmt.Fprintf(&want, "$3\r\nyes\r\n%s+PONG\r\n", bulk(fmt.Sprint(i)))
	}
	c.send(ask...)
	await(t, arrived, "the first GET")
	// A round trip of another client through the same loop: had anything been
	// given out early, it would be there.
	other.expect("+PONG\r\n", "PING")
	c.silent()
	open()
	c.read(want.String())
}

// A session of which much is parked takes no more until it has got rid of it.
func TestParkedAnswersAreBounded(t *testing.T) {
	s, f := startFake(t, options{})
	arrived, open := f.gate("GET", "$-1\r\n")
	c := login(t, s, "acme")
	const n, size = 100, 100 << 10
	echo := harness.Request("ECHO", strings.Repeat("e", size))
	sent := make(chan error, 1)
	go func() {
		_, err := c.Write(pipeline("GET k"))
		for range n {
			if err == nil {
				_, err = c.Write(echo)
			}
		}
		sent <- err
	}()
	await(t, arrived, "the GET")
	w := s.workers[0]
	harness.Eventually(t, "the session is held", func() (held bool) {
		onLoop(t, w, func() {
			for _, x := range w.sessions {
				held = held || x.held && x.parkedBytes > softOutput
				if x.parkedBytes > softOutput+size+64 {
					t.Errorf("%d bytes are parked", x.parkedBytes)
				}
			}
		})
		return held
	})
	open()
	c.read("$-1\r\n")
	for range n {
		c.read(string(bulk(strings.Repeat("e", size))))
	}
	if err := await(t, sent, "the client"); err != nil {
		t.Error(err)
	}
}

// park keeps replies in order whatever order they come in, also where the
// slots' numbers overflow.
func TestPark(t *testing.T) {
	s, _ := startFake(t, options{})
	for _, first := range []uint32{0, 1000, math.MaxUint32 - 4} {
		c := login(t, s, "acme")
		w := s.workers[0]
		onLoop(t, w, func() {
			x := newest(w)
			x.head, x.tail = first, first+8
			for _, i := range []uint32{3, 1, 7, 2, 6, 5} {
				x.complete(first+i, fmt.Appendf(nil, ":%d\r\n", i), false)
			}
			if x.head != first || len(x.parked) != 6 || x.parkedBytes != 6*4 {
				t.Errorf("from %d: head %d, %d parked, %d bytes", first, x.head-first, len(x.parked), x.parkedBytes)
			}
			x.complete(first, []byte(":0\r\n"), false)
			if x.head != first+4 || len(x.parked) != 3 || x.parkedBytes != 3*4 {
				t.Errorf("from %d: head %d, %d parked, %d bytes", first, x.head-first, len(x.parked), x.parkedBytes)
			}
			x.complete(first+4, []byte(":4\r\n"), false)
			if x.head != x.tail || x.parked != nil || x.parkedBytes != 0 {
				t.Errorf("from %d: head %d, %d parked, %d bytes", first, x.head-first, len(x.parked), x.parkedBytes)
			}
		})
		c.read(":0\r\n:1\r\n:2\r\n:3\r\n:4\r\n:5\r\n:6\r\n:7\r\n")
		c.expect("+PONG\r\n", "PING")
		c.Close()
	}
}

// newest is the session that was opened last. To be called on the loop.
func newest(w *worker) (s *session) {
	for _, x := range w.sessions {
		if s == nil || x.id > s.id {
			s = x
		}
	}
	return s
}

// window is what a session has in flight at most: what reaches an upstream that
// does not answer.
func window(t *testing.T, f *fake, c *client, w *worker, command string) int {
	t.Helper()
	before := f.count("EXISTS")
	arrived, open := f.gate("EXISTS", ":1\r\n")
	const n = maxWindow + 1000
	request := pipeline(command)
	sent := make(chan error, 1)
	go func() {
		_, err := c.Write([]byte(strings.Repeat(string(request), n)))
		sent <- err
	}()
	await(t, arrived, "the first command")
	flight := 0
	harness.Eventually(t, "the session is held", func() (held bool) {
		onLoop(t, w, func() {
			x := newest(w)
			held, flight = x.held, int(x.tail-x.head)
		})
		return held
	})
	open()
	for range n {
		c.read(":1\r\n")
	}
	if err := await(t, sent, "the client"); err != nil {
		t.Fatal(err)
	}
	if got := f.count("EXISTS") - before; got != n {
		t.Errorf("%d commands reached the upstream, want %d", got, n)
	}
	return flight
}

// A client begins with a small window, earns a larger one with small replies,
// and loses it with large ones.
func TestWindow(t *testing.T) {
	s, f := startFake(t, options{})
	c := login(t, s, "acme")
	w := s.workers[0]
	// AUTH's answer was the first of the small replies.
	if n := window(t, f, c, w, "EXISTS k"); n != firstWindow+1 {
		t.Errorf("%d in flight at first, want %d", n, firstWindow+1)
	}
	if n := window(t, f, c, w, "EXISTS k"); n != maxWindow {
		t.Errorf("%d in flight after small replies, want %d", n, maxWindow)
	}
	for _, size := range []int{64 << 10, 1 << 20, 3 << 20} {
		c.expect("+OK\r\n", "SET", "large", strings.Repeat("x", size))
		reply := string(bulk(strings.Repeat("x", size)))
		c.expect(reply, "GET", "large")
		if n := window(t, f, c, w, "EXISTS k"); n != windowBytes/len(reply) {
			t.Errorf("%d in flight after a reply of %d bytes, want %d", n, size, windowBytes/len(reply))
		}
	}
	// A reply larger than the whole window still leaves one command at a time.
	c.expect("+OK\r\n", "SET", "large", strings.Repeat("x", 9<<20))
	c.expect(string(bulk(strings.Repeat("x", 9<<20))), "GET", "large")
	if n := window(t, f, c, w, "EXISTS k"); n != 1 {
		t.Errorf("%d in flight after a reply of 9 MiB", n)
	}
}
