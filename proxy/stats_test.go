package proxy

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"riptide-proxy/command"
	"riptide-proxy/tests/harness"
)

func countOf(t testing.TB, st *TenantStats, names ...string) (n uint64) {
	t.Helper()
	for _, name := range names {
		container, sub, isSub := strings.Cut(name, "|")
		cmd := command.Lookup([]byte(container))
		if isSub {
			cmd = cmd.Sub([]byte(sub))
		}
		n += st.Commands[cmd.ID]
	}
	return n
}

// The counters are those of all loops together, by tenant.
func TestStatsOverLoops(t *testing.T) {
	s, f := startFake(t, options{loops: 2})
	harness.Eventually(t, "the upstream is there", s.Ready)
	const n = 6
	var clients []*client
	for range n {
		c := login(t, s, "acme")
		c.expect("+OK\r\n", "SET", "k", "v")
		c.expect("$1\r\nv\r\n", "GET", "k")
		c.expect("+PONG\r\n", "PING")
		clients = append(clients, c)
	}
	other := login(t, s, "globex")
	other.expect("+OK\r\n", "CLIENT", "SETNAME", "x")
	dial(t, s).expect("-NOAUTH Authentication required.\r\n", "PING")
	for _, w := range s.workers {
		onLoop(t, w, func() {
			if len(w.sessions) == 0 {
				t.Error("a loop has no clients")
			}
		})
	}

	st := stats(t, s)
	acme, globex, nobody := st.Tenants["acme"], st.Tenants["globex"], st.Tenants[""]
	for name, want := range map[string]uint64{"set": n, "get": n, "ping": n, "auth": 0, "del": 0} {
		if got := countOf(t, acme, name); got != want {
			t.Errorf("%s: %d, want %d", name, got, want)
		}
	}
	in := n * len(pipeline("SET k v", "GET k", "PING"))
	out := n * len("+OK\r\n+OK\r\n$1\r\nv\r\n+PONG\r\n") // of AUTH too: it is answered as the tenant
	if got := countOf(t, nobody, "auth"); got != n+1 {
		t.Errorf("%d AUTH", got)
	}
	if acme.Connections != n || acme.Logins != n || int(acme.In) < in || int(acme.Out) != out {
		t.Errorf("acme has %d connections, %d logins, %d bytes in (at least %d), %d out (%d)", acme.Connections, acme.Logins, acme.In, in, acme.Out, out)
	}
	if globex.Connections != 1 || globex.Logins != 1 || countOf(t, globex, "client|setname") != 1 || countOf(t, globex, "set", "get", "ping") != 0 {
		t.Errorf("globex: %+v", globex)
	}
	if nobody.Connections != 1 || nobody.Errors["NOAUTH"] != 1 {
		t.Errorf("nobody: %d connections, %v", nobody.Connections, nobody.Errors)
	}
	if st.Clients != n+2 || st.Accepted != n+2 || st.Rejected != 0 || !st.UpstreamUp || st.Links != 2 || st.InFlight != 0 {
		t.Errorf("%+v", st)
	}
	observed := uint64(0)
	for _, b := range acme.Latency.Buckets {
		observed += b
	}
	if observed != 2*n { // what was answered here never went to the upstream
		t.Errorf("%d latencies, want %d", observed, 2*n)
	}

	arrived, open := f.gate("GET", "$-1\r\n")
	clients[0].send("GET k", "GET k")
	await(t, arrived, "GET")
	harness.Eventually(t, "two commands are in flight", func() bool { return stats(t, s).InFlight == 2 })
	open()
	clients[0].read("$-1\r\n$-1\r\n")

	for _, c := range clients {
		c.Close()
	}
	harness.Eventually(t, "the clients are gone", func() bool {
		st := stats(t, s)
		return st.Tenants["acme"].Connections == 0 && st.Clients == 2
	})
	if st := stats(t, s); st.Tenants["acme"].Logins != n || st.Accepted != n+2 {
		t.Error("what was counted is gone with the clients")
	}
}

// Error replies are counted by their code, whoever made them; a code that is
// none, and those beyond a number, are counted together.
func TestStatsErrors(t *testing.T) {
	s, f := startFake(t, options{})
	c := login(t, s, "acme")
	reply := make(chan string, 1)
	f.handle("GET", func([]string) []byte { return []byte(<-reply) })
	f.handle("SCAN", func([]string) []byte { return []byte("-LOADING not yet\r\n") })
	want := map[string]uint64{"NOPERM": 1, "ERR": 4, "LOADING": 1, "WRONGPASS": 1, "WRONGTYPE": 2, "X_1": 1}
	c.send("CONFIG SET a b", "NOSUCH", "GET", "SELECT x", "KEYS *", "AUTH acme wrong")
	for range 6 {
		if got := c.next(); got[0] != '-' {
			t.Errorf("%q", got)
		}
	}
	for _, text := range []string{"-WRONGTYPE x\r\n", "-WRONGTYPE\r\n", "-X_1 y\r\n", "-ERR z\r\n"} {
		reply <- text
		c.expect(text, "GET", "k")
	}
	others := uint64(0)
	for _, text := range []string{"-lower case\r\n", "- x\r\n", "-\r\n", "-" + strings.Repeat("A", 33) + "\r\n", "-a\"b{} x\r\n"} {
		reply <- text
		c.expect(text, "GET", "k")
		others++
	}
	want["other"] = others
	if got := stats(t, s).Tenants["acme"].Errors; fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("%v, want %v", got, want)
	}
	for i := range 2 * maxCodes {
		reply <- fmt.Sprintf("-CODE%d x\r\n", i)
		c.do("GET", "k")
	}
	got := stats(t, s).Tenants["acme"].Errors
	sum := uint64(0)
	for _, n := range got {
		sum += n
	}
	if len(got) > maxCodes+1 || sum != 1+4+1+1+2+1+others+2*maxCodes {
		t.Errorf("%d codes, %d errors: %v", len(got), sum, got)
	}
}

// Whoever does not want to wait for the loops need not.
func TestStatsGivesUp(t *testing.T) {
	s, _ := startFake(t, options{})
	gate, entered := make(chan struct{}), make(chan struct{})
	s.workers[0].loop.Post(func() { close(entered); <-gate })
	await(t, entered, "the loop")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	sum, err := s.Stats(ctx)
	close(gate)
	if sum != nil || !errors.Is(err, context.Canceled) {
		t.Errorf("%v, %v", sum, err)
	}
}
