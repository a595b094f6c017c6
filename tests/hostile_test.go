package tests

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"riptide-proxy/tests/harness"
)

// canary is a client that goes on working while something bad happens to the
// proxy. It notices wrong and missing answers.
type canary struct {
	stop   chan struct{}
	done   chan struct{}
	rounds atomic.Int64
	worst  time.Duration
	err    error

	patience time.Duration // how long one round may take
}

// startCanary sets and gets keys on a connection of its own until finish.
func startCanary(t *testing.T, p *harness.Proxy) *canary {
	t.Helper()
	c := p.Connect(t, harness.Globex)
	k := &canary{stop: make(chan struct{}), done: make(chan struct{}), patience: 3 * time.Second}
	go func() {
		defer close(k.done)
		for i := 0; ; i++ {
			select {
			case <-k.stop:
				return
			default:
			}
			began := time.Now()
			v := fmt.Sprint("canary ", i)
			set, err := c.Do("SET", "canary", v)
			if err == nil {
				var get string
				get, err = c.Do("GET", "canary")
				if want := fmt.Sprintf("$%d\r\n%s\r\n", len(v), v); err == nil && (set != "+OK\r\n" || get != want) {
					err = fmt.Errorf("SET: %q, GET: %q, want %q", set, get, want)
				}
			}
			if err != nil {
				k.err = err
				return
			}
			k.worst = max(k.worst, time.Since(began))
			k.rounds.Add(1)
		}
	}()
	return k
}

// finish checks that all went well until now.
func (k *canary) finish(t *testing.T) {
	t.Helper()
	after := k.rounds.Load()
	harness.Eventually(t, "the canary sings", func() bool {
		select {
		case <-k.done:
			return true
		default:
			return k.rounds.Load() > after+10
		}
	})
	close(k.stop)
	<-k.done
	if k.err != nil {
		t.Errorf("the canary: %v", k.err)
	}
	if k.worst > k.patience {
		t.Errorf("the canary had to wait %v", k.worst)
	}
	t.Logf("canary: %d rounds, the slowest %v", k.rounds.Load(), k.worst.Round(time.Microsecond))
}

// peak watches how much memory a process uses until the returned function is
// called, which gives the highest amount in bytes.
func peak(t *testing.T, p *harness.Process) func() int {
	stop, result := make(chan struct{}), make(chan int)
	go func() {
		tick := time.NewTicker(10 * time.Millisecond)
		defer tick.Stop()
		highest := 0
		for {
			highest = max(highest, resident(p.Cmd.Process.Pid))
			select {
			case <-stop:
				result <- highest
				return
			case <-tick.C:
			}
		}
	}()
	return func() int { close(stop); return <-result }
}

// resident is a process's resident memory, 0 when that can not be told.
func resident(pid int) int {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", pid))
	if err != nil {
		return 0
	}
	var size, pages int
	fmt.Sscan(string(b), &size, &pages)
	return pages * os.Getpagesize()
}

// hostileProxy is what most of these tests attack.
func hostileProxy(t *testing.T, limits string) *harness.Proxy {
	t.Helper()
	p := harness.StartProxy(t, harness.StartRedis(t).Addr, harness.Options{Limits: limits})
	p.Ready(t)
	return p
}

// alive checks that the process has survived.
func alive(t *testing.T, p *harness.Proxy) {
	t.Helper()
	if !p.Running() {
		t.Fatal("the proxy died")
	}
	if log := p.Log(); strings.Contains(log, "panic") {
		t.Errorf("the proxy had a panic: %s", log)
	}
}

// Lengths that are negative, enormous or no numbers end the connection with an
// error, before a login and after it, wherever the input is cut.
func TestHostileLengths(t *testing.T) {
	t.Parallel()
	p := hostileProxy(t, "")
	k := startCanary(t, p)
	high := peak(t, p.Process)
	for _, request := range []string{
		"*2147483648\r\n", "*9223372036854775807\r\n", "*9223372036854775808\r\n", "*99999999999999999999999\r\n", "*-9223372036854775809\r\n",
		"*1048577\r\n", "*+1\r\n", "*01\r\n", "*1 \r\n", "*\r\n", "*1\n$4\r\nPING\r\n", "*1\r\r", "*1\rx", "*1\r\n$-1\r\n", "*1\r\n$-9223372036854775808\r\n",
		"*1\r\n$536870913\r\n", "*1\r\n$2147483647\r\n", "*1\r\n$9223372036854775807\r\n", "*1\r\n$18446744073709551620\r\n", "*1\r\n$\r\n",
		"*1\r\n$4x\r\n", "*1\r\n$04\r\n", "*1\r\n$4\rPING", "*1\r\n$4\r\nPINGxx", "*1\r\n+PING\r\n", "*1\r\n*1\r\n$4\r\nPING\r\n",
		"\"unbalanced\r\n", "'unbalanced\r\n", "\"x\"y\r\n", "*" + strings.Repeat("1", 70<<10), "*1\r\n$" + strings.Repeat("1", 70<<10), strings.Repeat("a ", 40<<10),
	} {
		for _, login := range []bool{false, true} {
			for _, chunk := range []int{1 << 20, 1} {
				if chunk == 1 && len(request) > 100 {
					continue
				}
				c := dial(t, p)
				if login {
					expect(t, c, "+OK\r\n", "AUTH", "acme", "acme-secret")
				}
				for b := request; b != ""; {
					n := min(chunk, len(b))
					if _, err := io.WriteString(c, b[:n]); err != nil {
						break
					}
					b = b[n:]
				}
				c.SetReadDeadline(time.Now().Add(5 * time.Second))
				reply, err := io.ReadAll(c.R)
				if err != nil && !errors.Is(err, os.ErrDeadlineExceeded) {
					err = nil // a reset does as well
				}
				if err != nil || len(reply) > 0 && !bytes.HasPrefix(reply, []byte("-ERR Protocol error: ")) || bytes.Count(reply, []byte("\r\n")) > 1 {
					t.Errorf("%.60q (login %v, in pieces of %d): %.100q, %v", request, login, chunk, reply, err)
				}
				c.Close()
			}
		}
	}
	k.finish(t)
	alive(t, p)
	t.Logf("peak %d MiB", high()>>20)
}

// What is announced and never sent costs next to nothing, however often.
func TestHostilePromises(t *testing.T) {
	t.Parallel()
	p := hostileProxy(t, "")
	k := startCanary(t, p)
	before := p.RSS(t)
	high := peak(t, p.Process)
	for _, promise := range []string{
		"*1048576\r\n", "*1048576\r\n$3\r\nDEL\r\n$1\r\nk\r\n", "*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$536870912\r\n", "*2\r\n$536870912\r\nx",
		"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$536870912\r\n" + strings.Repeat("v", 600), "*1048576\r\n" + strings.Repeat("$0\r\n\r\n", 100),
	} {
		for range 100 {
			c := p.Connect(t, harness.Acme)
			if _, err := io.WriteString(c, promise); err != nil {
				t.Fatal(err)
			}
		}
	}
	k.finish(t)
	alive(t, p)
	if grown := high() - before; grown > 64<<20 {
		t.Errorf("600 empty promises cost %d MiB", grown>>20)
	} else {
		t.Logf("600 empty promises cost %d MiB", grown>>20)
	}
}

// A stranger who sends 512 MiB is not listened to.
func TestHostileBulkBeforeLogin(t *testing.T) {
	t.Parallel()
	p := hostileProxy(t, "")
	k := startCanary(t, p)
	before := p.RSS(t)
	high := peak(t, p.Process)
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			c, err := net.Dial("tcp", p.Addr)
			if err != nil {
				t.Error(err)
				return
			}
			defer c.Close()
			io.WriteString(c, "*2\r\n$4\r\nAUTH\r\n$536870912\r\n")
			c.SetDeadline(time.Now().Add(10 * time.Second))
			go flood(c, []byte("x"), 512<<20)
			reply, err := bufio.NewReader(c).ReadString('\n')
			if reply != "-ERR Protocol error: unauthenticated bulk length\r\n" && !errors.Is(err, syscall.ECONNRESET) {
				t.Errorf("%q, %v", reply, err)
			}
		})
	}
	wg.Wait()
	k.finish(t)
	alive(t, p)
	if grown := high() - before; grown > 32<<20 {
		t.Errorf("it cost %d MiB", grown>>20)
	}
}

// Clients that send a byte at a time are served like any other.
func TestHostileByteByByte(t *testing.T) {
	t.Parallel()
	p := hostileProxy(t, "")
	k := startCanary(t, p)
	before := p.RSS(t)
	length := 2 * time.Second
	if full {
		length = time.Minute
	}
	end := time.Now().Add(length)
	var wg sync.WaitGroup
	var sent atomic.Int64
	for i := range 50 {
		c := p.Connect(t, harness.Acme)
		wg.Go(func() {
			value := fmt.Sprintf("value %d %s", i, strings.Repeat("v", 600))
			want := "+OK\r\n" + fmt.Sprintf("$%d\r\n%s\r\n", len(value), value)
			request := append(harness.Request("SET", fmt.Sprint("k", i), value), fmt.Sprintf("  GET   k%d \r\n", i)...)
			for time.Now().Before(end) {
				for j := range request {
					if _, err := c.Write(request[j : j+1]); err != nil {
						t.Error(err)
						return
					}
				}
				set, err := c.Reply()
				get, err2 := c.Reply()
				if err != nil || err2 != nil || set+get != want {
					t.Errorf("SET: %q, %v, GET: %.80q, %v", set, err, get, err2)
					return
				}
				sent.Add(int64(len(request)))
			}
		})
	}
	wg.Wait()
	k.finish(t)
	alive(t, p)
	grown := p.RSS(t) - before
	t.Logf("%d bytes, one at a time; %d MiB more", sent.Load(), grown>>20)
	if grown > 48<<20 {
		t.Errorf("it cost %d MiB", grown>>20)
	}
}

// Half a command and then nothing keeps nobody waiting. Strangers are sent
// away after a while.
func TestHostileSilence(t *testing.T) {
	p := hostileProxy(t, "  auth_timeout: 1s\n")
	k := startCanary(t, p)
	var strangers []*harness.Conn
	for _, half := range []string{"", "*", "*2\r\n$3\r\nGE", "*2\r\n$3\r\nGET\r\n$5\r\nab", "GET ", "*2\r\n$3\r\nGET\r\n$1\r\nk\r"} {
		for range 50 {
			c := p.Connect(t, harness.Acme)
			io.WriteString(c, half)
			s := dial(t, p)
			io.WriteString(s, half)
			strangers = append(strangers, s)
		}
	}
	for _, s := range strangers {
		s.SetReadDeadline(time.Now().Add(10 * time.Second))
		if b, err := io.ReadAll(s.R); err != nil || len(b) > 0 {
			t.Fatalf("a stranger was not sent away: %q, %v", b, err)
		}
	}
	k.finish(t)
	alive(t, p)
}
