package main

import (
	"bufio"
	"net"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"go.yaml.in/yaml/v3"
)

func TestNamesAreUnique(t *testing.T) {
	seen := map[string]bool{}
	for _, r := range rows {
		seen[r.name()] = true
	}
	for _, r := range statefulRows {
		seen[r.name()] = true
	}
	for _, r := range valueRows {
		seen[r.name()] = true
	}
	for _, r := range tenantRows {
		seen[r.name()] = true
	}
	for _, r := range sideRows {
		seen[r.name()] = true
	}
	for _, x := range targets {
		seen[x.name] = true
	}
	if want := len(rows) + len(statefulRows) + len(valueRows) + len(tenantRows) + len(sideRows) + len(targets); len(seen) != want {
		t.Errorf("%d names for %d rows and targets", len(seen), want)
	}
}

func TestChooseRows(t *testing.T) {
	choose := func(args ...string) (int, int, []row) {
		o, err := parseOptions(args)
		if err != nil {
			t.Fatal(err)
		}
		plain, stateful, values, tenants := chooseRows(o)
		if want := len(args) == 0; (len(stateful) == len(statefulRows)) != want || (len(values) == len(valueRows)) != want {
			t.Errorf("%q: %d rows with state, %d with values", args, len(stateful), len(values))
		}
		return len(plain), len(tenants), plain
	}
	if n, m, _ := choose(); n != len(rows) || m != len(tenantRows) {
		t.Errorf("default: %d and %d rows", n, m)
	}
	if n, m, plain := choose("-quick"); n != 8 || m != 2 || plain[0].requests >= rows[4].requests {
		t.Errorf("quick: %d and %d rows, %d requests", n, m, plain[0].requests)
	}
	if n, m, _ := choose("-only", "^c50-p1-64b"); n != 2 || m != 0 {
		t.Errorf("only: %d and %d rows", n, m)
	}
}

func TestChooseTargets(t *testing.T) {
	names := func(forValues bool, args ...string) string {
		o, err := parseOptions(args)
		if err != nil {
			t.Fatal(err)
		}
		chosen, err := chooseTargets(o, forValues)
		if err != nil {
			return err.Error()
		}
		var all []string
		for _, c := range chosen {
			all = append(all, c.name)
		}
		return strings.Join(all, " ")
	}
	if got := names(false); got != "direct haproxy twemproxy predixy riptide" {
		t.Error(got)
	}
	if got := names(true); got != "direct haproxy twemproxy predixy riptide riptide-lz4 riptide-s2 riptide-zstd riptide-aes" {
		t.Error(got)
	}
	if got := names(false, "-targets", "riptide-zstd,direct"); got != "direct riptide-zstd" {
		t.Error(got)
	}
	if got := names(false, "-targets", "direct,envoy"); !strings.Contains(got, `"envoy"`) {
		t.Error(got)
	}
}

func TestContent(t *testing.T) {
	for _, v := range []value{small, large} {
		got := v.content()
		if len(got) != v.size || got != v.content() || strings.Contains(got, "_") {
			t.Errorf("%s: %d bytes, %.60q", v.name, len(got), got)
		}
		if len(v.keyName(7)) != 16 {
			t.Errorf("%s: key %q", v.name, v.keyName(7))
		}
	}
}

func TestVersions(t *testing.T) {
	for _, c := range []struct{ pattern, text, want string }{
		{`v=(\S+)`, "Redis server v=7.0.15 sha=00000000:0 malloc=jemalloc-5.3.0", "7.0.15"},
		{`nutcracker-(\S+)`, "This is nutcracker-0.5.0\nasync event backend: epoll\n", "0.5.0"},
		{`version (\S+)`, "HAProxy version 2.6.12-1+deb12u4 2026/10/17 - https://haproxy.org/\n", "2.6.12-1+deb12u4"},
		{`predixy-(\S+)$`, "/opt/predixy-1.0/predixy predixy-1.0.5\n", "1.0.5"},
		{`v=(\S+)`, "no idea", "unknown version"},
	} {
		if got := (versionOf{pattern: c.pattern}).match(c.text); got != c.want {
			t.Errorf("%q: got %q, want %q", c.text, got, c.want)
		}
	}
}

// The configuration is read back as the proxy would read it.
func TestRiptideConfig(t *testing.T) {
	v := variant{tenant: "acme", settings: "quotas: {memory: 1GiB}"}
	tenants := v.tenants()
	var got struct {
		Listen  string
		Loops   int
		Admin   struct{ Listen string }
		Tenants map[string]struct {
			Users  map[string]struct{ Sha256 []string }
			Quotas map[string]string
		}
	}
	text := riptideConfig(1, 2, 3, tenants, v.settings)
	if err := yaml.Unmarshal([]byte(text), &got); err != nil {
		t.Fatal(err)
	}
	if got.Listen != "127.0.0.1:1" || got.Admin.Listen != "127.0.0.1:2" || got.Loops != 1 || len(got.Tenants) != tenantCount {
		t.Errorf("%s %s, %d loops, %d tenants", got.Listen, got.Admin.Listen, got.Loops, len(got.Tenants))
	}
	for _, who := range []login{tenants[0], tenants[999]} {
		tenant := got.Tenants[who.User]
		if len(who.User) != 4 || tenant.Users["default"].Sha256[0] != hexSHA256(who.Secret) || tenant.Quotas["memory"] != "1GiB" {
			t.Errorf("%s: %+v", who.User, tenant)
		}
	}
}

// Each reload changes a secret and a quota, and every other one has a tenant more.
func TestReloadFiles(t *testing.T) {
	e := &env{dir: t.TempDir()}
	v := variant{tenant: "flea", count: 3, folder: true}
	folder, err := e.tenantFiles("t", v.tenants())
	if err != nil {
		t.Fatal(err)
	}
	var before string
	for n, want := range []int{5, 4, 5} {
		if _, err := changeTenants(folder, n); err != nil {
			t.Fatal(err)
		}
		all, err := filepath.Glob(filepath.Join(folder, "*.yaml"))
		text, err2 := os.ReadFile(filepath.Join(folder, "fresh.yaml"))
		if err != nil || err2 != nil || len(all) != want || string(text) == before {
			t.Errorf("%d: %q, %s, %v, %v", n, all, text, err, err2)
		}
		before = string(text)
	}
}

func TestTenantSets(t *testing.T) {
	all := variant{tenant: "acme"}.tenants()
	if got := oneTenant.logins(all); len(got) != len(all) || got[999] != all[0] {
		t.Error("one tenant is not on every connection")
	}
	if got := manyTenants.logins(all); !reflect.DeepEqual(got, all) {
		t.Error("not every connection has its own tenant")
	}
}

func TestRotate(t *testing.T) {
	all := []int{1, 2, 3}
	if got := rotate(all, 4); !reflect.DeepEqual(got, []int{2, 3, 1}) {
		t.Error(got)
	}
	if all[0] != 1 {
		t.Error("rotate changed its argument")
	}
}

// pretend answers a worker with fixed bytes.
func pretend(j job, reply string) *worker {
	w := newWorker(j, 3)
	near, far := net.Pipe()
	w.conn = &conn{Conn: near, r: bufio.NewReader(near)}
	go func() {
		buf := make([]byte, len(w.batch))
		for {
			if _, err := far.Read(buf); err != nil {
				return
			}
			far.Write([]byte(reply))
		}
	}()
	return w
}

func TestWorker(t *testing.T) {
	j := job{Op: "GET", Pipeline: 2, Keys: 10}
	hit := "$64\r\n" + small.content() + "\r\n"
	w := pretend(j, hit+hit)
	if err := w.run(time.Now().Add(10 * time.Millisecond)); err != nil || len(w.took) == 0 {
		t.Fatalf("%v after %d batches", err, len(w.took))
	}
	w.pickKeys()
	if got := string(w.batch); !strings.Contains(got, "\r\nk64:00000000003") || strings.Count(got, "GET") != 2 {
		t.Errorf("connection 3 owns keys 30 to 39, but its batch is %q", got)
	}
	w.conn.Close()
	for _, reply := range []string{"$-1\r\n$-1\r\n", "-ERR no\r\n", "+OK\r\n+OK\r\n", hit + "$-1\r\n" + strings.Repeat(".", 70)} {
		w := pretend(j, reply)
		w.conn.SetDeadline(time.Now().Add(time.Second))
		if err := w.run(time.Now().Add(time.Minute)); err == nil || !strings.Contains(err.Error(), "unexpected reply") {
			t.Errorf("%.20q: %v", reply, err)
		}
		w.conn.Close()
	}
}

func TestPercentile(t *testing.T) {
	var took []time.Duration
	for i := range 101 {
		took = append(took, time.Duration(i)*time.Millisecond)
	}
	if p50, p99 := percentile(took, 50), percentile(took, 99); p50 != 50 || p99 != 99 {
		t.Error(p50, p99)
	}
	if percentile(nil, 99) != 0 {
		t.Error("percentile of nothing")
	}
}

func TestReply(t *testing.T) {
	for in, want := range map[string]string{
		"+PONG\r\n": "PONG", ":12\r\n": "12", "$3\r\na\r\n\r\n": "a\r\n",
		"-ERR x\r\n": "!", "$-1\r\n": "!", "*1\r\n": "!", "\r\n": "!", "$9\r\nshort": "!", "$x\r\n": "!",
	} {
		got, err := (&conn{r: bufio.NewReader(strings.NewReader(in))}).reply()
		if err != nil {
			got = "!"
		}
		if got != want {
			t.Errorf("%q: got %q, want %q", in, got, want)
		}
	}
}

// The clock of a process must count what this process uses.
func TestCPUTime(t *testing.T) {
	before, err := cpuTime(os.Getpid())
	if err != nil {
		t.Skip(err)
	}
	for until := time.Now().Add(20 * time.Millisecond); time.Now().Before(until); {
	}
	after, _ := cpuTime(os.Getpid())
	if used := after - before; used <= 0 || used > 10*time.Second {
		t.Errorf("used %v", used)
	}
}
