package tests

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"

	"riptide-proxy/config"
	"riptide-proxy/tests/harness"
)

// reloads tells a proxy by a signal to take its files over, and waits until it has, or has said why not.
type reloads struct {
	p *harness.Proxy
}

var (
	reloadDone    = regexp.MustCompile(`another configuration is running"? generation=(\d+) source=signal`)
	reloadRefused = regexp.MustCompile(`the configuration was not taken over"? source=signal`)
)

// said is what the proxy has said last: the generation, and how many refusals there were since. Its log is kept for a
// while only.
func (r *reloads) said() string {
	log, generation := r.p.Log(), ""
	if all := reloadDone.FindAllStringSubmatchIndex(log, -1); len(all) > 0 {
		last := all[len(all)-1]
		generation, log = log[last[2]:last[3]], log[last[1]:]
	}
	return fmt.Sprint(generation, " ", len(reloadRefused.FindAllString(log, -1)))
}

// do writes the file and sends the signal.
func (r *reloads) do(t *testing.T, text string) {
	t.Helper()
	name := r.p.Config + ".new"
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(name, r.p.Config); err != nil {
		t.Fatal(err)
	}
	before := r.said()
	if err := r.p.Cmd.Process.Signal(syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	harness.Eventually(t, "the configuration is looked at", func() bool { return r.said() != before })
}

func read(t *testing.T, name string) string {
	t.Helper()
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// Whatever is changed again and again under load, nobody who may stay is disconnected or gets a wrong answer.
func TestReloadUnderLoad(t *testing.T) {
	t.Parallel()
	r := harness.StartRedis(t)
	dir := t.TempDir()
	p := harness.StartProxy(t, r.Addr, harness.Options{Top: "plans:\n  big: {ops_per_second: 100000000, memory: 10GiB}\ntenants_dir: " + dir + "\n"})
	p.Ready(t)
	p.Connect(t, harness.Acme).Do("SET", "fixed", "fixed")
	stop := make(chan struct{})
	sum, wg := load(t, p, 20, stop)
	guest := p.Connect(t, harness.Globex)
	text := read(t, p.Config)
	times := 40
	if full {
		times = 1000
	}
	x := &reloads{p}
	for i := range times {
		changed := strings.Replace(text, "  acme:\n", fmt.Sprintf("  acme:\n    plan: big\n    quotas: {weight: %d, connections: %d}\n", 100+i%100, 1000+i), 1)
		changed = strings.Replace(changed, "usage:", fmt.Sprintf("accounting: {commands_per_second: %d}\nusage:", 4000+i), 1)
		if i%2 == 0 {
			changed = strings.Replace(changed, "  acme:\n", "  acme:\n    compression: {algorithm: s2, min_size: 64B}\n", 1)
		}
		own := filepath.Join(dir, fmt.Sprintf("t%d.yaml", i%10))
		if err := os.WriteFile(own, []byte("users: {default: {sha256: ["+config.HashSecret(fmt.Sprintf("t%d-secret", i))+"]}}\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		x.do(t, changed)
		c := p.Connect(t, harness.Tenant{ID: fmt.Sprintf("t%d", i%10), Secret: fmt.Sprintf("t%d-secret", i)})
		if reply, err := c.Do("GET", "fixed"); reply != "$-1\r\n" || err != nil {
			t.Fatal(reply, err)
		}
		c.Close()
		if reply, err := guest.Do("ECHO", "x"); reply != "$1\r\nx\r\n" || err != nil {
			t.Fatal(reply, err)
		}
	}
	close(stop)
	wg.Wait()
	for id, n := range sum.unknown {
		if n > 0 {
			t.Errorf("%s: %d commands are unknown to have run", id, n)
		}
	}
	if sum.refused > 0 || strings.Contains(p.Log(), "not taken over") || strings.Contains(p.Log(), "panic") {
		t.Errorf("%d commands were refused", sum.refused)
	}
	var n int
	if fmt.Sscan(x.said(), &n); n < times+1 {
		t.Errorf("%d of %d configurations were taken over", n-1, times)
	}
}

// wrong are values, by key, that are not to be had.
var wrong = map[string][]string{
	"listen":                         {"nonsense", "[]", "127.0.0.1:99999", "{}"},
	"loops":                          {"-1", "many", "1.5", "[]", "100000"},
	"shutdown_timeout":               {"-1s", "soon", "30", "{}"},
	"cluster_facade":                 {"perhaps", "[]", "2"},
	"announce":                       {"nowhere", "a:b:c", "[]"},
	"limits.clients":                 {"0", "-5", "few", "[]"},
	"limits.bulk":                    {"1GiB", "0", "big", "-1MiB"},
	"limits.request":                 {"1KiB", "9GiB", "big"},
	"limits.output_buffer":           {"1", "much", "[]"},
	"limits.auth_timeout":            {"-1s", "never", "[]"},
	"limits.fair":                    {"unfair", "3"},
	"limits.unheard_of":              {"1"},
	"plans.p.ops_per_second":         {"-1", "fast", "[]", "1.5"},
	"plans.p.memory":                 {"-1MiB", "lots", "[]"},
	"plans.p.weight":                 {"-1", "0", "heavy"},
	"plans.p.over":                   {"explode", "[]"},
	"plans.p.nonsense":               {"1"},
	"plans.p.connections":            {"-1", "some"},
	"plans.p.ops_burst":              {"-2", "x"},
	"accounting.unreachable":         {"half", "[]"},
	"accounting.interval":            {"1ms", "never", "25h"},
	"accounting.commands_per_second": {"-1", "all"},
	"billing.digits":                 {"-2", "x"},
	"billing.nonsense":               {"1"},
	"encryption_keys.k":              {"{}", "{file: a, env: b}", "{nonsense: 1}", "3"},
	"tenants_dir":                    {"/nowhere/at/all", "[]"},
	"fleet_secret":                   {"[]", "{}"},
	"nonsense":                       {"1", "[]"},
	"billing.currency":               {"[]", "{}"},
	"billing.unheard_of":             {"1", "x"},
}

// hopeless are whole texts.
var hopeless = []string{"", "[]", "listen", "\x00", "a: [", "a: b: c", "\xff\xfe", "- a\n- b", "--- 1\n--- 2", "tenants: {}", "? [a]\n: b", "&a", "*a", "!x y", strings.Repeat("[", 20000), "\t", "a: 'b", "tenants: {a: {users: {}}}"}

// A configuration with a mistake is refused with its place, and all goes on as before.
func TestReloadBroken(t *testing.T) {
	t.Parallel()
	p := harness.StartProxy(t, "", harness.Options{})
	c := p.Connect(t, harness.Acme)
	c.Do("SET", "k", "v")
	text := read(t, p.Config)
	x := &reloads{p}
	n := 0
	refuses := func(broken, place string) {
		t.Helper()
		n++
		before := len(p.Log())
		x.do(t, broken)
		log := p.Log()[before:]
		if strings.Contains(log, "another configuration") || !strings.Contains(log, place) {
			t.Errorf("%q: no %q in %s", broken[max(0, len(broken)-100):], place, log)
		}
		if reply, err := c.Do("GET", "k"); reply != "$1\r\nv\r\n" || err != nil {
			t.Fatalf("after %q: %q, %v", broken, reply, err)
		}
	}
	for key, values := range wrong {
		for _, value := range values {
			broken := text
			for depth, word := range strings.Split(key, ".") {
				broken += "\n" + strings.Repeat("  ", depth) + word + ":"
			}
			refuses(broken+" "+value+"\n", fmt.Sprintf("riptide.yaml:%d: %s", strings.Count(broken, "\n")+1, key))
		}
	}
	for _, broken := range hopeless {
		refuses(broken, "riptide.yaml:")
	}
	refuses(strings.Replace(text, config.HashSecret(harness.Acme.Secret), "abc", 1), "tenants.acme.users.default.sha256[0]")
	refuses(strings.Replace(text, config.HashSecret(harness.Acme.Secret), config.HashSecret(harness.Globex.Secret), 1), "the same secret")
	if n < 100 {
		t.Errorf("only %d", n)
	}
	x.do(t, text+"loops: 0\n")
	if !strings.Contains(p.Log()[strings.LastIndex(p.Log(), "not taken over"):], "another configuration is running") {
		t.Error("what is right is not taken over any more")
	}
	if reply, err := c.Do("GET", "k"); reply != "$1\r\nv\r\n" || err != nil {
		t.Error(reply, err)
	}
}
