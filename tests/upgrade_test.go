package tests

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"riptide-proxy/tests/harness"
)

// upgrades is how often the process is replaced while the clients work.
func upgrades() int {
	if full {
		return 20
	}
	return 2
}

// visitors are load on a proxy that is being replaced.
type visitors struct {
	t    *testing.T
	p    *harness.Proxy
	stop chan struct{}
	done sync.WaitGroup

	visits  atomic.Int64 // of clients that come, ask and go
	counted atomic.Int64 // by clients with a pool
	kept    atomic.Int64 // answered on connections that are kept as long as the proxy likes
	renewed atomic.Int64 // such connections that were closed
}

func (k *visitors) each(n int, f func(i int)) {
	for i := range n {
		k.done.Go(func() {
			for {
				select {
				case <-k.stop:
					return
				default:
				}
				f(i)
			}
		})
	}
}

// visit connects, asks and goes. Nothing of it may fail, whichever process it is that answers.
func (k *visitors) visit(i int) {
	c, err := harness.Dial(k.p.Addr)
	if err != nil {
		k.t.Errorf("a visitor was refused: %v", err)
		return
	}
	defer c.Close()
	value := fmt.Sprint("v", k.visits.Add(1))
	key := fmt.Sprint("visitor", i)
	for _, step := range []struct {
		args []string
		want string
	}{
		{[]string{"AUTH", harness.Acme.ID, harness.Acme.Secret}, "+OK\r\n"},
		{[]string{"SET", key, value}, "+OK\r\n"},
		{[]string{"GET", key}, fmt.Sprintf("$%d\r\n%s\r\n", len(value), value)},
	} {
		if reply, err := c.Do(step.args...); err != nil || reply != step.want {
			k.t.Errorf("a visitor's %q: %q, %v", step.args, reply, err)
			return
		}
	}
	time.Sleep(time.Millisecond) // a visitor's port is not free at once when it has gone
}

// keep asks on one connection until that is closed, which must be between two answers.
func (k *visitors) keep(i int) {
	c, err := harness.Dial(k.p.Addr)
	if err != nil {
		k.t.Errorf("who comes back was refused: %v", err)
		return
	}
	defer c.Close()
	if reply, err := c.Do("AUTH", harness.Acme.ID, harness.Acme.Secret); err != nil || reply != "+OK\r\n" {
		k.t.Errorf("who comes back: %q, %v", reply, err)
		return
	}
	for n := 0; ; n++ {
		select {
		case <-k.stop:
			return
		default:
		}
		text := fmt.Sprintf("%d-%d", i, n)
		reply, err := c.Do("ECHO", text)
		if err != nil {
			if reply != "" || !errors.Is(err, io.EOF) && !errors.Is(err, syscall.ECONNRESET) && !errors.Is(err, syscall.EPIPE) {
				k.t.Errorf("an answer was cut off: %q, %v", reply, err)
			}
			k.renewed.Add(1)
			return
		}
		if reply != fmt.Sprintf("$%d\r\n%s\r\n", len(text), text) {
			k.t.Errorf("%q for %q", reply, text)
		}
		k.kept.Add(1)
	}
}

// A proxy is replaced again and again under load: nobody who connects is refused or not answered, no answer is cut off
// or another's, clients with an ordinary pool notice nothing, and what they count is counted once.
func TestUpgradeUnderLoad(t *testing.T) {
	t.Parallel()
	server := harness.StartRedis(t)
	p := harness.StartProxy(t, server.Addr, harness.Options{Top: "state_dir: state\nshutdown_timeout: 1s\n"})
	client := p.Client(t, harness.Acme, func(o *redis.Options) { o.MaxRetries, o.PoolSize = 3, 8 })
	k := &visitors{t: t, p: p, stop: make(chan struct{})}
	ctx := harness.Context(t)
	k.each(3, k.visit)
	k.each(3, k.keep)
	k.each(6, func(int) {
		if err := client.Incr(ctx, "n").Err(); err != nil {
			t.Errorf("a client with a pool: %v", err)
			return
		}
		k.counted.Add(1)
	})
	pid := harness.Owner(t, stateDir(p))
	for range upgrades() {
		before := k.visits.Load()
		out, err := exec.Command(harness.Binary(t), "upgrade", "--config", p.Config).CombinedOutput()
		if err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		next := harness.Owner(t, stateDir(p))
		if next == pid || !strings.Contains(string(out), fmt.Sprintf("process %d has taken over from process %d", next, pid)) {
			t.Fatalf("process %d after %d: %s", next, pid, out)
		}
		harness.EndsWith(t, next)
		harness.Eventually(t, "the old process has ended", func() bool { return !harness.Exists(pid) })
		harness.Eventually(t, "visitors are served", func() bool { return k.visits.Load() > before+20 })
		pid = next
	}
	close(k.stop)
	k.done.Wait()
	n, err := client.Get(ctx, "n").Int64()
	if err != nil || n != k.counted.Load() {
		t.Errorf("%d was counted, and %d answered (%v)", n, k.counted.Load(), err)
	}
	t.Logf("%d processes, %d visitors, %d counted through a pool, %d answered on kept connections, of which %d were renewed",
		1+upgrades(), k.visits.Load(), n, k.kept.Load(), k.renewed.Load())
	if k.renewed.Load() == 0 {
		t.Error("the old process has ended with its connections")
	}
	ended := strings.Count(p.Log(), "stopped")
	if ended != upgrades() || strings.Contains(p.Log(), "shutdown timeout") {
		t.Errorf("%d of %d processes have ended as they should", ended, upgrades())
	}
	if got := strconv.Itoa(harness.Owner(t, stateDir(p))); got != strconv.Itoa(pid) {
		t.Errorf("the folder is process %s's, and %d serves", got, pid)
	}
}

// A unix socket keeps its name while the process behind it is replaced, and loses it with the last one.
func TestUpgradeUnixSocket(t *testing.T) {
	t.Parallel()
	server := harness.StartRedis(t)
	dir, err := os.MkdirTemp("", "riptide") // short enough for a socket's name
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	path := filepath.Join(dir, "s")
	p := harness.StartProxy(t, server.Addr, harness.Options{Top: "state_dir: state\nshutdown_timeout: 1s\nunix: {listen: " + path + ", mode: 0600}\n"})
	pid := harness.Owner(t, stateDir(p))
	for range 2 {
		out, err := exec.Command(harness.Binary(t), "upgrade", "--config", p.Config).CombinedOutput()
		if err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		next := harness.Owner(t, stateDir(p))
		harness.EndsWith(t, next)
		harness.Eventually(t, "the old process has ended", func() bool { return !harness.Exists(pid) })
		client := redis.NewClient(&redis.Options{Network: "unix", Addr: path, Username: harness.Acme.ID, Password: harness.Acme.Secret})
		if err := client.Set(harness.Context(t), "k", "v", 0).Err(); err != nil {
			t.Error(err)
		}
		client.Close()
		if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
			t.Error(info, err)
		}
		pid = next
	}
	if err := syscall.Kill(pid, syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	harness.Eventually(t, "the socket is gone", func() bool { _, err := os.Lstat(path); return os.IsNotExist(err) })
}
