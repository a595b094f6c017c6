package proxy

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"riptide-proxy/tests/harness"
)

// rivals are a loop with tenants that have sessions waiting, without any connection.
type rivals struct {
	f    *turns
	used map[*turn]int
}

func newRivals(weights ...int) (*rivals, []*turn) {
	c := &rivals{f: &turns{w: &worker{}, window: minTurnWindow}, used: map[*turn]int{}}
	var all []*turn
	for _, weight := range weights {
		t := &turn{of: c.f, share: weight * turnShare / 100}
		all = append(all, t)
		c.f.came()
	}
	return c, all
}

// wait puts n sessions in a tenant's line.
func (c *rivals) wait(t *turn, n int) (all []*session) {
	for range n {
		s := &session{w: c.f.w, stats: &tenantStats{turn: *t}}
		t.push(s)
		all = append(all, s)
	}
	if !t.waiting {
		c.f.line.push(t)
	}
	return all
}

// grant has the next session use all of its turn, and wait again.
func (c *rivals) grant() {
	t, s := c.f.next()
	if t == nil {
		return
	}
	pass := min(t.credit, turnShare)
	t.credit -= pass
	c.used[t] += pass
	t.push(s)
}

func TestTurnsFollowWeights(t *testing.T) {
	for _, weights := range [][]int{{100, 300}, {1, 1000}, {100, 100, 100}, {7, 50, 930}} {
		c, all := newRivals(weights...)
		sum := 0
		for i, x := range all {
			c.wait(x, 1+3*i) // how many sessions a tenant has does not matter
			sum += weights[i]
		}
		for range 20000 {
			c.grant()
		}
		total := 0
		for _, n := range c.used {
			total += n
		}
		for i, x := range all {
			want, got := float64(weights[i])/float64(sum), float64(c.used[x])/float64(total)
			if got < 0.95*want || got > 1.05*want {
				t.Errorf("weights %v: tenant %d has a share of %.4f, want %.4f", weights, i, got, want)
			}
		}
	}
}

// A tenant that waits alone has every turn, whatever its weight and whatever it owes.
func TestTurnsAloneAndInDebt(t *testing.T) {
	c, all := newRivals(1, 1000)
	c.wait(all[0], 2)
	all[0].credit = -1 << 40 // a reply of a TiB
	for i := range 100 {
		before := c.used[all[0]]
		if c.grant(); c.used[all[0]] == before {
			t.Fatalf("nobody was served at try %d", i)
		}
	}
	// What it owed is forgotten neither by waiting alone nor for others: it is paid.
	all[0].credit = -100 * all[0].share
	c.wait(all[1], 1)
	before := c.used[all[0]]
	for range 50 {
		c.grant()
	}
	if c.used[all[0]] != before {
		t.Error("a tenant in debt was served before those that are not")
	}
}

// What a tenant does not use is not kept for later.
func TestTurnsAreNotSaved(t *testing.T) {
	c, all := newRivals(100, 100)
	c.f.round += 1000
	if all[0].refill(); all[0].credit != turnShare {
		t.Errorf("a credit of %d after rounds of rest, want one share", all[0].credit)
	}
}

// Sessions are served in the order in which they came; who leaves is not.
func TestTurnsWithinTenant(t *testing.T) {
	c, all := newRivals(100)
	s := c.wait(all[0], 5)
	for _, i := range []int{2, 0, 4} {
		all[0].remove(s[i])
		all[0].remove(s[i]) // once more does nothing
	}
	for _, want := range []*session{s[1], s[3]} {
		if _, got := c.f.next(); got != want {
			t.Fatal("not the one that came first")
		}
	}
	if x, _ := c.f.next(); x != nil || c.f.line.first != nil || all[0].waiting {
		t.Error("a tenant with nobody waiting is in the line")
	}
}

// noisy sends commands without end from n connections and reads all that comes. It returns
func noisy(t *testing.T, s *Server, tenant string, n int, batch []byte, reads bool) {
	t.Helper()
	for range n {
		c := login(t, s, tenant)
		go func() {
			for {
				if _, err := c.Write(batch); err != nil {
					return
				}
			}
		}()
		if reads {
			go func() {
				b := make([]byte, 64<<10)
				for {
					if _, err := c.tcp().Read(b); err != nil {
						return
					}
				}
			}()
		}
	}
}

// large is a value of which few fill a window.
var large = strings.Repeat("x", 16<<10)

// While a tenant sends and asks for more than the upstream can do, what the loop has on its link stays
// bounded, and another tenant's commands are answered after no more than that.
func TestNoisyTenant(t *testing.T) {
	for _, reads := range []bool{true, false} {
		t.Run(fmt.Sprintf("reads %v", reads), func(t *testing.T) {
			s, _ := startFake(t, options{})
			quiet := login(t, s, "globex")
			quiet.expect("+OK\r\n", "SET", "q", "1")
			noisy(t, s, "acme", 10, bytes.Repeat(harness.Request("SET", "k", large), 100), reads)
			noisy(t, s, "acme", 10, bytes.Repeat(harness.Request("GET", "k"), 1000), reads)
			w := s.workers[0]
			harness.Eventually(t, "the noisy tenant waits", func() (waits bool) {
				onLoop(t, w, func() { waits = w.turns.line.first != nil || w.turns.later.first != nil || !reads })
				return waits
			})
			for range 200 {
				quiet.expect("$1\r\n1\r\n", "GET", "q")
				onLoop(t, w, func() {
					// Those that have no idea yet of how long replies are may each have a few more.
					if load := w.turns.load(); load > 2*turnSpare*w.turns.window+turnShare {
						t.Errorf("%d bytes are on their way with a window of %d", load, w.turns.window)
					}
					if w.turns.granted != 0 {
						sum := 0
						for _, x := range w.sessions {
							sum += x.turn.pass
						}
						if sum != w.turns.granted {
							t.Errorf("granted %d, sessions have %d", w.turns.granted, sum)
						}
					}
				})
			}
		})
	}
}

// Tenants that come and go leave nothing behind, and those that waited go on.
func TestTurnsEnd(t *testing.T) {
	s, f := startFake(t, options{})
	arrived, open := f.gate("GET", "$-1\r\n")
	w := s.workers[0]
	a, b := login(t, s, "acme"), login(t, s, "globex")
	const n = 50
	a.write(bytes.Repeat(harness.Request("GET", strings.Repeat("k", 8000)), n))
	b.write(bytes.Repeat(harness.Request("GET", strings.Repeat("k", 8000)), n))
	await(t, arrived, "the first command")
	harness.Eventually(t, "both wait", func() (both bool) {
		onLoop(t, w, func() {
			both = w.stats["acme"].turn.first != nil && w.stats["globex"].turn.first != nil
		})
		return both
	})
	b.tcp().SetLinger(0)
	b.Close()
	harness.Eventually(t, "one is left", func() bool { return stats(t, s).Clients == 1 })
	open()
	for range n {
		a.read("$-1\r\n")
	}
	harness.Eventually(t, "all is quiet", func() (ok bool) {
		onLoop(t, w, func() {
			ok = w.turns.tenants == 1 && !w.turns.shared && w.turns.granted == 0 && w.turns.line.first == nil && w.turns.later.first == nil && w.turns.load() == 0
		})
		return ok
	})
}

// A session that has nothing to be taken does not wait for a turn: it would keep it until it sends
// something.
func TestTurnsNeedInput(t *testing.T) {
	s, _ := startFake(t, options{})
	login(t, s, "acme")
	login(t, s, "globex")
	w := s.workers[0]
	onLoop(t, w, func() {
		f := &w.turns
		if !f.shared {
			t.Fatal("the loop is not shared")
		}
		f.granted += 2 * f.window // nobody has a turn
		for _, x := range w.sessions {
			x.stats.turn.refill()
			x.stats.turn.credit = -1
			x.held = true
			if x.tryResume(); x.held || x.turn.inLine {
				t.Error("it waits")
			}
		}
		f.granted -= 2 * f.window
	})
}
