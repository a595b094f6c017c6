package tests

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	"riptide-proxy/tests/harness"
)

// The upstream's users for scripts vanish, lose their passwords and their
// rights, and connections are cut, while scripts run on shared connections, in
// transactions and on those of clients that track keys. A script is refused then, or runs as
// its tenant's; its reply is never another's.
func TestScriptsWhileUsersVanish(t *testing.T) {
	t.Parallel()
	r := harness.StartRedis(t, "--requirepass", "default-secret", "--user", "proxy", "on", ">proxy-secret", "~*", "&*", "+@all")
	p := harness.StartProxy(t, r.Addr, harness.Options{Upstream: "  username: proxy\n  password: proxy-secret\n"})
	p.Ready(t)
	control, err := harness.Dial(r.Addr)
	if err != nil {
		t.Fatal(err)
	}
	defer control.Close()
	if reply, err := control.Do("AUTH", "default-secret"); err != nil || reply != "+OK\r\n" {
		t.Fatalf("AUTH: %q, %v", reply, err)
	}
	var running sync.WaitGroup
	end := time.Now().Add(4 * time.Second)
	var ran [4]int // by kind of client
	var mu sync.Mutex
	for n := range 12 {
		tenant := p.Tenants[n%2]
		foreign := "t:" + p.Tenants[1-n%2].ID + ":0:who"
		running.Go(func() {
			var c *harness.Conn
			defer func() {
				if c != nil {
					c.Close()
				}
			}()
			kind := n / 2 % 4
			for i := 0; time.Now().Before(end); i++ {
				if c == nil {
					var err error
					if c, err = harness.Dial(p.Addr); err != nil {
						t.Error(err)
						return
					}
					c.Do("AUTH", tenant.ID, tenant.Secret)
					if kind > 1 {
						c.Do("HELLO", "3")
					}
					if kind == 3 {
						c.Do("CLIENT", "TRACKING", "ON", "BCAST", "PREFIX", "never")
					}
				}
				token := fmt.Sprintf("%s-%d-%d", tenant.ID, n, i)
				// What it must not reach, and what is its own.
				text := `local f=redis.pcall('GET','` + foreign + `') local g=loadstring and loadstring('return redis.pcall("RANDOMKEY")')() ` +
					`return {ARGV[1],redis.pcall('SET','who',ARGV[1]).ok or 'no',redis.pcall('GET','who'),type(g)=='string' and g or 'none'} --` + fmt.Sprint(i%7)
				calls := [][]string{{"EVAL", text, "0", token}, {"ECHO", token}}
				if kind == 1 {
					calls = [][]string{{"MULTI"}, {"SET", "other", token}, {"EVAL", text, "0", token}, {"ECHO", token}, {"EXEC"}, {"ECHO", token}}
				}
				var pipe []byte
				for _, call := range calls {
					pipe = append(pipe, harness.Request(call...)...)
				}
				c.Write(pipe)
				for j := range calls {
					reply, err := c.Reply()
					if err != nil {
						c.Close()
						c = nil
						break
					}
					last := j == len(calls)-1
					switch {
					case last && reply != fmt.Sprintf("$%d\r\n%s\r\n", len(token), token):
						t.Errorf("ECHO: %q", reply)
					case reply[0] == '-' || last:
					case strings.Contains(reply, "t:") || strings.Contains(reply, p.Tenants[1-n%2].ID):
						t.Errorf("something of another's: client %d: %q", n, reply)
					case reply[0] == '*' && !strings.Contains(reply, token):
						if !strings.Contains(reply, "-") {
							t.Errorf("not its own: %q, want %s", reply, token)
						}
					case reply[0] == '*':
						mu.Lock()
						ran[kind]++
						mu.Unlock()
					}
				}
			}
		})
	}
	for time.Now().Before(end) {
		time.Sleep(time.Duration(rand.IntN(40)) * time.Millisecond)
		user := "riptide-" + p.Tenants[rand.IntN(2)].ID
		call := [][]string{
			{"ACL", "DELUSER", user}, {"ACL", "SETUSER", user, "resetpass"}, {"ACL", "SETUSER", user, "off"},
			{"ACL", "SETUSER", user, "nocommands"}, {"ACL", "DELUSER", user, "riptide:rest"},
			{"ACL", "SETUSER", "riptide:rest", "resetpass"}, {"SCRIPT", "FLUSH"}, {"CLIENT", "KILL", "USER", "proxy"},
			{"CLIENT", "KILL", "USER", user}, {"CLIENT", "KILL", "USER", "riptide:rest"},
		}[rand.IntN(10)]
		if reply, err := control.Do(call...); err != nil {
			t.Fatalf("%q: %q, %v", call, reply, err)
		}
	}
	running.Wait()
	t.Logf("scripts that ran: shared %d, transactions %d, RESP3 %d, tracking %d", ran[0], ran[1], ran[2], ran[3])
	for kind, n := range ran {
		if n == 0 && kind < 3 {
			t.Errorf("no script of kind %d ran", kind)
		}
	}
}
