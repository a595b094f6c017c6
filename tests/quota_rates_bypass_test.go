package tests

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	"riptide-proxy/config"
	"riptide-proxy/tests/harness"
)

// admittedOf reads the replies to n commands and counts those that were admitted: not refused for the
// rate. What a transaction has queued and then not run counts as well.
func admittedOf(t *testing.T, c *harness.Conn, n int) (admitted int) {
	t.Helper()
	for range n {
		reply, err := c.Reply()
		switch {
		case err != nil:
			t.Error(err)
			return admitted
		case strings.HasPrefix(reply, "-THROTTLED "), strings.HasPrefix(reply, "-EXECABORT "):
		case strings.HasPrefix(reply, "-"):
			t.Errorf("a reply is %q", reply)
		default:
			admitted++
		}
	}
	return admitted
}

func connect(t *testing.T, p *harness.Proxy, user string) *harness.Conn {
	t.Helper()
	c, err := harness.Dial(p.Addr)
	if err != nil {
		t.Error(err)
		return nil
	}
	c.SetDeadline(time.Now().Add(time.Minute))
	if reply, err := c.Do("AUTH", user, strings.TrimPrefix(user, "acme")+harness.Acme.Secret); err != nil || reply != "+OK\r\n" {
		t.Errorf("AUTH %s: %q, %v", user, reply, err)
	}
	return c
}

// pipelined sends n times the same commands in one write.
func pipelined(t *testing.T, c *harness.Conn, n int, commands ...[]string) int {
	t.Helper()
	var b []byte
	for range n {
		for _, args := range commands {
			b = append(b, harness.Request(args...)...)
		}
	}
	var running sync.WaitGroup
	running.Go(func() {
		if _, err := c.Write(b); err != nil {
			t.Error(err)
		}
	})
	defer running.Wait()
	return admittedOf(t, c, n*len(commands))
}

// However a tenant's clients go about it, together they get no more than the tenant's rate.
func TestRateBypass(t *testing.T) {
	const rate, burst, lasts = 200, 100, 2 * time.Second
	quotas := fmt.Sprintf("ops_per_second: %d, script_cost: 4", rate)
	tenant := limitedTo(quotas)
	users := []string{"acme"}
	for i := range 8 {
		users = append(users, fmt.Sprintf("acme.u%d", i))
	}
	tenant.YAML = "      " + strings.Join(usersOf(users[1:]), "\n      ") + "\n" + limitedTo(quotas).YAML
	proxies := fleet(t, 3, tenant)
	for _, attack := range []struct {
		name    string
		clients int
		each    func(t *testing.T, i int, ends time.Time) (operations int)
	}{
		{"many connections", 60, func(t *testing.T, i int, ends time.Time) (n int) {
			c := connect(t, proxies[i%3], "acme")
			defer c.Close()
			for time.Now().Before(ends) {
				n += pipelined(t, c, 1, []string{"GET", "k"})
			}
			return n
		}},
		{"many users", 9, func(t *testing.T, i int, ends time.Time) (n int) {
			c := connect(t, proxies[i%3], users[i])
			defer c.Close()
			for time.Now().Before(ends) {
				n += pipelined(t, c, 1, []string{"GET", "k"})
			}
			return n
		}},
		{"pipelines", 3, func(t *testing.T, i int, ends time.Time) (n int) {
			c := connect(t, proxies[i%3], "acme")
			defer c.Close()
			for time.Now().Before(ends) {
				n += pipelined(t, c, 1000, []string{"INCR", "k"})
			}
			return n
		}},
		{"transactions", 3, func(t *testing.T, i int, ends time.Time) (n int) {
			c := connect(t, proxies[i%3], "acme")
			defer c.Close()
			for time.Now().Before(ends) {
				n += pipelined(t, c, 10, []string{"MULTI"}, []string{"INCR", "k"}, []string{"PING"}, []string{"EXEC"})
			}
			return n
		}},
		{"scripts", 6, func(t *testing.T, i int, ends time.Time) (n int) {
			c := connect(t, proxies[i%3], "acme")
			defer c.Close()
			for time.Now().Before(ends) {
				n += 5 * pipelined(t, c, 10, []string{"EVAL", "return redis.call('GET', KEYS[1])", "1", "k"})
			}
			return n
		}},
		{"reconnecting", 6, func(t *testing.T, i int, ends time.Time) (n int) {
			for time.Now().Before(ends) {
				c := connect(t, proxies[i%3], "acme")
				n += pipelined(t, c, 10, []string{"GET", "k"})
				c.Close()
			}
			return n
		}},
		{"moving between proxies", 2, func(t *testing.T, i int, ends time.Time) (n int) {
			for time.Now().Before(ends) {
				c := connect(t, proxies[rand.IntN(3)], "acme")
				n += pipelined(t, c, 200, []string{"GET", "k"})
				c.Close()
			}
			return n
		}},
		{"errors", 3, func(t *testing.T, i int, ends time.Time) (n int) {
			c := connect(t, proxies[i%3], "acme")
			defer c.Close()
			for time.Now().Before(ends) {
				c.Send("NOSUCH")
				c.Send("GET")
				for range 2 {
					if reply, err := c.Reply(); err != nil {
						t.Error(err)
						return n
					} else if strings.HasPrefix(reply, "-ERR ") {
						n++
					}
				}
			}
			return n
		}},
		{"select and reset", 3, func(t *testing.T, i int, ends time.Time) (n int) {
			c := connect(t, proxies[i%3], "acme")
			defer c.Close()
			for time.Now().Before(ends) {
				n += pipelined(t, c, 10, []string{"SELECT", "1"}, []string{"CLIENT", "SETNAME", "x"}, []string{"UNWATCH"}, []string{"HELLO"})
			}
			return n
		}},
	} {
		t.Run(attack.name, func(t *testing.T) {
			time.Sleep(1200 * time.Millisecond) // until the bucket is full, which is all that it can be
			var (
				running sync.WaitGroup
				mu      sync.Mutex
				total   int
				began   = time.Now()
			)
			for i := range attack.clients {
				running.Go(func() {
					n := attack.each(t, i, began.Add(lasts))
					mu.Lock()
					defer mu.Unlock()
					total += n
				})
			}
			running.Wait()
			took := time.Since(began).Seconds()
			most := burst + rate*took
			t.Logf("%d of %.0f", total, most)
			// What is paid after it has run may be too much once: a script's cost, or what is not refused.
			if slack := 0.05*most + 5*float64(attack.clients); float64(total) > most+slack {
				t.Errorf("%d operations in %.1f s", total, took)
			}
			if float64(total) < most/2 {
				t.Errorf("only %d operations in %.1f s", total, took)
			}
		})
	}
}

// usersOf are the YAML lines of users that have acme's secret with their name.
func usersOf(names []string) (lines []string) {
	for _, name := range names {
		lines = append(lines, strings.TrimPrefix(name, "acme.")+": {sha256: ["+config.HashSecret(strings.TrimPrefix(name, "acme")+harness.Acme.Secret)+"]}")
	}
	return lines
}
