package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func exampleReport() report {
	get := newResult("c50-p1-64b-get", "50 clients, GET", "direct", "twemproxy", "riptide")
	get.samples["direct"] = []sample{{ok: true, rps: 60000, p50: 0.5, p99: 1, redisCPU: 9}, {ok: true, rps: 70000, p50: 0.5, p99: 1, redisCPU: 9}}
	get.samples["twemproxy"] = []sample{{ok: true, rps: 50000, cpu: 10}, {ok: true, rps: 50000, cpu: 12}}
	get.samples["riptide"] = []sample{{ok: true, rps: 90000, cpu: 7}, {}}
	tenants := newResult("tenants-p1-get", "1000 connections", oneTenant.name, manyTenants.name)
	tenants.samples[oneTenant.name] = cpuSeries(10, 10)
	tenants.samples[manyTenants.name] = cpuSeries(12, 12)
	publish := newResult("subs100-publish", "PUBLISH", "direct", "riptide")
	publish.unit = "operation"
	publish.samples["riptide"] = []sample{{ok: true, rps: 1100, cpu: 600}}
	return report{
		when: time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC), took: 90 * time.Second, rounds: 2,
		machine: []string{"CPU: abacus"}, absent: []string{"predixy left out"}, failures: []string{"round 2 failed"},
		results: []*result{get}, stateful: []*result{publish}, tenants: []*result{tenants},
	}
}

func TestReport(t *testing.T) {
	// Padding is for people, the test does not care about it.
	text := strings.Join(strings.Fields(exampleReport().markdown()), " ")
	for _, want := range []string{
		"2030-01-02 in 1m30s with `go run ./bench`: medians of 2 interleaved rounds",
		"- CPU: abacus", "- predixy left out", "- round 2 failed",
		"| 50 clients, no pipeline, 64 B, GET | CPU of riptide <= 0.80 x twemproxy | 0.70 | yes |",
		"| 50 clients, no pipeline, 64 B, SET | CPU of riptide <= 0.80 x twemproxy | - | not measured |",
		"| CPU of 1000 tenants <= 1.10 x 1 tenant | 1.20 (1.20-1.20) | **no** |",
		"| load | twemproxy | riptide |",
		"| 50 clients, GET | 11.00 | 7.00 |",
		"| direct | 65.0k (60.0k-70.0k) | 0.50 (0.50-0.50) | 1.00 (1.00-1.00) | - | 9.00 (9.00-9.00) | - |",
		"| riptide | 90.0k |",
		"microseconds per operation | load | riptide | | ------- | ------- | | PUBLISH | 600.00 |",
		"| operations/s |", "| riptide | 1.1k |",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("missing %q in\n%s", want, text)
		}
	}
}

// With nothing measured at all the report must still come out.
func TestReportOfNothing(t *testing.T) {
	r := newResult("row", "Row", "direct", "riptide")
	r.samples["direct"] = []sample{{}}
	r.samples["riptide"] = []sample{{}}
	text := report{rounds: 1, results: []*result{r}}.markdown()
	if strings.Contains(text, "NaN") || strings.Contains(text, "yes") {
		t.Error(text)
	}
}

func TestWriteReportKeepsProse(t *testing.T) {
	path := filepath.Join(t.TempDir(), "performance.md")
	if err := checkReportFile(path); err != nil {
		t.Fatalf("a file that does not exist yet: %v", err)
	}
	if err := writeReport(path, "first"); err != nil {
		t.Fatal(err)
	}
	made, _ := os.ReadFile(path)
	os.WriteFile(path, []byte("Before.\n"+string(made)+"After.\n"), 0o644)
	if err := checkReportFile(path); err != nil {
		t.Fatal(err)
	}
	if err := writeReport(path, "second"); err != nil {
		t.Fatal(err)
	}
	got, _ := os.ReadFile(path)
	want := "Before.\n# Performance\n\n" + markBegin + "\n\nsecond\n\n" + markEnd + "\nAfter.\n"
	if string(got) != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestCheckReportFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "other.md")
	for _, text := range []string{"no marks", markBegin + "\nno end", markEnd + "\n" + markBegin} {
		os.WriteFile(path, []byte(text), 0o644)
		if checkReportFile(path) == nil {
			t.Errorf("accepted %q", text)
		}
	}
}
