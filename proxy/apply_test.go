package proxy

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"riptide-proxy/config"
	"riptide-proxy/tests/harness"
)

// configOf is a configuration for the proxy that startProxy has started. tenants are what stands
// behind each tenant's users, in YAML's flow style; without an entry a tenant is not there.
func configOf(t testing.TB, s *Server, tenants map[string]string, more ...string) *config.Config {
	t.Helper()
	text := "listen: 127.0.0.1:0\nupstream: {addresses: [" + s.target.Address + "]}\nusage: {flush: 0s}\n" + strings.Join(more, "\n") + "\ntenants:\n"
	for id, with := range tenants {
		text += "  " + id + ": {users: {default: {sha256: [" + hashOf(id) + "]}, second: {sha256: [" + hashOf(id+"-second") + "]}}" + with + "}\n"
	}
	cfg, _, err := config.Parse("test.yaml", []byte(text), nil)
	if err != nil {
		t.Fatal(err)
	}
	return cfg
}

func apply(t testing.TB, s *Server, tenants map[string]string, more ...string) {
	t.Helper()
	if err := s.Apply(t.Context(), configOf(t, s, tenants, more...)); err != nil {
		t.Fatal(err)
	}
}

func TestApplyWho(t *testing.T) {
	s := startEmbedded(t, options{loops: 2})
	both := map[string]string{"acme": "", "globex": ""}
	apply(t, s, both)
	stays := login(t, s, "acme")
	second := dial(t, s)
	second.expect("+OK\r\n", "AUTH", "acme.second", secretOf("acme-second"))
	other := login(t, s, "globex")
	stays.expect("+OK\r\n", "SET", "k", "v")
	stays.expect("+OK\r\n", "SELECT", "3")

	t.Run("a tenant comes", func(t *testing.T) {
		apply(t, s, map[string]string{"acme": "", "globex": "", "initech": ""})
		login(t, s, "initech").expect("$-1\r\n", "GET", "k")
	})
	t.Run("a user goes", func(t *testing.T) {
		cfg := configOf(t, s, both)
		delete(cfg.Tenants["acme"].Users, "second")
		if err := s.Apply(t.Context(), cfg); err != nil {
			t.Fatal(err)
		}
		second.ends()
		late := dial(t, s)
		late.expect("-WRONGPASS invalid username-password pair or user is disabled.\r\n", "AUTH", "acme.second", secretOf("acme-second"))
	})
	t.Run("a secret changes", func(t *testing.T) {
		apply(t, s, both)
		c := dial(t, s)
		c.expect("+OK\r\n", "AUTH", "acme.second", secretOf("acme-second"))
		cfg := configOf(t, s, both)
		u := cfg.Tenants["acme"].Users["second"]
		u.SHA256 = append([]string{hashOf("acme-new")}, u.SHA256...)
		if err := s.Apply(t.Context(), cfg); err != nil {
			t.Fatal(err)
		}
		c.expect("$1\r\nv\r\n", "GET", "k") // the old one is good still
		n := dial(t, s)
		n.expect("+OK\r\n", "AUTH", "acme.second", secretOf("acme-new"))
		cfg = configOf(t, s, both)
		cfg.Tenants["acme"].Users["second"].SHA256 = []string{hashOf("acme-new")}
		if err := s.Apply(t.Context(), cfg); err != nil {
			t.Fatal(err)
		}
		c.ends()
		n.expect("$1\r\nv\r\n", "GET", "k")
	})
	t.Run("a tenant is suspended", func(t *testing.T) {
		apply(t, s, map[string]string{"acme": "", "globex": ", suspended: true"})
		other.ends()
		dial(t, s).expect("-NOPERM this tenant is suspended\r\n", "AUTH", "globex", secretOf("globex"))
	})
	apply(t, s, both)
	other = login(t, s, "globex")
	t.Run("a tenant goes", func(t *testing.T) {
		other.send("SUBSCRIBE c")
		other.next()
		apply(t, s, map[string]string{"acme": ""})
		other.ends()
		dial(t, s).expect("-WRONGPASS invalid username-password pair or user is disabled.\r\n", "AUTH", "globex", secretOf("globex"))
	})
	t.Run("the databases are others", func(t *testing.T) {
		apply(t, s, both)
		c := login(t, s, "globex")
		c.expect("+OK\r\n", "SELECT", "9")
		apply(t, s, map[string]string{"acme": "", "globex": ", databases: 4"})
		c.ends()
		login(t, s, "globex").expect("-ERR DB index is out of range\r\n", "SELECT", "9")
	})
	// It has noticed nothing of all this.
	stays.expect("$-1\r\n", "GET", "k")
	stays.expect("+OK\r\n", "SELECT", "0")
	stays.expect("$1\r\nv\r\n", "GET", "k")
	stays.expect("+OK\r\n", "AUTH", "acme", secretOf("acme"))
	harness.Eventually(t, "those who had to go are gone", func() bool { return stats(t, s).Tenants["globex"].Connections <= 1 })
}

// Who logs in while the configuration changes is let in by the new one.
func TestApplyLogin(t *testing.T) {
	s := startEmbedded(t, options{})
	phc := config.HashArgon2id("slow-secret")
	cfg := configOf(t, s, map[string]string{"acme": ""})
	cfg.Tenants["acme"].Users["second"] = &config.User{Argon2id: []string{phc}}
	if err := s.Apply(t.Context(), cfg); err != nil {
		t.Fatal(err)
	}
	s.logins <- struct{}{}
	s.logins <- struct{}{} // none is computed
	c := dial(t, s)
	c.send("AUTH acme.second slow-secret")
	harness.Eventually(t, "the login waits", func() bool { return s.queue.Load() == 1 })
	apply(t, s, map[string]string{"acme": ""})
	<-s.logins
	<-s.logins
	c.read("-WRONGPASS invalid username-password pair or user is disabled.\r\n")
	c.expect("-NOAUTH Authentication required.\r\n", "GET", "k")
}

func TestApplyRates(t *testing.T) {
	r := harness.StartRedis(t)
	s := startProxy(t, r.Addr, options{})
	c, idle := login(t, s, "acme"), login(t, s, "acme")
	const delay = ", quotas: {ops_per_second: 2, ops_burst: 2, over: delay}"
	apply(t, s, map[string]string{"acme": delay, "globex": ""})
	// They stand in line, and go on as soon as the limit is gone.
	for range 300 {
		c.send("PING")
	}
	harness.Eventually(t, "commands wait", func() bool { return stats(t, s).Tenants["acme"].Throttled > 0 })
	apply(t, s, map[string]string{"acme": "", "globex": ""})
	for range 300 {
		c.read("+PONG\r\n")
	}
	apply(t, s, map[string]string{"acme": ", quotas: {ops_per_second: 1, ops_burst: 1}", "globex": ""})
	refused := 0
	for range 20 {
		if strings.HasPrefix(idle.do("PING"), "-THROTTLED tenant acme is over operations (1/s)") {
			refused++
		}
	}
	if refused < 10 {
		t.Errorf("%d of 20 were refused", refused)
	}
	for range 50 { // each has its own bucket's lease, and none is left behind
		apply(t, s, map[string]string{"acme": ", quotas: {ops_per_second: 100000}", "globex": ""})
		apply(t, s, map[string]string{"acme": ", quotas: {ops_per_second: 200000}", "globex": ""})
		idle.expect("+PONG\r\n", "PING")
	}
	onLoop(t, s.workers[0], func() {
		if n := len(s.workers[0].meters); n > 1 {
			t.Errorf("%d meters are awake", n)
		}
	})
}

func TestApplyCounts(t *testing.T) {
	r := harness.StartRedis(t)
	s := startProxy(t, r.Addr, options{loops: 2})
	all := []*client{login(t, s, "acme"), login(t, s, "acme"), login(t, s, "acme")}
	all[0].send("SUBSCRIBE a b")
	all[0].next()
	all[0].next()
	all[1].expect("+OK\r\n", "WATCH", "k")
	const full = "-ERR max number of clients reached: tenant acme has its quota of 3 connections\r\n"
	apply(t, s, map[string]string{"acme": ", quotas: {connections: 3, pinned: 1, subscriptions: 2}"})
	dial(t, s).expect(full, "AUTH", "acme", secretOf("acme"))
	all[2].expect("-ERR tenant acme is over its quota of pinned (1)\r\n", "WATCH", "k")
	all[2].expect("-ERR tenant acme is over its quota of subscriptions (2)\r\n", "SUBSCRIBE", "c")
	apply(t, s, map[string]string{"acme": ", quotas: {connections: 4}"})
	fourth := dial(t, s)
	harness.Eventually(t, "there is room for one more", func() bool { return fourth.do("AUTH", "acme", secretOf("acme")) == "+OK\r\n" })
	apply(t, s, map[string]string{"acme": ""})
	for range 5 {
		all = append(all, login(t, s, "acme"))
	}
	all[2].expect("+OK\r\n", "WATCH", "k")
	for _, c := range append(all, fourth) {
		c.Close()
	}
	harness.Eventually(t, "they are gone", func() bool { return stats(t, s).Tenants["acme"].Connections == 0 })
	// What was counted while nothing was limited has been taken back.
	apply(t, s, map[string]string{"acme": ", quotas: {connections: 1}"})
	one := dial(t, s)
	harness.Eventually(t, "there is room for one", func() bool { return one.do("AUTH", "acme", secretOf("acme")) == "+OK\r\n" })
}

func TestApplySpace(t *testing.T) {
	r := harness.StartRedis(t)
	s := startProxy(t, r.Addr, options{})
	c := login(t, s, "acme")
	big := strings.Repeat("x", 100<<10)
	c.expect("+OK\r\n", "SET", "k", big)
	apply(t, s, map[string]string{"acme": ", quotas: {memory: 64KiB}"})
	harness.Eventually(t, "it is over the limit", func() bool {
		return strings.HasPrefix(c.do("SET", "k2", big), "-OOM tenant acme is over its memory quota")
	})
	c.expect(":1\r\n", "EXISTS", "k")
	apply(t, s, map[string]string{"acme": ", quotas: {memory: 10MiB}"})
	c.expect("+OK\r\n", "SET", "k2", big)
	apply(t, s, map[string]string{"acme": ", quotas: {memory: 64KiB}"})
	harness.Eventually(t, "it is over the limit again", func() bool { return strings.HasPrefix(c.do("SET", "k3", big), "-OOM") })
	apply(t, s, map[string]string{"acme": ""})
	c.expect("+OK\r\n", "SET", "k3", big)
	if n := len(s.workers[0].spaces); n != 0 {
		t.Errorf("%d meters are left", n)
	}
}

func TestApplyValues(t *testing.T) {
	r := harness.StartRedis(t)
	s := startProxy(t, r.Addr, options{})
	c := login(t, s, "acme")
	plain := compressible(10 << 10)
	c.expect("+OK\r\n", "SET", "before", plain)
	const zstd = ", compression: {algorithm: zstd}"
	apply(t, s, map[string]string{"acme": zstd, "globex": ""})
	c.expect("+OK\r\n", "SET", "compressed", plain)
	apply(t, s, map[string]string{"acme": ", compression: {algorithm: lz4}", "globex": ""})
	c.expect("+OK\r\n", "SET", "lz4", plain)
	apply(t, s, map[string]string{"acme": "", "globex": ""})
	c.expect("+OK\r\n", "SET", "after", plain)
	for key, small := range map[string]bool{"before": false, "compressed": true, "lz4": true, "after": false} {
		c.expect(string(bulk(plain)), "GET", key)
		if n, err := s.client.StrLen(t.Context(), "t:acme:0:"+key).Result(); err != nil || (n < int64(len(plain)/2)) != small {
			t.Errorf("%s takes %d bytes in the upstream", key, n)
		}
	}
	// Keys that can not be had keep everything as it is.
	cfg := configOf(t, s, map[string]string{"acme": "", "globex": ""})
	cfg.EncryptionKeys = map[string]*config.MasterKey{"k": {File: "/nowhere/at/all"}}
	before := s.conf()
	if err := s.Apply(t.Context(), cfg); err == nil || s.conf() != before {
		t.Error(err)
	}
}

// Nobody who may stay notices that the configuration changes again and again, whatever it changes.
func TestApplyUnderLoad(t *testing.T) {
	r := harness.StartRedis(t)
	s := startProxy(t, r.Addr, options{loops: 2})
	ctx, cancel := context.WithCancel(t.Context())
	var load sync.WaitGroup
	var commands atomic.Int64
	for i := range 8 {
		c := login(t, s, []string{"acme", "globex"}[i%2])
		load.Go(func() {
			for n := 0; ctx.Err() == nil; n++ {
				key, value := fmt.Sprintf("k%d", i), fmt.Sprintf("%d-%d", i, n)
				c.write(pipeline("SET "+key+" "+value, "GET "+key, "MULTI", "INCR n", "EXEC", "HSET h"+key+" f "+value))
				want := fmt.Sprintf("+OK\r\n$%d\r\n%s\r\n+OK\r\n+QUEUED\r\n", len(value), value)
				got := c.next() + c.next() + c.next() + c.next()
				exec, hset := c.next(), c.next()
				if got != want || !strings.HasPrefix(exec, "*1\r\n:") || hset[0] != ':' {
					t.Errorf("%q, %q, %q instead of %q", got, exec, hset, want)
					return
				}
				commands.Add(6)
			}
		})
	}
	quotas := []string{"", "quotas: {ops_per_second: 10000000}", "quotas: {memory: 1GiB, keys: 1000000}", "quotas: {connections: 1000, pinned: 100}",
		"compression: {algorithm: s2, min_size: 64B}", "quotas: {weight: 200, value: 1MiB, pipeline: 10000}"}
	applies := 300
	if testing.Short() {
		applies = 30
	}
	for i := range applies {
		one, two := quotas[i%len(quotas)], quotas[i/len(quotas)%len(quotas)]
		tenants := map[string]string{"acme": ", " + one, "globex": ", " + two}
		if i%3 == 0 {
			tenants[fmt.Sprintf("t%d", i)] = ""
		}
		apply(t, s, tenants, fmt.Sprintf("limits: {output_buffer: %dMiB, fair: %v}", 32+i%3, i%4 > 0))
		if i%50 == 0 {
			before := commands.Load()
			harness.Eventually(t, "commands go on", func() bool { return commands.Load() > before || t.Failed() })
		}
	}
	cancel()
	load.Wait()
	sum := stats(t, s)
	if sum.Tenants["acme"].Connections != 4 || sum.Tenants["globex"].Connections != 4 {
		t.Errorf("%d and %d connections", sum.Tenants["acme"].Connections, sum.Tenants["globex"].Connections)
	}
}

// What a departed tenant has counted is dropped after a while.
func TestApplyDeparted(t *testing.T) {
	s := startEmbedded(t, options{})
	apply(t, s, map[string]string{"acme": "", "globex": ""})
	login(t, s, "globex").expect("$-1\r\n", "GET", "k")
	apply(t, s, map[string]string{"acme": ""})
	if sum := stats(t, s); sum.Tenants["globex"] == nil {
		t.Error("it is dropped at once")
	}
	r := *s.conf()
	for i := range r.departed {
		r.departed[i].at = time.Now().Add(-departedTime)
	}
	s.now.Store(&r)
	apply(t, s, map[string]string{"acme": ""})
	if sum := stats(t, s); sum.Tenants["globex"] != nil || len(s.conf().departed) != 0 {
		t.Error("it is never dropped")
	}
}
