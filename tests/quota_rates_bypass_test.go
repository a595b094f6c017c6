package tests

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
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

// rateTarget is what a tenant of its own tries one way on.
type rateTarget struct {
	t       *testing.T
	proxies []*harness.Proxy
	tenant  harness.Tenant
}

// connect logs in as a user, "" is the default one.
func (r *rateTarget) connect(proxy int, user string) *harness.Conn {
	r.t.Helper()
	c, err := harness.Dial(r.proxies[proxy%len(r.proxies)].Addr)
	if err != nil {
		r.t.Error(err)
		return nil
	}
	c.SetDeadline(time.Now().Add(time.Minute))
	name := strings.TrimSuffix(r.tenant.ID+"."+user, ".")
	if reply, err := c.Do("AUTH", name, user+r.tenant.Secret); err != nil || reply != "+OK\r\n" {
		r.t.Errorf("AUTH %s: %q, %v", name, reply, err)
	}
	return c
}

// rateUsers is how many users a tenant has besides the default one.
const rateUsers = 8

// limitedUsers is a tenant with quotas and users, whose secrets are the tenant's with their name in front.
func limitedUsers(id, quotas string) harness.Tenant {
	tenant := harness.Tenant{ID: id, Secret: id + "-secret"}
	for i := range rateUsers {
		user := fmt.Sprint("u", i)
		tenant.YAML += fmt.Sprintf("      %s: {sha256: [%s]}\n", user, config.HashSecret(user+tenant.Secret))
	}
	tenant.YAML += "    quotas: {" + quotas + "}\n"
	return tenant
}

// repeatedly is what most do: the same pipeline, whose commands count as so many operations each.
func repeatedly(times, cost int, commands ...string) func(r *rateTarget, i int, ends time.Time) int {
	var words [][]string
	for _, command := range commands {
		words = append(words, strings.Split(command, " "))
	}
	return func(r *rateTarget, i int, ends time.Time) (n int) {
		c := r.connect(i, "")
		defer c.Close()
		for time.Now().Before(ends) {
			n += cost * pipelined(r.t, c, times, words...)
		}
		return n
	}
}

// rateAttacks are ways to get more than the tenant's rate.
var rateAttacks = []struct {
	name    string
	clients int
	each    func(r *rateTarget, i int, ends time.Time) (operations int)
}{
	{"many connections", 60, repeatedly(1, 1, "GET k")},
	{"many users", rateUsers + 1, func(r *rateTarget, i int, ends time.Time) (n int) {
		user := ""
		if i > 0 {
			user = fmt.Sprint("u", i-1)
		}
		c := r.connect(i, user)
		defer c.Close()
		for time.Now().Before(ends) {
			n += pipelined(r.t, c, 1, []string{"GET", "k"})
		}
		return n
	}},
	{"pipelines", 3, repeatedly(1000, 1, "INCR k")},
	{"transactions", 3, repeatedly(10, 1, "MULTI", "INCR k", "PING", "EXEC")},
	{"scripts", 6, repeatedly(10, 5, "EVAL return(redis.call('GET',KEYS[1])) 1 k")},
	{"reconnecting", 6, func(r *rateTarget, i int, ends time.Time) (n int) {
		for time.Now().Before(ends) {
			c := r.connect(i, "")
			n += pipelined(r.t, c, 10, []string{"GET", "k"})
			c.Close()
		}
		return n
	}},
	{"moving between proxies", 2, func(r *rateTarget, i int, ends time.Time) (n int) {
		for time.Now().Before(ends) {
			c := r.connect(rand.IntN(3), "")
			n += pipelined(r.t, c, 200, []string{"GET", "k"})
			c.Close()
		}
		return n
	}},
	{"errors", 3, func(r *rateTarget, i int, ends time.Time) (n int) {
		c := r.connect(i, "")
		defer c.Close()
		for time.Now().Before(ends) {
			c.Send("NOSUCH")
			c.Send("GET")
			for range 2 {
				if reply, err := c.Reply(); err != nil {
					r.t.Error(err)
					return n
				} else if strings.HasPrefix(reply, "-ERR ") {
					n++
				}
			}
		}
		return n
	}},
	{"select and reset", 3, repeatedly(10, 1, "SELECT 1", "CLIENT SETNAME x", "UNWATCH", "HELLO")},
}

// However a tenant's clients go about it, together they get no more than the tenant's rate. All ways are tried at
// once, each by a tenant of its own.
func TestRateBypass(t *testing.T) {
	t.Parallel()
	const rate, burst, lasts = 200, 100, 2 * time.Second
	var tenants []harness.Tenant
	for i := range rateAttacks {
		tenants = append(tenants, limitedUsers(fmt.Sprint("tenant", i), fmt.Sprintf("ops_per_second: %d, script_cost: 4", rate)))
	}
	proxies := fleet(t, 3, tenants...)
	var attacks sync.WaitGroup
	for k, attack := range rateAttacks {
		attacks.Go(func() {
			var (
				running sync.WaitGroup
				total   atomic.Int64
				began   = time.Now()
				target  = &rateTarget{t, proxies, tenants[k]}
			)
			for i := range attack.clients {
				running.Go(func() { total.Add(int64(attack.each(target, i, began.Add(lasts)))) })
			}
			running.Wait()
			took := time.Since(began).Seconds()
			most := burst + rate*took
			t.Logf("%s: %d of %.0f", attack.name, total.Load(), most)
			// What is paid after it has run may be too much once: a script's cost, or what is not refused.
			if slack := 0.05*most + 5*float64(attack.clients); float64(total.Load()) > most+slack {
				t.Errorf("%s: %d operations in %.1f s", attack.name, total.Load(), took)
			}
			if float64(total.Load()) < most/2 {
				t.Errorf("%s: only %d operations in %.1f s", attack.name, total.Load(), took)
			}
		})
	}
	attacks.Wait()
}
