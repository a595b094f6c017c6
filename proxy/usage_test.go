package proxy

import (
	"testing"

	"riptide-proxy/quota/ledger"
	"riptide-proxy/tests/harness"
)

func used(t testing.TB, s *Server) ledger.Sample {
	t.Helper()
	all, err := s.sampleUsage(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return all["acme"]
}

// A command counts when it is answered: not before, though others of the same
// client may be under way all the time.
func TestUsageCountsWhatIsAnswered(t *testing.T) {
	s, f := startFake(t, options{})
	c := login(t, s, "acme")
	arrived, open := f.gate("GET", "$-1\r\n")
	c.send("SET a b", "GET a", "SET a b")
	await(t, arrived, "GET")
	c.next()
	for range 3 {
		if n := used(t, s); n.Read != 0 || n.Write > 1 {
			t.Fatalf("counted before it was answered: %+v", n)
		}
	}
	open()
	c.next()
	c.next()
	var n ledger.Sample
	harness.Eventually(t, "all are counted", func() bool {
		n = used(t, s)
		return n.Read == 1 && n.Write == 2
	})
	before := n.ConnMillis
	harness.Eventually(t, "time passes for a connection", func() bool { return used(t, s).ConnMillis >= before+50 })
	c.Close()
	harness.Eventually(t, "the client is gone", func() bool {
		st := stats(t, s)
		return st.Tenants["acme"].Connections == 0
	})
	n = used(t, s)
	if n.Read != 1 || n.Write != 2 {
		t.Errorf("what was counted has changed with the client's end: %+v", n)
	}
	if used(t, s).ConnMillis != n.ConnMillis {
		t.Error("time passes without a connection")
	}
}

// A client that leaves has its commands counted, answered or not: it could
// otherwise have them for nothing.
func TestUsageOfClientsThatLeave(t *testing.T) {
	s, f := startFake(t, options{})
	c := login(t, s, "acme")
	arrived, open := f.gate("GET", "$-1\r\n")
	c.send("SET a b", "GET a")
	await(t, arrived, "GET")
	c.Close()
	harness.Eventually(t, "they are counted", func() bool { n := used(t, s); return n.Read == 1 && n.Write == 1 })
	open()
}

// A session that is never idle is counted all the same.
func TestUsageOfABusySession(t *testing.T) {
	w := new(worker)
	s := &session{w: w, stats: &tenantStats{}}
	s.tally.fresh[1], s.tail = 10, 10
	s.settleAt(false, 0, 0)
	s.tally.fresh[1], s.tail, s.head = 5, 15, 9
	s.settleAt(false, 100, 10)
	if s.stats.settled[1] != 0 {
		t.Fatal("counted though the tenth is not answered")
	}
	s.head = 12
	s.settleAt(false, 100, 50) // answered, and the answer waits for the client
	if s.stats.settled[1] != 0 {
		t.Fatal("counted though the answer has not left")
	}
	s.settleAt(false, 150, 70)
	if s.stats.settled[1] != 10 {
		t.Fatalf("%d are counted, want 10", s.stats.settled[1])
	}
	s.head = 15
	s.settleAt(true, 500, 0)
	if s.stats.settled[1] != 15 {
		t.Fatalf("%d are counted, want 15", s.stats.settled[1])
	}
}
