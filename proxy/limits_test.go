package proxy

import (
	"bytes"
	"fmt"
	"io"
	"strings"
	"testing"

	"riptide-proxy/tests/harness"
)

func TestClientsLimit(t *testing.T) {
	s, _ := startFake(t, options{limits: "clients: 2", loops: 2})
	a, b := login(t, s, "acme"), dial(t, s)
	b.expect("-NOAUTH Authentication required.\r\n", "PING")
	refused := dial(t, s)
	refused.read(string(tooMany))
	refused.ends()
	a.expect("+PONG\r\n", "PING")
	if st := stats(t, s); st.Clients != 2 || st.Accepted != 2 || st.Rejected != 1 {
		t.Errorf("clients %d, accepted %d, rejected %d", st.Clients, st.Accepted, st.Rejected)
	}
	// A place that becomes free is given away again.
	a.Close()
	harness.Eventually(t, "the place is free", func() bool { return stats(t, s).Clients == 1 })
	login(t, s, "globex").expect("+PONG\r\n", "PING")
}

// A connection that does not log in is closed; one that has is not, until it
// resets itself to what it was.
func TestAuthTimeout(t *testing.T) {
	s, _ := startFake(t, options{limits: "auth_timeout: 10ms", loops: 2})
	known, strangers := login(t, s, "acme"), []*client{dial(t, s), dial(t, s)}
	strangers[0].expect("-NOAUTH Authentication required.\r\n", "GET", "k")
	for _, c := range strangers {
		c.ends()
	}
	known.expect("+PONG\r\n", "PING")
	known.expect("+RESET\r\n", "RESET")
	known.ends()
	harness.Eventually(t, "all are gone", func() bool { return stats(t, s).Clients == 0 })
}

// A client that reads nothing of what it asks for is closed, and its loop is
// free of it.
func TestOutputBuffer(t *testing.T) {
	s, _ := startFake(t, options{limits: "output_buffer: 1MiB"})
	c := login(t, s, "acme")
	c.expect("+OK\r\n", "SET", "k", strings.Repeat("x", 64<<10))
	// As many as a session may have in flight are answered whether it reads or
	// not, and they are more than the kernel's buffers and the limit hold.
	c.tcp().SetReadBuffer(64 << 10)
	c.write([]byte(strings.Repeat(string(pipeline("GET k")), 1000)))
	harness.Eventually(t, "the client is closed", func() bool { return stats(t, s).Clients == 0 })
	n, _ := io.Copy(io.Discard, c.R)
	if n >= 1000*(64<<10) {
		t.Errorf("it got all %d bytes", n)
	}
}

// By default a client that pauses keeps its connection and gets everything: it
// is its commands that wait.
func TestSlowReaderIsHeld(t *testing.T) {
	s, _ := startFake(t, options{})
	c := login(t, s, "acme")
	value := strings.Repeat("x", 64<<10)
	c.expect("+OK\r\n", "SET", "k", value)
	c.tcp().SetReadBuffer(64 << 10)
	const n = 500
	sent := make(chan error, 1)
	go func() {
		_, err := c.Write([]byte(strings.Repeat(string(pipeline("GET k")), n)))
		sent <- err
	}()
	w := s.workers[0]
	harness.Eventually(t, "the client is held", func() (held bool) {
		onLoop(t, w, func() {
			x := newest(w)
			held = x.held && x.head == x.tail && x.conn.Unsent() > softOutput
			if x.conn.Unsent() > windowBytes+windowBytes/2 {
				t.Errorf("%d bytes wait for the client", x.conn.Unsent())
			}
		})
		return held
	})
	want := string(bulk(value))
	for range n {
		c.read(want)
	}
	if err := await(t, sent, "the client"); err != nil {
		t.Error(err)
	}
}

// A client that sends several MiB of commands which are answered here, without
// reading meanwhile, then reads everything.
func TestFloodOfLocalCommands(t *testing.T) {
	s, _ := startFake(t, options{})
	text := strings.Repeat("e", 200)
	for _, x := range []struct {
		name, reply string
		request     []byte
	}{
		{"PING", "+PONG\r\n", pipeline("PING")},
		{"inline PING", "+PONG\r\n", []byte("PING\r\n")},
		{"ECHO", string(bulk(text)), harness.Request("ECHO", text)},
		{"large ECHO", string(bulk(strings.Repeat(text, 500))), harness.Request("ECHO", strings.Repeat(text, 500))},
		{"an error", "-ERR unknown command 'X', with args beginning with: \r\n", pipeline("X")},
	} {
		t.Run(x.name, func(t *testing.T) {
			c := login(t, s, "acme")
			n := 6 << 20 / len(x.request)
			flood := bytes.Repeat(x.request, n)
			sent := make(chan error, 1)
			go func() {
				_, err := c.Write(flood)
				sent <- err
			}()
			w := s.workers[0]
			harness.Eventually(t, "all is sent or the client is held", func() (enough bool) {
				if len(sent) > 0 {
					return true
				}
				onLoop(t, w, func() { enough = newest(w).held })
				return enough
			})
			for chunk := max(1, 64<<10/len(x.reply)); n > 0; n -= chunk {
				c.read(strings.Repeat(x.reply, min(n, chunk)))
			}
			if err := await(t, sent, "the client"); err != nil {
				t.Error(err)
			}
			c.expect("+PONG\r\n", "PING")
		})
	}
}

// One answer above the mark holds the client, and may yet be taken by the
// kernel within the same turn: then nothing but that wakes it.
func TestHeldForOneTurn(t *testing.T) {
	s, _ := startFake(t, options{})
	c := login(t, s, "acme")
	c.tcp().SetReadBuffer(8 << 20)
	text := strings.Repeat("e", softOutput+1000)
	ask := append(harness.Request("ECHO", text), pipeline("PING")...)
	const n = 30
	sent := make(chan error, 1)
	go func() {
		var err error
		for range n {
			if err == nil {
				_, err = c.Write(ask)
			}
		}
		sent <- err
	}()
	for range n {
		c.read(string(bulk(text)) + "+PONG\r\n")
	}
	if err := await(t, sent, "the client"); err != nil {
		t.Error(err)
	}
}

// A client that closes its sending end has asked all it wants to, and gets all
// of it: what is in flight, what is held and what runs beside the loop.
func TestHalfClosedClient(t *testing.T) {
	for _, x := range []struct {
		name    string
		ask     []byte
		answers string
	}{
		{"nothing", nil, ""},
		{"one", pipeline("GET k"), "$1\r\nv\r\n"},
		{"more than the window", bytes.Repeat(pipeline("GET k", "PING"), 5000), strings.Repeat("$1\r\nv\r\n+PONG\r\n", 5000)},
		{"barriers", bytes.Repeat(pipeline("GET k", "SELECT 1", "GET k", "SELECT 0"), 200), strings.Repeat("$1\r\nv\r\n+OK\r\n$-1\r\n+OK\r\n", 200)},
		{"slow", pipeline("GET k", "KEYS *", "GET k"), "$1\r\nv\r\n*1\r\n$1\r\nk\r\n$1\r\nv\r\n"},
		{"slow at the end", pipeline("GET k", "KEYS *"), "$1\r\nv\r\n*1\r\n$1\r\nk\r\n"},
		{"an incomplete one", append(pipeline("GET k"), "*2\r\n$3\r\nGET\r\n$1"...), "$1\r\nv\r\n"},
		{"QUIT", pipeline("GET k", "QUIT", "GET k"), "$1\r\nv\r\n+OK\r\n"},
		{"a protocol error", append(pipeline("GET k"), "*x\r\n"...), "$1\r\nv\r\n-ERR Protocol error: invalid multibulk length\r\n"},
	} {
		t.Run(x.name, func(t *testing.T) {
			s, f := startFake(t, options{})
			f.handle("SCAN", func([]string) []byte { return scanPage("0", "t:acme:0:k") })
			c := login(t, s, "acme")
			c.expect("+OK\r\n", "SET", "k", "v")
			c.write(x.ask)
			if err := c.tcp().CloseWrite(); err != nil {
				t.Fatal(err)
			}
			c.read(x.answers)
			c.ends()
			harness.Eventually(t, "the session is gone", func() bool { return stats(t, s).Clients == 0 })
		})
	}
}

// The limits of a client that has not logged in are Redis's, and end with AUTH.
func TestRequestLimits(t *testing.T) {
	s, _ := startFake(t, options{limits: "bulk: 1MiB, request: 2MiB"})
	for _, x := range []struct {
		name   string
		who    string
		ask    string
		answer string
	}{
		{"stranger, bulk", "", "*2\r\n$4\r\nECHO\r\n$16385\r\n", "-ERR Protocol error: unauthenticated bulk length\r\n"},
		{"stranger, arguments", "", "*11\r\n", "-ERR Protocol error: unauthenticated multibulk length\r\n"},
		{"bulk", "acme", "*2\r\n$4\r\nECHO\r\n$1048577\r\n", "-ERR Protocol error: invalid bulk length\r\n"},
		{"request", "acme", "*3\r\n$4\r\nMGET\r\n$1048576\r\n" + strings.Repeat("x", 1<<20) + "\r\n$1048570\r\n", "-ERR Protocol error: request is larger than limits.request\r\n"},
		{"inline", "acme", strings.Repeat("x", 70000), "-ERR Protocol error: too big inline request\r\n"},
		{"quotes", "acme", "GET 'a\r\n", "-ERR Protocol error: unbalanced quotes in request\r\n"},
		{"no bulk", "acme", "*1\r\n:1\r\n", "-ERR Protocol error: expected '$', got ':'\r\n"},
	} {
		t.Run(x.name, func(t *testing.T) {
			c := dial(t, s)
			if x.who != "" {
				c.expect("+OK\r\n", "AUTH", x.who, secretOf(x.who))
			}
			c.write([]byte(x.ask))
			c.read(x.answer)
			c.ends()
		})
	}
	c := login(t, s, "acme")
	c.expect(fmt.Sprintf("$%d\r\n%s\r\n", 1<<20, strings.Repeat("x", 1<<20)), "ECHO", strings.Repeat("x", 1<<20))
}
