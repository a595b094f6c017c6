package proxy

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"riptide-proxy/tests/harness"
)

func usageOf(all []Usage, resource string) (Usage, bool) {
	i := slices.IndexFunc(all, func(u Usage) bool { return u.Resource == resource })
	if i < 0 {
		return Usage{}, false
	}
	return all[i], true
}

// What nobody else tells, the proxy says from what it has seen itself.
func TestQuotaUsage(t *testing.T) {
	s := startEmbedded(t, options{loops: 2, tenants: "  small: {users: {default: {sha256: [" + hashOf("small") + "]}}, quotas: {connections: 8, ops_per_second: 10, memory: 1MiB}}\n"})
	harness.Eventually(t, "the upstream is there", s.Ready)
	c := login(t, s, "small")
	c.expect("+OK\r\n", "SET", "k", "v")
	all := s.QuotaUsage(t.Context(), "small")
	if u, _ := usageOf(all, "connections"); u != (Usage{Resource: "connections", Used: 1, Limit: 8}) {
		t.Errorf("%+v", all)
	}
	if u, _ := usageOf(all, "ops_per_second"); u != (Usage{Resource: "ops_per_second", Limit: 10}) { // nothing is known so soon
		t.Errorf("%+v", all)
	}
	if !slices.IsSortedFunc(all, func(a, b Usage) int { return strings.Compare(a.Resource, b.Resource) }) {
		t.Errorf("not sorted: %+v", all)
	}
	if !strings.Contains(c.do("INFO", "quota"), "quota_keys_used:1\r\n") {
		t.Error("INFO does not count keys")
	}
	all = s.QuotaUsage(t.Context(), "small")
	if u, _ := usageOf(all, "keys"); u.Used != 1 {
		t.Errorf("after INFO: %+v", all)
	}
	if got := stats(t, s).Usage; fmt.Sprint(got["small"]) != fmt.Sprint(all) || got["acme"] == nil {
		t.Errorf("%+v", got)
	}
	if got := s.QuotaUsage(t.Context(), "nobody"); got != nil {
		t.Errorf("of nobody: %+v", got)
	}
}

// Of several that know a resource the first one counts.
func TestQuotaUsageProviders(t *testing.T) {
	s := startEmbedded(t, options{})
	old := usageProviders
	t.Cleanup(func() { usageProviders = old })
	told := func(all ...Usage) usageProvider {
		return func(*Server, string) []Usage { return all }
	}
	usageProviders = []usageProvider{
		told(Usage{Resource: "connections", Used: 50, Limit: 100}), told(),
		told(Usage{Resource: "connections", Used: 60, Limit: 100}, Usage{Resource: "blocked", Used: 1, Limit: 2}),
	}
	all := s.QuotaUsage(t.Context(), "acme")
	if u, _ := usageOf(all, "connections"); u.Used != 50 {
		t.Errorf("%+v", all)
	}
	if u, _ := usageOf(all, "blocked"); u.Ratio() != 0.5 {
		t.Errorf("%+v", all)
	}
	if _, known := usageOf(all, "ops_per_second"); !known {
		t.Errorf("%+v", all)
	}
}

// The counters of many tenants are added up a few at a time, none of them twice or not at all.
func TestStatsOfMany(t *testing.T) {
	s, _ := startFake(t, options{loops: 2})
	const n = 3*statsAtOnce + 7
	for _, w := range s.workers {
		onLoop(t, w, func() {
			for i := range n {
				w.tenantStats(fmt.Sprint("tenant", i)).hits = uint64(i)
			}
		})
	}
	st := stats(t, s)
	for i := range n {
		if u := st.Tenants[fmt.Sprint("tenant", i)]; u == nil || u.Hits != 2*uint64(i) {
			t.Fatalf("tenant%d: %+v", i, u)
		}
	}
}

// A read that finds something is a hit of its tenant, one that finds nothing a miss.
func TestHits(t *testing.T) {
	s, f := startFake(t, options{})
	f.handle("GET", func(words []string) []byte {
		if strings.HasSuffix(words[1], "none") {
			return []byte("$-1\r\n")
		}
		return []byte("$1\r\nv\r\n")
	})
	harness.Eventually(t, "the upstream is there", s.Ready)
	c := login(t, s, "acme")
	c.expect("$1\r\nv\r\n", "GET", "k")
	c.expect("$-1\r\n", "GET", "none")
	if got := stats(t, s).Tenants["acme"]; got.Hits != 1 || got.Misses != 1 {
		t.Errorf("%d hits, %d misses", got.Hits, got.Misses)
	}
	if got := stats(t, s).Tenants["globex"]; got != nil && got.Hits+got.Misses > 0 {
		t.Errorf("another's: %+v", got)
	}
}
