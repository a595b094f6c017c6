package proxy

import (
	"context"
	"net"
	"testing"
	"time"

	"riptide-proxy/tests/harness"
)

// A proxy that has been replaced closes idle clients only; those that do something, or wait for an answer, are
// served until the time is over. Nobody new gets in.
func TestRetire(t *testing.T) {
	t.Parallel()
	s, f := startFake(t, options{loops: 2})
	arrived, open := f.gate("GET", "$3\r\nyes\r\n")
	idle, busy, waiting := login(t, s, "acme"), login(t, s, "acme"), login(t, s, "globex")
	waiting.send("GET a")
	await(t, arrived, "GET")
	ctx, cancel := context.WithCancel(t.Context())
	retired := make(chan struct{})
	go func() { defer close(retired); s.Retire(ctx) }()
	gone := make(chan struct{})
	go func() { defer close(gone); idle.ends() }()
	for done := false; !done; {
		busy.expect("+PONG\r\n", "PING")
		select {
		case <-gone:
			done = true
		case <-time.After(10 * time.Millisecond):
		}
	}
	if s.Ready() {
		t.Error("it says that clients are welcome")
	}
	if c, err := net.Dial("tcp", s.Addr().String()); err == nil {
		c.Close()
		t.Error("a new client was let in")
	}
	open()
	waiting.read("$3\r\nyes\r\n")
	cancel()
	await(t, retired, "Retire")
	busy.expect("+PONG\r\n", "PING")
	done := begin(context.Background(), s)
	busy.ends()
	if err := await(t, done, "Shutdown"); err != nil {
		t.Error(err)
	}
}

// Who is in the middle of a transaction is not idle, however long it takes.
func TestRetireTransaction(t *testing.T) {
	t.Parallel()
	s := startEmbedded(t, options{})
	queued, watching, idle := login(t, s, "acme"), login(t, s, "acme"), login(t, s, "acme")
	queued.expect("+OK\r\n", "MULTI")
	watching.expect("+OK\r\n", "WATCH", "k")
	ctx, cancel := context.WithCancel(t.Context())
	retired := make(chan struct{})
	go func() { defer close(retired); s.Retire(ctx) }()
	idle.ends()
	onLoop(t, s.workers[0], s.workers[0].seeOff)
	queued.expect("+QUEUED\r\n", "SET", "k", "v")
	queued.expect("*1\r\n+OK\r\n", "EXEC")
	watching.expect("+OK\r\n", "MULTI")
	watching.expect("+QUEUED\r\n", "GET", "k")
	watching.expect("*-1\r\n", "EXEC")
	cancel()
	await(t, retired, "Retire")
}

// Who may not stay is closed also by a process that has been replaced, however long the others stay.
func TestRetireApply(t *testing.T) {
	t.Parallel()
	s := startEmbedded(t, options{})
	stays, goes := login(t, s, "acme"), login(t, s, "globex")
	ctx, cancel := context.WithCancel(t.Context())
	retired := make(chan struct{})
	go func() { defer close(retired); s.Retire(ctx) }()
	harness.Eventually(t, "it is replaced", func() bool { return s.stopping.Load() })
	apply(t, s, map[string]string{"acme": "", "globex": ", suspended: true"})
	goes.ends()
	stays.expect("+PONG\r\n", "PING")
	cancel()
	await(t, retired, "Retire")
}

// When the last client has gone, Retire is over.
func TestRetireEmpty(t *testing.T) {
	t.Parallel()
	s, _ := startFake(t, options{})
	c := login(t, s, "acme")
	retired := make(chan struct{})
	go func() { defer close(retired); s.Retire(t.Context()) }()
	c.expect("+PONG\r\n", "PING")
	c.Close()
	await(t, retired, "Retire")
}

// Idle clients leave a few at a time.
func TestRetireShare(t *testing.T) {
	t.Parallel()
	s, _ := startFake(t, options{})
	const n = 40
	for range n {
		login(t, s, "acme")
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	onLoop(t, s.workers[0], func() {}) // so that all are there
	retired := make(chan struct{})
	go func() { defer close(retired); s.Retire(ctx) }()
	harness.Eventually(t, "the first ones have gone", func() bool { return s.clients.Load() < n })
	onLoop(t, s.workers[0], func() {
		if left := len(s.workers[0].sessions); left < n-2*(n/seeOffShare+1) {
			t.Errorf("%d of %d are left", left, n)
		}
	})
	cancel()
	await(t, retired, "Retire")
}

// Some of the time for shutting down is left to what comes after the clients.
func TestTimeToDrain(t *testing.T) {
	s := new(Server)
	for total, want := range map[time.Duration]time.Duration{30 * time.Second: 27 * time.Second, 5 * time.Second: 4 * time.Second} {
		ctx, cancel := context.WithTimeout(t.Context(), total)
		end, _ := ctx.Deadline()
		draining, done := s.timeToDrain(ctx)
		got, _ := draining.Deadline()
		if left := end.Sub(got); left < total-want-100*time.Millisecond || left > total-want {
			t.Errorf("of %v: %v are left", total, left)
		}
		done()
		cancel()
	}
	draining, done := s.timeToDrain(t.Context())
	defer done()
	if _, bounded := draining.Deadline(); bounded {
		t.Error("no time is no deadline")
	}
}
