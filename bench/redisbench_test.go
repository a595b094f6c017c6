package main

import (
	"slices"
	"strings"
	"testing"
)

const csvHeader = `"test","rps","avg_latency_ms","min_latency_ms","p50_latency_ms","p95_latency_ms","p99_latency_ms","max_latency_ms"` + "\n"

func TestParseBenchmark(t *testing.T) {
	want := sample{rps: 51124.75, p50: 0.623, p99: 1.191}
	for name, out := range map[string]string{
		"plain":             csvHeader + `"GET k64:__rand_int__","51124.75","0.644","0.184","0.623","0.951","1.191","4.559"` + "\n",
		"after a warning":   "WARNING: no CONFIG\n" + csvHeader + `"GET x","51124.75","0.644","0.184","0.623","0.951","1.191","4.559"` + "\n",
		"delimiters inside": csvHeader + `"SET x a","b","` + "\n" + `c","51124.75","0.644","0.184","0.623","0.951","1.191","4.559"` + "\n",
		"columns moved":     `"test","p99_latency_ms","rps","p50_latency_ms"` + "\n" + `"GET x","1.191","51124.75","0.623"` + "\n",
	} {
		got, err := parseBenchmark(out)
		if err != nil || got != want {
			t.Errorf("%s: got %+v, %v; want %+v", name, got, err, want)
		}
	}
}

func TestParseBenchmarkRejects(t *testing.T) {
	for name, out := range map[string]string{
		"nothing":      "",
		"header only":  csvHeader,
		"old version":  `"GET","51124.75"` + "\n",
		"no number":    csvHeader + `"GET x","fast","0.644","0.184","0.623","0.951","1.191","4.559"`,
		"missing rps":  `"test","p50_latency_ms","p99_latency_ms"` + "\n" + `"GET x","1","2"`,
		"too few":      csvHeader + `"GET x","51124.75","0.644"`,
		"error, quiet": "Error from server: NOAUTH",
	} {
		if got, err := parseBenchmark(out); err == nil {
			t.Errorf("%s: got %+v, want an error", name, got)
		}
	}
}

func TestBenchArgs(t *testing.T) {
	s := &server{port: 7000, login: login{User: "acme", Secret: "s3"}}
	r := row{clients: 50, pipeline: 16, value: small, op: "SET", requests: 9}
	got := strings.Join(benchArgs(s, r), " ")
	want := "-h 127.0.0.1 -p 7000 -c 50 -P 16 -n 9 -r 100000 --csv --user acme -a s3 SET k64:__rand_int__ " + small.content()
	if got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	s.login, r.op = login{}, "GET"
	if got := benchArgs(s, r); slices.Contains(got, "-a") || got[len(got)-1] != "k64:__rand_int__" {
		t.Errorf("without login: %q", got)
	}
}

const statsText = "# Stats\r\nexpired_keys:0\r\nkeyspace_hits:120\r\nkeyspace_misses:3\r\nactive_defrag_key_hits:9\r\n"

func TestParseCounters(t *testing.T) {
	commands := "# Commandstats\r\n" +
		"cmdstat_config|get:calls=7,usec=1,usec_per_call=1.00,rejected_calls=8,failed_calls=9\r\n" +
		"cmdstat_get:calls=200,usec=5,usec_per_call=0.50,rejected_calls=1,failed_calls=2\r\n"
	got, err := parseCounters(statsText, commands, "GET")
	if want := (counters{calls: 200, failed: 3, hits: 120, misses: 3}); err != nil || got != want {
		t.Errorf("got %+v, %v; want %+v", got, err, want)
	}
	got, err = parseCounters(statsText, commands, "SET")
	if err != nil || got.calls != 0 {
		t.Errorf("a command that has not run: %+v, %v", got, err)
	}
	if _, err := parseCounters("keyspace_hits:many\r\n", commands, "GET"); err == nil {
		t.Error("a counter that is no number was accepted")
	}
}

func TestCheck(t *testing.T) {
	before := counters{calls: 10, failed: 1, hits: 5, misses: 2}
	for _, c := range []struct {
		name  string
		op    string
		after counters
		ok    bool
	}{
		{"get", "GET", counters{110, 1, 105, 2}, true},
		{"set looks nothing up", "SET", counters{110, 1, 5, 2}, true},
		{"commands lost", "SET", counters{109, 1, 5, 2}, false},
		{"refused", "SET", counters{110, 2, 5, 2}, false},
		{"misses", "GET", counters{150, 1, 105, 2 + ownLooks + 1}, false},
		{"the proxy's own misses", "GET", counters{150, 1, 105, 2 + ownLooks}, true},
		{"answered from elsewhere", "GET", counters{110, 1, 104, 2}, false},
	} {
		if err := check(c.op, 100, before, c.after); (err == nil) != c.ok {
			t.Errorf("%s: %v", c.name, err)
		}
	}
}
