package tests

import (
	"encoding/json"
	"fmt"
	"math"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"riptide-proxy/tests/harness"
)

// watched are tenants with something of everything that there are metrics of.
var watched = []harness.Tenant{
	{ID: "acme", Secret: "acme-secret", YAML: "    quotas: {memory: 1GiB, ops_per_second: 1000000, connections: 100}\n    compression: {algorithm: zstd, min_size: 64B}\n"},
	{ID: "full", Secret: "full-secret", YAML: "    quotas: {keys: 2}\n"},
	{ID: "fast", Secret: "fast-secret", YAML: "    quotas: {ops_per_second: 10, ops_burst: 10}\n"},
}

// startWatched runs a proxy for them, with every part that has metrics.
func startWatched(t *testing.T) *harness.Proxy {
	redis := harness.StartRedis(t)
	server := harness.NewAuthority(t, "the test's authority").Server(t, "server")
	top := fmt.Sprintf("tls: {listen: '127.0.0.1:%d', cert: %s, key: %s}\n", harness.FreePort(t), server.Cert, server.Key) +
		issuerYAML + fmt.Sprintf("      algorithms: [HS256]\n      refresh: 1s\n      keys: [{algorithm: HS256, file: %s}]\n", harness.KeyFile(t, []byte(strings.Repeat("k", 32)))) +
		"audit: {dir: audit, level: write}\nstate_dir: state\ncheckpoint: {interval: 500ms}\n" +
		"usage: {flush: 100ms}\naccounting: {interval: 1s}\n"
	p := harness.StartProxy(t, redis.Addr, harness.Options{Tenants: watched, Top: top, Limits: "  clients: 50\n"})
	p.Ready(t)
	return p
}

// metricsTraffic runs a little of everything once.
func metricsTraffic(t *testing.T, p *harness.Proxy, all map[string]*harness.Conn) {
	t.Helper()
	run := func(tenant string, args ...string) {
		t.Helper()
		do(t, all[tenant], args...)
	}
	for i := range 10 {
		key := "key:" + strconv.Itoa(i)
		run("acme", "SET", key, strings.Repeat("compressible ", 50))
		run("acme", "GET", key)
	}
	run("acme", "GET", "nowhere")
	run("acme", "INCR", "key:1") // an error
	run("acme", "EVAL", "return 1", "0")
	run("acme", "PUBLISH", "channel", "message")
	run("acme", "PING")
	for i := range 5 {
		run("full", "SET", "key:"+strconv.Itoa(i), "v")
	}
	for range 20 {
		run("fast", "GET", "k")
	}
	c, err := harness.Dial(p.Addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	do(t, c, "AUTH", "acme", "wrong")
}

func connectWatched(t *testing.T, p *harness.Proxy) map[string]*harness.Conn {
	t.Helper()
	all := make(map[string]*harness.Conn)
	for _, tenant := range watched {
		all[tenant.ID] = p.Connect(t, tenant)
	}
	return all
}

// prometheus asks a real Prometheus.
type prometheus struct {
	t    *testing.T
	addr string
}

func (p *prometheus) ask(path string, form url.Values, to any) {
	p.t.Helper()
	r, err := http.PostForm("http://"+p.addr+path, form)
	if form == nil {
		r, err = http.Get("http://" + p.addr + path)
	}
	if err != nil {
		p.t.Fatal(err)
	}
	defer r.Body.Close()
	var reply struct {
		Status, Error string
		Data          json.RawMessage
	}
	if err := json.NewDecoder(r.Body).Decode(&reply); err != nil || reply.Status != "success" {
		p.t.Fatalf("%s %v: %s %v", path, form, reply.Error, err)
	}
	if err := json.Unmarshal(reply.Data, to); err != nil {
		p.t.Fatal(err)
	}
}

// samples are what a query returns that is a number.
func (p *prometheus) samples(query string) (found []float64) {
	p.t.Helper()
	var data struct {
		Result []struct{ Value [2]any }
	}
	p.ask("/api/v1/query", url.Values{"query": {query}}, &data)
	for _, r := range data.Result {
		v, err := strconv.ParseFloat(r.Value[1].(string), 64)
		if err != nil {
			p.t.Fatal(err)
		}
		if !math.IsNaN(v) {
			found = append(found, v)
		}
	}
	return found
}

// dashboard is what is tested of a file in deploy/grafana.
type dashboard struct {
	UID, Title string
	Panels     []struct {
		ID      int
		Type    string
		Title   string
		Targets []struct{ Expr, LegendFormat string }
		GridPos struct{ X, Y, W, H int }
	}
	Templating struct {
		List []struct{ Name, Type, Definition string }
	}
}

func dashboards(t *testing.T) (all []*dashboard) {
	t.Helper()
	files, err := filepath.Glob("../deploy/grafana/*.json")
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		d := new(dashboard)
		if err := json.Unmarshal(text, d); err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		all = append(all, d)
	}
	return all
}

// Each query of the dashboards returns numbers when a real Prometheus has watched a real proxy for a few seconds, each
// variable has values, and the rules are evaluated.
func TestMonitoringByPrometheus(t *testing.T) {
	t.Parallel()
	p := startWatched(t)
	rules, err := filepath.Abs("../deploy/prometheus/rules.yml")
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "prometheus.yml")
	text := fmt.Sprintf("global: {scrape_interval: 500ms, scrape_timeout: 500ms, evaluation_interval: 1s}\nrule_files: [%s]\n"+
		"scrape_configs: [{job_name: riptide-proxy, static_configs: [{targets: ['%s']}]}]\n", rules, p.Admin)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	prom := &prometheus{t, harness.StartPrometheus(t, file).Addr}
	all := connectWatched(t, p)

	type query struct{ where, expr string }
	var open []query
	for _, d := range dashboards(t) {
		for _, v := range d.Templating.List {
			if v.Type == "query" {
				metric, _, _ := strings.Cut(strings.TrimPrefix(v.Definition, "label_values("), ", ")
				open = append(open, query{d.Title + ", variable " + v.Name, metric})
			}
		}
		for _, panel := range d.Panels {
			for _, target := range panel.Targets {
				expr := strings.NewReplacer("$__rate_interval", "5s", "$instance", ".*", "$tenant", "acme").Replace(target.Expr)
				open = append(open, query{d.Title + ", panel " + panel.Title, expr})
			}
		}
	}
	if len(open) < 40 {
		t.Fatalf("%d queries", len(open))
	}
	for end := time.Now().Add(20 * time.Second); len(open) > 0 && time.Now().Before(end); {
		metricsTraffic(t, p, all)
		var still []query
		for _, q := range open {
			if len(prom.samples(q.expr)) == 0 {
				still = append(still, q)
			}
		}
		open = still
	}
	for _, q := range open {
		t.Errorf("%s: no data for %s", q.where, q.expr)
	}
	var groups struct {
		Groups []struct {
			Rules []struct{ Name, Query, Health, LastError string }
		}
	}
	prom.ask("/api/v1/rules", nil, &groups)
	n := 0
	for _, g := range groups.Groups {
		for _, r := range g.Rules {
			n++
			if r.Health == "err" || r.LastError != "" {
				t.Errorf("rule %s: %s", r.Name, r.LastError)
			}
			prom.samples(r.Query) // fails if it is no query
		}
	}
	if n < 20 {
		t.Errorf("%d rules", n)
	}
}
