package tests

import (
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"

	"riptide-proxy/command"
	"riptide-proxy/tests/harness"
)

// The differential test: a tenant behind the proxy and the only user of a plain
// Redis of the same version are told the same things and must see the same.
//
// The calls come from the plain server's own COMMAND DOCS, so that a command
// which the table gains is tested without anything being written here. What a
// server answers at random, from a clock or in an order of its own is listed in
// differential_rules_test.go, with the reason; everything else is compared byte
// for byte. Each session ends with a comparison of all that was stored.
//
//	RIPTIDE_DIFF_SEED=7      another sequence of calls; a failure names its seed
//	RIPTIDE_DIFF_STEPS=50000 longer sessions, 1500 steps each by default
//	RIPTIDE_DIFF_SESSION=3   that session alone

// diffSession is one way of going about it.
type diffSession struct {
	proto     int
	pipelined bool // 20 to 200 calls at once, rather than one after the other
	noise     bool // the other tenant is compared with a Redis of its own at the same time
	lfu       bool // the servers count accesses, without which OBJECT FREQ has no answer
}

var diffSessions = []diffSession{
	{proto: 2},
	{proto: 3},
	{proto: 2, pipelined: true, noise: true},
	{proto: 3, pipelined: true, noise: true},
	{proto: 3, noise: true},
	{proto: 2, noise: true, lfu: true},
	{proto: 2, pipelined: true},
	{proto: 3, pipelined: true, lfu: true},
}

func (s diffSession) String() string {
	name := fmt.Sprintf("RESP%d", s.proto)
	for _, x := range []struct {
		on   bool
		name string
	}{{s.pipelined, "pipelined"}, {s.noise, "noise"}, {s.lfu, "lfu"}} {
		if x.on {
			name += "," + x.name
		}
	}
	return name
}

// diffRig is what all sessions share.
type diffRig struct {
	upstream *harness.Process
	proxy    *harness.Proxy
	plain    map[string]*harness.Process // by tenant
	rows     []*diffRow
	cover    diffCoverage
}

// startDiff runs the servers. A plain server knows the tenant as a user and
// wants a password, so that logging in can be compared as well.
func startDiff(t *testing.T) *diffRig {
	t.Helper()
	rig := &diffRig{upstream: harness.StartRedis(t), plain: make(map[string]*harness.Process)}
	for _, tenant := range []harness.Tenant{harness.Acme, harness.Globex} {
		rig.plain[tenant.ID] = harness.StartRedis(t, "--requirepass", tenant.Secret,
			"--user", tenant.ID, "on", ">"+tenant.Secret, "~*", "&*", "+@all")
	}
	rig.proxy = harness.StartProxy(t, rig.upstream.Addr, unscanned) // a long session would find the proxy's own keys
	rig.proxy.Ready(t)
	rig.rows = diffRows(t, rig.plain[harness.Acme.ID])
	return rig
}

// diffUsable says what is a command that a tenant may use.
func diffUsable(c *command.Command) bool {
	return !c.Later && !c.Container() && c.Run != command.Refused
}

// diffStateless says which of them leave nothing on the connection; the others are for
// the stateful test.
func diffStateless(c *command.Command) bool { return diffUsable(c) && c.Run != command.Pinned }

func diffSetting(t *testing.T, name string, otherwise uint64) uint64 {
	t.Helper()
	text := os.Getenv(name)
	if text == "" {
		return otherwise
	}
	n, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return n
}

// runSeed is what random tests are made from: always the same, so that a change is judged by what it changes; the
// long versions make others each time, which is what finds something new.
var runSeed = func() uint64 {
	if full {
		return rand.Uint64N(1_000_000)
	}
	return 1
}()

// diffSeed is RIPTIDE_DIFF_SEED, or runSeed, and a failed test tells it.
func diffSeed(t *testing.T) uint64 {
	t.Helper()
	seed := diffSetting(t, "RIPTIDE_DIFF_SEED", runSeed)
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("again with RIPTIDE_DIFF_SEED=%d", seed)
		}
	})
	return seed
}

// diffSteps is how long a session is at least in which each command succeeds somewhere.
const diffSteps = 1500

func TestDifferential(t *testing.T) {
	t.Parallel()
	seed := diffSeed(t)
	steps := int(diffSetting(t, "RIPTIDE_DIFF_STEPS", uint64(shorter(2*diffSteps, diffSteps))))
	only := int(diffSetting(t, "RIPTIDE_DIFF_SESSION", 0))
	rig := startDiff(t)
	for i, s := range diffSessions {
		if only > 0 && only != i+1 {
			continue
		}
		t.Run(fmt.Sprintf("%d %s", i+1, s), func(t *testing.T) {
			rig.run(t, s, seed, uint64(i), steps)
			if t.Failed() {
				t.Logf("again with RIPTIDE_DIFF_SEED=%d RIPTIDE_DIFF_SESSION=%d RIPTIDE_DIFF_STEPS=%d", seed, i+1, steps)
			}
		})
	}
	if only == 0 && steps >= diffSteps { // shorter ones have not had the time
		rig.cover.check(t, rig.rows)
	}
}

// diffStored are ways to store values, in all of which a client must not notice
// any; as RIPTIDE_TEST_VALUES has them.
var diffStored = []string{"lz4", "s2", "zstd", "aes-256-gcm", "zstd+chacha20-poly1305"}

// The same with values sealed, whatever their length.
func TestDifferentialSealed(t *testing.T) {
	if os.Getenv("RIPTIDE_TEST_VALUES") != "" {
		t.Skip("all tests run like that")
	}
	seed := diffSeed(t)
	steps := int(diffSetting(t, "RIPTIDE_DIFF_STEPS", uint64(shorter(1500, 500))))
	only := int(diffSetting(t, "RIPTIDE_DIFF_SESSION", 0))
	for _, stored := range diffStored {
		t.Run(stored, func(t *testing.T) {
			t.Setenv("RIPTIDE_TEST_VALUES", stored)
			rig := startDiff(t)
			for i, s := range diffSessions {
				if only > 0 && only != i+1 || only == 0 && i >= 4 && !full {
					continue
				}
				t.Run(fmt.Sprintf("%d %s", i+1, s), func(t *testing.T) { rig.run(t, s, seed, uint64(i), steps) })
			}
		})
	}
}

// run is one session, from empty servers to the comparison of what they hold.
func (rig *diffRig) run(t *testing.T, s diffSession, seed, number uint64, steps int) {
	policy := "noeviction"
	if s.lfu {
		policy = "allkeys-lfu"
	}
	up := diffDial(t, rig.upstream.Addr, "")
	diffMust(t, up, "FLUSHALL")
	diffMust(t, up, "CONFIG", "SET", "maxmemory-policy", policy)
	lanes := make([]*diffLane, 0, 2)
	for i, tenant := range []harness.Tenant{harness.Acme, harness.Globex} {
		direct := diffDial(t, rig.plain[tenant.ID].Addr, tenant.Secret)
		diffMust(t, direct, "FLUSHALL")
		diffMust(t, direct, "CONFIG", "SET", "maxmemory-policy", policy)
		lane := newDiffLane(t, rig, s, tenant, rand.New(rand.NewPCG(seed, number*2+uint64(i))))
		defer lane.close()
		lanes = append(lanes, lane)
	}
	first, neighbour := lanes[0], lanes[1]
	if s.noise {
		var wait sync.WaitGroup
		wait.Go(func() { neighbour.work(steps) })
		first.work(steps)
		wait.Wait()
	} else {
		neighbour.refreshAll()
		before := diffSnapshot(t, up, "t:globex:")
		first.work(steps)
		if after := diffSnapshot(t, up, "t:globex:"); before != after {
			t.Errorf("the other tenant's data has changed, from\n%s\nto\n%s", before, after)
		}
	}
	total := 0
	for _, lane := range lanes {
		total += lane.compareContent()
		lane.quit()
	}
	rig.checkUpstream(t, up, total)
}

// checkUpstream looks at the shared server itself: what is there belongs to a
// tenant by its name, and there is no more of it than the tenants know of.
func (rig *diffRig) checkUpstream(t *testing.T, up *harness.Conn, total int) {
	t.Helper()
	found := 0
	for db := range 16 {
		diffMust(t, up, "SELECT", strconv.Itoa(db))
		for _, k := range diffParse(diffMust(t, up, "KEYS", "*")).kids {
			if diffProxys(k.text) || harness.Accounts(k.text) {
				continue
			}
			found++
			if !diffOwned(k.text) {
				t.Errorf("the upstream's database %d holds %q, which is no tenant's", db, k.text)
			}
		}
	}
	if found != total {
		t.Errorf("the upstream holds %d keys, the tenants see %d", found, total)
	}
	diffMust(t, up, "SELECT", "0")
}

// diffProxys reports whether a key is the proxy's own: where a tenant's scripts and dictionaries
// are kept, and which tenants have sealed values.
func diffProxys(key string) bool {
	if key == "t::values" {
		return diffSealed()
	}
	if i := strings.Index(key, ":dicts:lock:"); i > 0 { // while a dictionary is trained
		return diffSealed() && strings.Count(key[:i], ":") == 1
	}
	return strings.Count(key, ":") == 2 && (strings.HasSuffix(key, ":scripts") || diffSealed() && (strings.HasSuffix(key, ":dicts") || strings.HasSuffix(key, ":values")))
}

// diffOwned reports whether a key's name begins with "t:<tenant>:<db>:".
func diffOwned(key string) bool {
	for _, tenant := range []string{"t:acme:", "t:globex:"} {
		if rest, ok := strings.CutPrefix(key, tenant); ok {
			db, _, isPrefix := strings.Cut(rest, ":")
			n, err := strconv.Atoi(db)
			return isPrefix && err == nil && n >= 0 && n < 16
		}
	}
	return false
}

// diffCoverage counts what was sent and what came of it.
type diffCoverage struct {
	mu         sync.Mutex
	good, errs [1 << 10]int // by command.Command.ID
}

func (c *diffCoverage) count(id int, isError bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if isError {
		c.errs[id]++
	} else {
		c.good[id]++
	}
}

// check fails the test for every command that has never succeeded.
func (c *diffCoverage) check(t *testing.T, rows []*diffRow) {
	var list strings.Builder
	covered, calls := 0, 0
	for _, row := range rows {
		id := row.cmd.ID
		calls += c.good[id] + c.errs[id]
		fmt.Fprintf(&list, "\n%-28s %6d %6d", row.cmd.Name, c.good[id], c.errs[id])
		switch why := diffNeverSucceeds[row.cmd.Name]; {
		case c.good[id] > 0:
			covered++
		case why == "":
			t.Errorf("%s: no call has succeeded, %d failed", row.cmd.Name, c.errs[id])
		case c.errs[id] == 0:
			t.Errorf("%s was never sent", row.cmd.Name)
		}
	}
	t.Logf("%d of %d commands have succeeded, in %d calls", covered, len(rows), calls)
	if testing.Verbose() {
		t.Logf("calls that succeeded and that failed:%s", list.String())
	}
}
