package tests

import (
	"context"
	"io"
	"math"
	"net/http"
	"strconv"
	"strings"
	"testing"

	"github.com/redis/go-redis/v9"

	"riptide-proxy/tests/harness"
)

// series are the samples of a scrape, by name and labels as they are written.
func series(t testing.TB, p *harness.Proxy) map[string]float64 {
	t.Helper()
	r, err := http.Get("http://" + p.Admin + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	text, err := io.ReadAll(r.Body)
	if err != nil || r.StatusCode != http.StatusOK {
		t.Fatalf("%s, %v", r.Status, err)
	}
	all := make(map[string]float64)
	for line := range strings.Lines(string(text)) {
		line = strings.TrimSpace(line)
		i := strings.LastIndexByte(line, ' ')
		if strings.HasPrefix(line, "#") || i < 0 {
			continue
		}
		if all[line[:i]], err = strconv.ParseFloat(line[i+1:], 64); err != nil {
			t.Fatalf("%s: %v", line, err)
		}
	}
	return all
}

// After a run whose commands are known each metric has the value that follows from them.
func TestMetricsOfARun(t *testing.T) {
	t.Parallel()
	p := startWatched(t)
	all := connectWatched(t, p)
	before := series(t, p)
	metricsTraffic(t, p, all)
	// The OOMs depend on when the keys were measured: what the client was told counts.
	refused := 0
	harness.Eventually(t, "a tenant is over its quota of keys", func() bool {
		for range 10 {
			if strings.HasPrefix(do(t, all["full"], "SET", "another", "v"), "-OOM ") {
				refused++
			}
			do(t, all["full"], "DEL", "another")
		}
		return refused > 0
	})
	now := series(t, p)
	added := func(name string) float64 { return now[name] - before[name] }
	for name, want := range map[string]float64{
		`riptide_tenant_operations_total{operation="read",tenant="acme"}`:              11,
		`riptide_tenant_operations_total{operation="write",tenant="acme"}`:             11,
		`riptide_tenant_operations_total{operation="script",tenant="acme"}`:            1,
		`riptide_tenant_operations_total{operation="pubsub",tenant="acme"}`:            1,
		`riptide_tenant_operations_total{operation="other",tenant="acme"}`:             1,
		`riptide_cache_operations_total{operation="read",result="hit",tenant="acme"}`:  10,
		`riptide_cache_operations_total{operation="read",result="miss",tenant="acme"}`: 1,
		`riptide_cache_operations_total{operation="write",result="ok",tenant="acme"}`:  10,
		`riptide_cache_operations_total{operation="script",result="ok",tenant="acme"}`: 1,
		`riptide_cache_operations_total{operation="pubsub",result="ok",tenant="acme"}`: 1,
		`riptide_cache_access_duration_seconds_count{operation="read",tenant="acme"}`:  11,
		`riptide_tenant_errors_total{code="WRONGPASS",tenant=""}`:                      1,
		`riptide_tenant_keyspace_hits_total{tenant="acme"}`:                            10,
		`riptide_tenant_keyspace_misses_total{tenant="acme"}`:                          1,
	} {
		if got := added(name); got != want {
			t.Errorf("%s grew by %v, want %v", name, got, want)
		}
	}
	hits, misses := now[`riptide_tenant_keyspace_hits_total{tenant="acme"}`], now[`riptide_tenant_keyspace_misses_total{tenant="acme"}`]
	if got := now[`riptide_cache_hit_rate{tenant="acme"}`]; math.Abs(got-hits/(hits+misses)) > 1e-9 {
		t.Errorf("the hit rate is %v of %v hits and %v misses", got, hits, misses)
	}
	if got, oom := added(`riptide_memory_pressure_events_total{tenant="full"}`), added(`riptide_tenant_errors_total{code="OOM",tenant="full"}`); got != oom || got < float64(refused) {
		t.Errorf("%v refusals for want of memory, %v OOM errors, and the client got %d of them", got, oom, refused)
	}
	if throttled := added(`riptide_tenant_throttled_total{tenant="fast"}`); throttled < 5 || throttled > 10 || added(`riptide_tenant_operations_total{operation="read",tenant="fast"}`) != 20-throttled || throttled != added(`riptide_tenant_errors_total{code="THROTTLED",tenant="fast"}`) {
		t.Errorf("%v of 20 commands were throttled", throttled)
	}

	// What is measured or reported beside the commands comes a moment later.
	up := redis.NewClient(&redis.Options{Addr: p.Upstream})
	defer up.Close()
	harness.Eventually(t, "the memory is measured", func() bool { return series(t, p)[`riptide_cache_memory_usage_bytes{tenant="acme"}`] > 0 })
	for what, ok := range map[string]func(s map[string]float64) bool{
		"the memory is what the upstream says that the keys take": func(s map[string]float64) bool {
			bytes, _ := spaceOf(t, up, "t:acme:")
			return bytes > 0 && s[`riptide_cache_memory_usage_bytes{tenant="acme"}`] == float64(bytes)
		},
		"and so is the part of the quota": func(s map[string]float64) bool {
			bytes, _ := spaceOf(t, up, "t:acme:")
			return math.Abs(s[`riptide_tenant_quota_usage{resource="memory",tenant="acme"}`]-float64(bytes)/(1<<30)) < 1e-12
		},
		"the quota of keys is used up": func(s map[string]float64) bool {
			n, err := up.Eval(context.Background(), "return #redis.call('KEYS', 't:full:[0-9]*')", nil).Int()
			return err == nil && s[`riptide_tenant_quota_usage{resource="keys",tenant="full"}`] == float64(n)/2
		},
		"usage is in billing units": func(s map[string]float64) bool {
			ops := 0.0
			for _, class := range []string{"read", "write", "script", "pubsub", "other"} {
				ops += s[`riptide_tenant_operations_total{operation="`+class+`",tenant="acme"}`]
			}
			return math.Abs(s[`riptide_tenant_billing_units{tenant="acme",unit="operations"}`]*1e6-ops) < 1e-6
		},
	} {
		harness.Eventually(t, what, func() bool { return ok(series(t, p)) })
	}
}

// Configurations that are taken over, and those that are not, are counted.
func TestMetricsOfReloads(t *testing.T) {
	t.Parallel()
	p := harness.StartProxy(t, "", harness.Options{})
	text := read(t, p.Config)
	r := &reloads{p}
	for range 3 {
		r.do(t, text+"nonsense: 1\n")
		if s := series(t, p); s["riptide_config_last_reload_success"] != 0 {
			t.Errorf("a refused configuration counts as taken over")
		}
		r.do(t, text)
	}
	s := series(t, p)
	// The watcher of the file may have been first: then the signal finds the same files again.
	applied, failed := s[`riptide_config_reload_total{result="applied"}`], s[`riptide_config_reload_total{result="failed"}`]
	if s["riptide_config_last_reload_success"] != 1 {
		t.Error("the last configuration was taken over, and does not count so")
	}
	if applied < 3 || failed < 3 || s[`riptide_config_generation`] != applied+1 || s[`riptide_config_applied_timestamp_seconds`] < 1.7e9 {
		t.Errorf("%v applied, %v failed, generation %v", applied, failed, s[`riptide_config_generation`])
	}
}
