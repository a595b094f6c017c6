package proxy

import (
	"strings"
	"testing"

	"riptide-proxy/tests/harness"
)

// Who gets the name of a tenant that is no more finds nothing of it.
func TestApplySameName(t *testing.T) {
	t.Parallel()
	r := harness.StartRedis(t)
	s := startProxy(t, r.Addr, options{loops: 2})
	server := dialServer(t, r.Addr)
	const script = "return 'the former one'"
	const without = ""

	apply(t, s, map[string]string{"acme": "", "globex": ", compression: {algorithm: zstd, min_size: 1, min_saving: 0}"})
	first := login(t, s, "globex")
	first.expect("+OK\r\n", "SET", "k", compressible(200))
	if !server.isStoredSealed("t:globex:0:k") {
		t.Fatal("the value is not compressed")
	}
	sha := strings.Split(first.do("SCRIPT", "LOAD", script), "\r\n")[1]
	first.do("EVAL", script, "0")
	onLoop(t, s.workers[0], func() {
		s.workers[0].tenantStats("globex").slow.add(slowEntry{args: []string{"get", "a key"}})
		s.workers[0].tenantStats("globex").spikes.add(1, slowCommand)
	})
	dial(t, s).do("AUTH", "globex", "wrong")
	first.expect("+OK\r\n", "CLIENT", "PAUSE", "1000000")

	apply(t, s, map[string]string{"acme": ""})
	first.ends()
	server.do("FLUSHALL") // as its deletion through the admin listener purges it
	apply(t, s, map[string]string{"acme": "", "globex": without})

	second := login(t, s, "globex")
	second.expect("+OK\r\n", "SET", "k", compressible(200)) // nobody has paused it
	if server.isStoredSealed("t:globex:0:k") {
		t.Error("values are sealed as those of the former tenant were")
	}
	second.expect("*0\r\n", "SLOWLOG", "GET")
	second.expect("*0\r\n", "LATENCY", "LATEST")
	second.expect("*0\r\n", "ACL", "LOG")
	second.expect("*1\r\n:0\r\n", "SCRIPT", "EXISTS", sha)
	second.expect(errNoScript, "EVALSHA", sha, "0")
}

// A login that ends after its tenant has leaves nothing behind.
func TestApplyDepartedIsNotMet(t *testing.T) {
	t.Parallel()
	s := startEmbedded(t, options{})
	gone := s.conf().directory.Tenant("globex")
	apply(t, s, map[string]string{"acme": ""})
	s.codecs.meet(t.Context(), gone)
	s.codecs.owe(gone)
	for _, known := range s.codecs.tenantsMet() {
		if known == gone {
			t.Error("it is looked at for ever")
		}
	}
}
