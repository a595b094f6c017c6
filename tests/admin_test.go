package tests

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"riptide-proxy/config"
	"riptide-proxy/tests/harness"
)

// admins are tokens; the secret is the name with -token behind it.
func admins() string {
	var b strings.Builder
	b.WriteString("  requests_per_second: 10000\n  tokens:\n")
	for _, t := range []struct{ name, role, tenant string }{
		{"viewer", "viewer", ""}, {"operator", "operator", ""}, {"admin", "admin", ""},
		{"acme-viewer", "viewer", "acme"}, {"acme-operator", "operator", "acme"}, {"acme-admin", "admin", "acme"},
	} {
		fmt.Fprintf(&b, "    - {name: %s, role: %s, sha256: %s", t.name, t.role, config.HashSecret(t.name+"-token"))
		if t.tenant != "" {
			fmt.Fprintf(&b, ", tenant: %s", t.tenant)
		}
		b.WriteString("}\n")
	}
	return b.String()
}

// administered is a proxy with tokens, plans and a folder of tenants.
func administered(t testing.TB, redis *harness.Process, top string) (p *harness.Proxy, dir string) {
	t.Helper()
	dir = t.TempDir()
	p = harness.StartProxy(t, redis.Addr, harness.Options{
		Admin: admins(), Top: "plans:\n  small: {memory: 64MiB, connections: 50}\ntenants_dir: " + dir + "\n" + top,
	})
	p.Ready(t)
	return p, dir
}

// answer is what the admin listener has answered.
type answer struct {
	status int
	header http.Header
	body   string
}

// call asks the admin listener; "" is nobody. header is of names and values in turn.
func call(t testing.TB, p *harness.Proxy, who, method, path, body string, header ...string) answer {
	t.Helper()
	req, err := http.NewRequest(method, "http://"+p.Admin+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if who != "" {
		req.Header.Set("Authorization", "Bearer "+who+"-token")
	}
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer{resp.StatusCode, resp.Header, string(text)}
}

// asked is call for what is answered with a status.
func asked(t testing.TB, status int, p *harness.Proxy, who, method, path, body string, header ...string) answer {
	t.Helper()
	a := call(t, p, who, method, path, body, header...)
	if a.status != status {
		t.Fatalf("%s: %s %s: %d %s, want %d", who, method, path, a.status, a.body, status)
	}
	return a
}

// clientOf runs the binary as a client of the admin listener, and returns its standard output.
func clientOf(t testing.TB, p *harness.Proxy, who string, args ...string) (string, error) {
	t.Helper()
	cmd := exec.Command(harness.Binary(t), append(args, "--admin", p.Admin)...)
	cmd.Env = append(os.Environ(), "RIPTIDE_ADMIN_TOKEN="+who+"-token")
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil {
		return out.String(), fmt.Errorf("%w: %s", err, errs.String())
	}
	return out.String(), nil
}

// Tenants that are created can be used at once, are files, and are there after a restart. The figure is of
// the requirements; RIPTIDE_TEST_FULL makes a thousand of them.
func TestAdminManyTenants(t *testing.T) {
	t.Parallel()
	n := 60
	if full {
		n = 1000
	}
	redis := harness.StartRedis(t)
	p, dir := administered(t, redis, "")
	secret := func(i int) string { return fmt.Sprintf("secret of %d", i) }
	took := make([]time.Duration, n)
	for i := range n {
		id := fmt.Sprintf("tenant-%d", i)
		body := fmt.Sprintf(`{"id":%q,"plan":"small","users":{"default":{"sha256":[%q]}},"tags":{"number":"%d"}}`, id, config.HashSecret(secret(i)), i)
		begun := time.Now()
		asked(t, 201, p, "admin", "POST", "/admin/tenants", body)
		took[i] = time.Since(begun)
		c := p.Connect(t, harness.Tenant{ID: id, Secret: secret(i)})
		if reply := do(t, c, "SET", "own", id); reply != "+OK\r\n" {
			t.Fatalf("%s: %s", id, reply)
		}
		c.Close()
	}
	slices.Sort(took)
	t.Logf("%d tenants: median %v, 99 %% %v, slowest %v", n, took[n/2], took[n*99/100], took[n-1])
	if took[n/2] > 100*time.Millisecond {
		t.Errorf("half of the tenants took %v or more", took[n/2])
	}
	files, err := filepath.Glob(filepath.Join(dir, "*.yaml"))
	if err != nil || len(files) != n {
		t.Fatal(len(files), err)
	}
	if left, _ := filepath.Glob(filepath.Join(dir, ".*")); len(left) > 0 {
		t.Error(left)
	}
	if err := p.Cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err, ended := p.Wait(time.Minute); err != nil || !ended {
		t.Fatal(err, ended)
	}
	p.Restart(t)
	p.Ready(t)
	for i := range n {
		id := fmt.Sprintf("tenant-%d", i)
		c := p.Connect(t, harness.Tenant{ID: id, Secret: secret(i)})
		if reply := do(t, c, "GET", "own"); reply != fmt.Sprintf("$%d\r\n%s\r\n", len(id), id) {
			t.Fatalf("%s: %s", id, reply)
		}
		c.Close()
	}
}

// What is done to a tenant holds for its open connections at once.
func TestAdminTenantLife(t *testing.T) {
	t.Parallel()
	redis := harness.StartRedis(t)
	p, dir := administered(t, redis, "usage: {flush: 100ms}\n")
	asked(t, 201, p, "admin", "POST", "/admin/tenants", `{"id":"initech","users":{"default":{"sha256":["`+config.HashSecret("one")+`"]}}}`)
	who := harness.Tenant{ID: "initech", Secret: "one"}
	c := p.Connect(t, who)
	do(t, c, "SET", "a", "1")
	do(t, c, "SELECT", "3")
	do(t, c, "SET", "b", "2")
	do(t, c, "SET", "session:1", "2")
	do(t, c, "CLIENT", "SETNAME", "worker")
	do(t, c, "EVAL", "return redis.call('SET', 'c', '3')", "0")

	if a := asked(t, 200, p, "viewer", "GET", "/admin/tenants/initech/connections", ""); !strings.Contains(a.body, `"name": "worker"`) || !strings.Contains(a.body, `"database": 3`) {
		t.Error(a.body)
	}
	do(t, c, "BLPOP", "nothing", "0.05")
	if a := asked(t, 200, p, "operator", "GET", "/admin/tenants/initech/slowlog", ""); !strings.Contains(a.body, `"commands"`) {
		t.Error(a.body)
	}
	wait := func(a answer) {
		t.Helper()
		harness.Eventually(t, "the job is done", func() bool {
			return strings.Contains(asked(t, 200, p, "viewer", "GET", a.header.Get("Location"), "").body, `"state": "done"`)
		})
	}
	wait(asked(t, 202, p, "operator", "POST", "/admin/cache/invalidate", `{"tenant":"initech","pattern":"session:*","database":3}`))
	if reply := do(t, c, "EXISTS", "session:1", "b"); reply != ":1\r\n" {
		t.Error(reply)
	}
	other := p.Connect(t, harness.Acme)
	do(t, other, "SET", "session:1", "acme's")

	// A suspended tenant loses its connections, and has them back afterwards.
	asked(t, 200, p, "operator", "POST", "/admin/tenants/initech/suspend", "")
	if reply, err := c.Do("PING"); err == nil {
		t.Errorf("suspended: %s", reply)
	}
	if reply := refusedLogin(t, p, who); !strings.HasPrefix(reply, "-NOPERM") {
		t.Error(reply)
	}
	asked(t, 200, p, "operator", "POST", "/admin/tenants/initech/resume", "")
	c = p.Connect(t, who)

	// A new secret works beside the one before, and then instead of it.
	asked(t, 200, p, "admin", "POST", "/admin/tenants/initech/rotate-key", `{"sha256":"`+config.HashSecret("two")+`"}`)
	two := p.Connect(t, harness.Tenant{ID: "initech", Secret: "two"})
	do(t, c, "PING")
	asked(t, 200, p, "admin", "POST", "/admin/tenants/initech/rotate-key", `{"sha256":"`+config.HashSecret("three")+`","revoke":true}`)
	for what, gone := range map[string]*harness.Conn{"one": c, "two": two} {
		if reply, err := gone.Do("PING"); err == nil {
			t.Errorf("the secret %s: %s", what, reply)
		}
	}
	c = p.Connect(t, harness.Tenant{ID: "initech", Secret: "three"})

	// What the upstream has of it goes with it, but for the ledger.
	harness.Eventually(t, "usage is reported", func() bool { return usedBy(t, p, "initech").Operations > 0 })
	a := asked(t, 202, p, "admin", "DELETE", "/admin/tenants/initech", "", "If-Match", "*")
	if reply, err := c.Do("PING"); err == nil {
		t.Errorf("deleted: %s", reply)
	}
	if reply := refusedLogin(t, p, harness.Tenant{ID: "initech", Secret: "three"}); !strings.HasPrefix(reply, "-WRONGPASS") {
		t.Error(reply)
	}
	wait(a)
	admin, err := harness.Dial(redis.Addr)
	if err != nil {
		t.Fatal(err)
	}
	defer admin.Close()
	for _, key := range keysIn(t, admin, "t:*initech*") {
		if !strings.HasPrefix(key, "t:initech:usage") {
			t.Errorf("%s is left", key)
		}
	}
	if keys := keysIn(t, admin, "t:initech:usage*"); len(keys) == 0 {
		t.Error("so is nothing of its usage")
	}
	if users := do(t, admin, "ACL", "USERS"); strings.Contains(users, "initech") {
		t.Errorf("users %s", users)
	}
	if reply := do(t, other, "GET", "session:1"); reply != "$6\r\nacme's\r\n" {
		t.Errorf("somebody else's: %s", reply)
	}
	if files, _ := os.ReadDir(dir); len(files) != 0 {
		t.Error(files)
	}
	asked(t, 201, p, "admin", "POST", "/admin/tenants", `{"id":"initech"}`)
	if log := p.Log(); strings.Contains(log, config.HashSecret("one")) || strings.Contains(log, "admin-token") {
		t.Error("a secret is in the log")
	}
}

// refusedLogin is what AUTH answers.
func refusedLogin(t testing.TB, p *harness.Proxy, who harness.Tenant) string {
	t.Helper()
	c, err := harness.Dial(p.Addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	return do(t, c, "AUTH", who.ID, who.Secret)
}

func keysIn(t testing.TB, c *harness.Conn, pattern string) (keys []string) {
	t.Helper()
	for line := range strings.SplitSeq(do(t, c, "KEYS", pattern), "\r\n") {
		if line != "" && !strings.HasPrefix(line, "$") && !strings.HasPrefix(line, "*") {
			keys = append(keys, line)
		}
	}
	return keys
}

// Every token with every endpoint that the document of the running binary lists, by what that says of it.
func TestAdminMatrix(t *testing.T) {
	t.Parallel()
	redis := harness.StartRedis(t)
	p, _ := administered(t, redis, "usage: {flush: 1s}\n")
	var doc struct {
		Paths map[string]map[string]struct {
			Role  string `json:"x-role"`
			Reach string `json:"x-reach"`
		}
	}
	if err := json.Unmarshal([]byte(asked(t, 200, p, "viewer", "GET", "/admin/openapi.json", "").body), &doc); err != nil {
		t.Fatal(err)
	}
	rank := map[string]int{"viewer": 1, "operator": 2, "admin": 3}
	n := 0
	for path, methods := range doc.Paths {
		for method, o := range methods {
			for _, who := range []string{"", "wrong", "viewer", "operator", "admin", "acme-viewer", "acme-operator", "acme-admin"} {
				for _, tenant := range []string{"acme", "globex", "nobody"} {
					if !strings.Contains(path, "{id}") && tenant != "acme" {
						continue
					}
					n++
					role, own := strings.CutPrefix(who, "acme-")
					want := 0
					switch {
					case o.Reach == "everybody":
					case rank[role] == 0:
						want = 401
					case rank[role] < rank[o.Role], own && (o.Reach == "fleet" || o.Reach == "tenant" && tenant != "acme"):
						want = 403
					}
					at := strings.NewReplacer("{id}", tenant, "{plan}", "small", "{job}", "x", "{dict}", "x").Replace(path)
					got := call(t, p, who, strings.ToUpper(method), at, "").status
					if refused := got == 401 || got == 403; refused != (want != 0) || refused && got != want {
						t.Errorf("%s: %s %s: %d, want %d", who, method, at, got, want)
					}
				}
			}
		}
	}
	if n < 300 {
		t.Errorf("only %d requests", n)
	}
}

// The command line does what the listener can, and tells what it refuses.
func TestAdminTool(t *testing.T) {
	t.Parallel()
	redis := harness.StartRedis(t)
	p, dir := administered(t, redis, "usage: {flush: 100ms}\n")
	run := func(who, want string, args ...string) string {
		t.Helper()
		out, err := clientOf(t, p, who, args...)
		if err != nil || !strings.Contains(out, want) {
			t.Fatalf("%q: %v\n%s\nwant %q", args, err, out, want)
		}
		return out
	}
	fails := func(who, want string, args ...string) {
		t.Helper()
		if out, err := clientOf(t, p, who, args...); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v\n%s\nwant %q", args, err, out, want)
		}
	}
	secret := strings.TrimSpace(run("admin", "", "tenant", "create", "initech", "--plan", "small", "--set", "quotas.keys=100", "--set", "tags.team=web"))
	c := p.Connect(t, harness.Tenant{ID: "initech", Secret: secret})
	do(t, c, "SET", "a", "1")
	if line := strings.Fields(run("viewer", "", "tenant", "list", "--plan", "small")); !slices.Equal(line[6:], []string{"initech", "small", "active", "tenants_dir", "default", "team=web"}) {
		t.Error(line)
	}
	run("viewer", `"secrets": 1`, "tenant", "get", "initech")
	run("admin", "is changed", "tenant", "update", "initech", "--set", "databases=4", "--unset", "tags.team")
	if text, err := os.ReadFile(filepath.Join(dir, "initech.yaml")); err != nil || !strings.Contains(string(text), "databases: \"4\"") && !strings.Contains(string(text), "databases: 4") {
		t.Errorf("%v %s", err, text)
	}
	c = p.Connect(t, harness.Tenant{ID: "initech", Secret: secret}) // another number of databases has ended the one before
	run("viewer", c.LocalAddr().String(), "tenant", "connections", "initech")
	run("viewer", "TOOK", "tenant", "slowlog", "initech")
	for range 1000 {
		do(t, c, "GET", "a")
	}
	run("operator", "100.0%", "tenant", "hotkeys", "initech")
	next := strings.TrimSpace(run("admin", "", "tenant", "rotate-key", "initech"))
	p.Connect(t, harness.Tenant{ID: "initech", Secret: next}).Close()
	run("operator", "suspend is done", "tenant", "suspend", "initech")
	run("operator", "resume is done", "tenant", "resume", "initech")
	harness.Eventually(t, "usage is reported", func() bool {
		out, err := clientOf(t, p, "viewer", "tenant", "usage", "initech")
		return err == nil && strings.Contains(out, "initech")
	})
	run("viewer", "initech", "usage")
	run("viewer", "64MiB", "plan", "list")
	run("viewer", "64MiB", "plan", "get", "small")
	run("viewer", "running", "state", "current")
	run("operator", "running", "state", "reload")
	run("viewer", "initech", "cache", "stats")
	run("operator", "done", "cache", "invalidate", "initech", "a*", "--wait")
	run("admin", "done", "cache", "clear", "initech", "--wait")
	fails("viewer", "The token does not allow this", "tenant", "create", "x")
	fails("nobody", "A valid token is needed", "tenant", "list")
	fails("admin", `x.yaml:`, "tenant", "create", "x", "--plan", "smal")
	fails("admin", "It exists already", "tenant", "create", "initech")
	fails("admin", "It has changed meanwhile", "tenant", "update", "initech", "--set", "databases=5", "--etag", `"old"`)
	fails("admin", "It has changed meanwhile", "tenant", "delete", "initech", "--yes", "--etag", `"old"`)
	fails("admin", "It has changed meanwhile", "tenant", "rotate-key", "initech", "--etag", `"old"`)
	fails("operator", "It has changed meanwhile", "tenant", "suspend", "initech", "--etag", `"old"`)
	fails("admin", "It has changed meanwhile", "state", "rollback", "--etag", `"old"`)
	run("admin", "is changed", "tenant", "update", "initech", "--set", "databases=5", "--etag", strings.TrimSpace(run("viewer", `"`, "tenant", "get", "initech", "--show-etag")))
	_, etag, _ := strings.Cut(run("viewer", "etag ", "state", "current"), "etag ")
	run("operator", "running", "state", "reload", "--etag", strings.TrimSpace(etag))
	fails("admin", "--yes", "tenant", "delete", "initech")
	fails("acme-viewer", "The token does not allow this", "tenant", "get", "initech")
	run("acme-viewer", "acme", "tenant", "list")
	run("admin", "done", "tenant", "delete", "initech", "--yes", "--wait")
	run("admin", "running", "state", "rollback")
	fails("admin", "reload first", "tenant", "create", "y")
	run("operator", "running", "state", "reload")
}
