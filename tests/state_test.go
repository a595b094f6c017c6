package tests

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"riptide-proxy/checkpoint"
	"riptide-proxy/proxy"
	"riptide-proxy/tests/harness"
)

// keeping is a tenant with something to keep of.
var keeping = harness.Tenant{ID: "acme", Secret: "acme-secret", YAML: "    quotas: {ops_per_second: 100000, memory: 10MiB, keys: 100000}\n"}

// stateful is a proxy that keeps its state, and often.
func stateful(top string) harness.Options {
	return harness.Options{Tenants: []harness.Tenant{keeping}, Top: "state_dir: state\ncheckpoint: {interval: 100ms, keep: 3}\n" + top}
}

func stateDir(p *harness.Proxy) string { return filepath.Join(filepath.Dir(p.Config), "state") }

// checkpoints wants all that there are to be whole, and returns how many they are and the youngest.
func checkpoints(t *testing.T, dir string) (n int, youngest checkpoint.Info) {
	t.Helper()
	store, err := checkpoint.Open(dir, 3)
	if err != nil {
		t.Fatal(err)
	}
	all, err := store.List()
	if err != nil {
		t.Fatal(err)
	}
	for i, info := range all {
		_, body, err := store.Read(info.Number)
		if errors.Is(err, checkpoint.ErrNone) {
			continue // the proxy has removed it just now
		}
		if err == nil {
			_, err = proxy.ParseState(body)
		}
		if err != nil {
			t.Fatalf("checkpoint %d: %v", info.Number, err)
		}
		if i == 0 {
			youngest = info
		}
	}
	return len(all), youngest
}

// crashCounter has clients count in one key, on new connections whenever they lose theirs.
type crashCounter struct {
	answered atomic.Int64
	stop     chan struct{}
	done     sync.WaitGroup
}

func countThrough(p *harness.Proxy, clients int) *crashCounter {
	k := &crashCounter{stop: make(chan struct{})}
	for range clients {
		k.done.Go(func() {
			for {
				select {
				case <-k.stop:
					return
				case <-time.After(time.Millisecond):
				}
				c, err := harness.Dial(p.Addr)
				if err != nil {
					continue
				}
				if reply, err := c.Do("AUTH", keeping.ID, keeping.Secret); err == nil && reply == "+OK\r\n" {
					k.count(c)
				}
				c.Close()
			}
		})
	}
	return k
}

func (k *crashCounter) count(c *harness.Conn) {
	for {
		select {
		case <-k.stop:
			return
		default:
		}
		reply, err := c.Do("INCR", "n")
		if err != nil || !strings.HasPrefix(reply, ":") {
			return
		}
		k.answered.Add(1)
	}
}

func (k *crashCounter) end() int64 {
	close(k.stop)
	k.done.Wait()
	return k.answered.Load()
}

// kills is how many times the proxy is killed.
func kills() int {
	if full {
		return 200
	}
	return 12
}

// A proxy that is killed at random moments under load, while it starts and while it serves, comes up each time: all
// its checkpoints are whole, and the ledger has never more than clients were answered.
func TestStateKilled(t *testing.T) {
	t.Parallel()
	redis := harness.StartRedis(t)
	p := harness.StartProxy(t, redis.Addr, stateful("usage: {flush: 100ms}\n"))
	k := countThrough(p, 4)
	r := rand.New(rand.NewPCG(6, 8))
	newest := uint64(0)
	for round := range kills() {
		if round%2 == 0 {
			time.Sleep(time.Duration(r.IntN(300)) * time.Millisecond)
			p.Kill()
		} else {
			p.Launch(t)
			time.Sleep(time.Duration(r.IntN(60)) * time.Millisecond)
			p.Kill()
		}
		n, youngest := checkpoints(t, stateDir(p))
		if youngest.Number < newest {
			t.Fatalf("round %d: checkpoint %d after %d (there are %d)", round, youngest.Number, newest, n)
		}
		newest = youngest.Number
		if round%2 == 1 || round+1 == kills() {
			p.Restart(t)
			if log := p.Log(); strings.Contains(log, "WARN") || strings.Contains(log, "ERROR") || newest > 0 && !strings.Contains(log, "there is a checkpoint") {
				t.Fatalf("round %d: it comes up with %s", round, log)
			}
			c := p.Connect(t, keeping)
			// What was lent to killed processes is lost, so there may be nothing left of the rate for a moment.
			harness.Eventually(t, "it serves", func() bool { return do(t, c, "PING") == "+PONG\r\n" })
			c.Close()
		}
	}
	harness.Eventually(t, "it keeps as many as it is to", func() bool {
		n, youngest := checkpoints(t, stateDir(p))
		newest = youngest.Number
		return n == 3
	})
	answered := k.end()
	p.Cmd.Process.Signal(syscall.SIGTERM)
	if err, ok := p.Wait(20 * time.Second); err != nil || !ok {
		t.Fatalf("it does not end: %v, %t", err, ok)
	}
	if n, youngest := checkpoints(t, stateDir(p)); n != 3 || youngest.Number <= newest {
		t.Errorf("at the end there are %d checkpoints, the youngest is %d", n, youngest.Number)
	}
	if used := usedBy(t, p, "acme"); used.Writes > answered || used.Writes == 0 {
		t.Errorf("the ledger has %d writes, and %d were answered", used.Writes, answered)
	}
	p.Restart(t)
	counted, err := strconv.ParseInt(strings.Trim(strings.SplitN(do(t, p.Connect(t, keeping), "GET", "n"), "\r\n", 3)[1], "\r\n"), 10, 64)
	if err != nil || counted < answered {
		t.Errorf("the upstream has counted %d, clients %d (%v)", counted, answered, err)
	}
}

// A damaged checkpoint is skipped with a warning and the one before is used; if all are damaged the proxy
// begins without.
func TestStateDamaged(t *testing.T) {
	t.Parallel()
	redis := harness.StartRedis(t)
	p := harness.StartProxy(t, redis.Addr, stateful(""))
	damage := func(info checkpoint.Info, how func(path string, b []byte) error) {
		t.Helper()
		path := filepath.Join(stateDir(p), fmt.Sprintf("checkpoint-%020d", info.Number))
		b, err := os.ReadFile(path)
		if err == nil {
			err = how(path, b)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	hows := map[string]func(path string, b []byte) error{
		"cut off":   func(path string, b []byte) error { return os.WriteFile(path, b[:len(b)-7], 0o600) },
		"empty":     func(path string, _ []byte) error { return os.WriteFile(path, nil, 0o600) },
		"one bit":   func(path string, b []byte) error { b[len(b)-3] ^= 4; return os.WriteFile(path, b, 0o600) },
		"exchanged": func(path string, _ []byte) error { return os.WriteFile(path, bytes.Repeat([]byte("x"), 4096), 0o600) },
	}
	for name, how := range hows {
		harness.Eventually(t, "there are several checkpoints", func() bool { n, _ := checkpoints(t, stateDir(p)); return n >= 2 })
		p.Kill()
		_, youngest := checkpoints(t, stateDir(p))
		damage(youngest, how)
		p.Restart(t)
		skipped := fmt.Sprintf(" file=%s/checkpoint-%020d ", stateDir(p), youngest.Number)
		used := fmt.Sprintf(" number=%d ", youngest.Number-1)
		if log := p.Log(); !strings.Contains(log, "a checkpoint is skipped") || !strings.Contains(log, skipped) || !strings.Contains(log, used) {
			t.Errorf("%s: it comes up with %s", name, log)
		}
		if reply := do(t, p.Connect(t, keeping), "PING"); reply != "+PONG\r\n" {
			t.Errorf("%s: %q", name, reply)
		}
		p.Kill()
		os.Remove(filepath.Join(stateDir(p), fmt.Sprintf("checkpoint-%020d", youngest.Number)))
		p.Restart(t)
	}
	p.Kill()
	entries, err := filepath.Glob(filepath.Join(stateDir(p), "checkpoint-*"))
	if err != nil || len(entries) == 0 {
		t.Fatalf("%q, %v", entries, err)
	}
	for _, path := range entries {
		if err := os.WriteFile(path, []byte("x"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	p.Restart(t)
	if log := p.Log(); strings.Count(log, "a checkpoint is skipped") != len(entries) || strings.Contains(log, "there is a checkpoint") {
		t.Errorf("with %d damaged ones it comes up with %s", len(entries), log)
	}
	do(t, p.Connect(t, keeping), "PING")
}

// What was known of a tenant's keys is known at once after a crash, though the upstream is away; what is unknown is not
// there.
func TestStateWithoutUpstream(t *testing.T) {
	t.Parallel()
	redis := harness.StartRedis(t)
	p := harness.StartProxy(t, redis.Addr, stateful(""))
	c := p.Connect(t, keeping)
	do(t, c, "SET", "k", strings.Repeat("x", 1<<20))
	const name = `riptide_tenant_quota_usage{resource="memory",tenant="acme"}`
	var before float64
	harness.Eventually(t, "what is used is known", func() bool {
		do(t, c, "APPEND", "more", strings.Repeat("x", 10<<10)) // until the loop needs some more
		before = metric(t, p, name)
		return before > 0.09
	})
	at := metric(t, p, "riptide_checkpoint_last_timestamp_seconds")
	harness.Eventually(t, "it is in a checkpoint", func() bool {
		return metric(t, p, "riptide_checkpoint_last_timestamp_seconds") > at
	})
	if n := metric(t, p, "riptide_checkpoint_duration_seconds_count"); n < 1 {
		t.Errorf("riptide_checkpoint_duration_seconds_count is %v", n)
	}
	redis.Kill()
	p.Kill()
	p.Restart(t)
	if after := metric(t, p, name); after < 0.09 {
		t.Errorf("%v of the memory is used, and it was %v", after, before)
	}
	p.Kill()
	os.RemoveAll(stateDir(p))
	p.Restart(t)
	if after := metric(t, p, name); after > 0 {
		t.Errorf("%v of the memory is used, says who does not know", after)
	}
}

// SIGTERM under load ends within shutdown_timeout, also if the upstream does not answer any more; usage that could not be
// reported waits for the next process, and counts once.
func TestStateShutdown(t *testing.T) {
	t.Parallel()
	const timeout = 3 * time.Second
	redis := harness.StartRedis(t)
	p := harness.StartProxy(t, redis.Addr, stateful(fmt.Sprintf("shutdown_timeout: %v\nusage: {flush: 10m, grace: 20m}\n", timeout)))
	stop := func() {
		t.Helper()
		began := time.Now()
		p.Cmd.Process.Signal(syscall.SIGTERM)
		_, ok := p.Wait(20 * time.Second)
		if took := time.Since(began); !ok || took > timeout+time.Duration(shorter(500, 3000))*time.Millisecond { // and what the machine takes, busy with other tests
			t.Errorf("it took %v to end, and may take %v", took, timeout)
		}
	}
	load := func() *crashCounter {
		k := countThrough(p, 8)
		harness.Eventually(t, "there is load", func() bool { return k.answered.Load() > 1000 })
		return k
	}
	first := load()
	stop()
	answered := first.end()
	p.Restart(t)
	answered += load().end()
	stuck := load()
	if err := redis.Cmd.Process.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	defer redis.Cmd.Process.Signal(syscall.SIGCONT)
	stop()
	if err := redis.Cmd.Process.Signal(syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	most := answered + stuck.end() // who still waited had not been answered all, as far as was known
	spooled, _ := filepath.Glob(filepath.Join(stateDir(p), "usage", "*.usage"))
	if used := usedBy(t, p, "acme"); len(spooled) != 1 || used.Writes >= answered {
		t.Errorf("in the spool: %q, in the ledger: %d of %d", spooled, used.Writes, answered)
	}
	p.Restart(t)
	p.Cmd.Process.Signal(syscall.SIGTERM) // which reports
	if err, ok := p.Wait(10 * time.Second); err != nil || !ok {
		t.Fatalf("%v, %t", err, ok)
	}
	if used := usedBy(t, p, "acme"); used.Writes < answered || used.Writes > most {
		t.Errorf("the ledger has %d writes, and %d to %d were answered", used.Writes, answered, most)
	}
}
