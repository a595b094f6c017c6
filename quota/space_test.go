package quota

import (
	"context"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"riptide-proxy/tests/harness"
)

func spaceUpstream(t *testing.T) *redis.Client {
	t.Helper()
	c := redis.NewClient(&redis.Options{Addr: harness.StartRedis(t).Addr})
	t.Cleanup(func() { c.Close() })
	return c
}

// spaceProxy is a proxy as the scripts see it. What it writes is really there at once.
type spaceProxy struct {
	id    string
	count int64
	left  Amounts
	spent Amounts
	truly Amounts // what of that is there
	freed Amounts
}

// spaceModel is a tenant with a limit and proxies that come and go.
type spaceModel struct {
	t       *testing.T
	c       *redis.Client
	root    []byte
	limit   Amounts
	there   Amounts // what the keys really take
	proxies []*spaceProxy
	born    int
}

// write takes from a proxy's allowance; what it says is at least what is true.
func (m *spaceModel) write(p *spaceProxy) {
	for i := range p.left {
		if p.left[i] == 0 {
			continue
		}
		n := 1 + rand.Int64N(p.left[i])
		real := rand.Int64N(n + 1)
		p.left[i] -= n
		p.spent[i] += n
		p.truly[i] += real
		m.there[i] += real
	}
}

// delete removes something, which the proxy has measured.
func (m *spaceModel) delete(p *spaceProxy) {
	for i := range m.there {
		n := rand.Int64N(m.there[i] + 1)
		m.there[i] -= n
		p.freed[i] += n
	}
}

// report draws, and checks what must always hold.
func (m *spaceModel) report(p *spaceProxy) {
	r := Report{Proxy: p.id, Count: p.count, Limit: m.limit, Held: p.left, Spent: p.spent, Settled: p.truly, Freed: p.freed, Unsure: rand.IntN(5) == 0}
	for i := range r.Needed {
		r.Needed[i] = rand.Int64N(m.limit[i] / 20)
		r.Wanted[i] = r.Needed[i] + rand.Int64N(m.limit[i]/4)
	}
	g, err := r.Draw(context.Background(), m.c, m.root)
	if err != nil {
		m.t.Fatal(err)
	}
	p.spent, p.truly, p.freed = Amounts{}, Amounts{}, Amounts{}
	p.count = g.Count
	for i, n := range g.Granted {
		if n < 0 || n > r.Wanted[i] {
			m.t.Fatalf("granted %d of resource %d, wanted %d", n, i, r.Wanted[i])
		}
		p.left[i] += n
	}
	m.check(g)
}

// check: what is known is never less than what is there, with what may still be written; and that
// never passes the limit.
func (m *spaceModel) check(g *Grant) {
	m.t.Helper()
	for i, limit := range m.limit {
		may := m.there[i]
		for _, p := range m.proxies {
			may += p.left[i]
		}
		if g.Used[i] < may {
			m.t.Fatalf("resource %d: %d are there or may come, only %d are known of", i, may, g.Used[i])
		}
		if may > limit {
			m.t.Fatalf("resource %d: %d are there or may come, the limit is %d", i, may, limit)
		}
	}
}

// Whatever proxies report, in whatever order, and whoever dies meanwhile or counts: what is known is
// never less than what is there, and no grant makes it more than the limit.
func TestSpaceInvariant(t *testing.T) {
	c := spaceUpstream(t)
	ctx := harness.Context(t)
	for round := range 15 {
		m := &spaceModel{t: t, c: c, root: fmt.Appendf(nil, "t:m%d:", round), limit: Amounts{1 << 20, 1000}}
		var counting []Counting
		var found Amounts
		for range 300 {
			if len(m.proxies) == 0 || rand.IntN(30) == 0 && len(m.proxies) < 6 {
				m.born++
				m.proxies = append(m.proxies, &spaceProxy{id: fmt.Sprint("p", m.born)})
			}
			p := m.proxies[rand.IntN(len(m.proxies))]
			switch rand.IntN(8) {
			case 0, 1, 2:
				m.write(p)
			case 3:
				if rand.IntN(3) == 0 {
					m.delete(p)
				}
			case 4, 5, 6:
				m.report(p)
			case 7:
				// Keys are counted while others write: what comes meanwhile may be met or not.
				switch {
				case counting == nil:
					var err error
					if counting, err = grownSoFar(ctx, c, [][]byte{m.root}); err != nil {
						t.Fatal(err)
					}
					found = m.there // what was there when it began, it has met
				default:
					if err := counting[0].End(ctx, c, m.root, found); err != nil {
						t.Fatal(err)
					}
					counting = nil
				}
			}
			if rand.IntN(100) == 0 { // it dies, with what it has not reported
				p := rand.IntN(len(m.proxies))
				dead := m.proxies[p]
				m.proxies = append(m.proxies[:p], m.proxies[p+1:]...)
				// In the upstream its last word was long ago.
				text, err := c.HGet(ctx, SpaceKey(m.root), "p:"+dead.id).Result()
				if err == nil {
					var bytes, keys, at int64
					fmt.Sscan(text, &bytes, &keys, &at)
					c.HSet(ctx, SpaceKey(m.root), "p:"+dead.id, fmt.Sprint(bytes, " ", keys, " ", at-16000))
				}
			}
		}
	}
}

// What a proxy held that is not heard of any more counts as used, until a count shows
// what is there.
func TestSpaceDeath(t *testing.T) {
	c := spaceUpstream(t)
	ctx := harness.Context(t)
	root := []byte("t:acme:")
	limit := Amounts{Bytes: 1000}
	draw := func(r Report) *Grant {
		t.Helper()
		r.Limit = limit
		g, err := r.Draw(ctx, c, root)
		if err != nil {
			t.Fatal(err)
		}
		return g
	}
	if g := draw(Report{Proxy: "a", Needed: Amounts{700}, Wanted: Amounts{700}}); g.Granted[Bytes] != 700 {
		t.Fatal(g)
	}
	if g := draw(Report{Proxy: "b", Needed: Amounts{400}, Wanted: Amounts{400}}); g.Granted[Bytes] >= 400 || g.Lent[Bytes] != 700 {
		t.Fatal("what another holds was granted:", g)
	}
	draw(Report{Proxy: "b"})
	at := time.Now().Add(-16 * time.Second).UnixMilli()
	c.HSet(ctx, SpaceKey(root), "p:a", fmt.Sprint("700 0 ", at))
	if g := draw(Report{Proxy: "b"}); g.Used[Bytes] != 700 || g.Lent[Bytes] != 0 || g.Granted != (Amounts{}) {
		t.Fatal("what a dead one held is not used:", g)
	}
	counts, err := BeginCounts(ctx, c, [][]byte{root})
	if err == nil {
		err = counts[0].End(ctx, c, root, Amounts{100, 1})
	}
	if err != nil {
		t.Fatal(err)
	}
	if g := draw(Report{Proxy: "b", Needed: Amounts{400}, Wanted: Amounts{400}}); g.Granted[Bytes] != 400 || g.Used[Bytes] != 500 {
		t.Fatal("after a count:", g)
	}
	spaces, err := ReadSpaces(ctx, c, [][]byte{root, []byte("t:none:")})
	if err != nil {
		t.Fatal(err)
	}
	if s := spaces[0]; s.Used[Bytes] != 100 || s.Counted != (Amounts{100, 1}) || time.Since(s.At) > time.Minute {
		t.Error(s)
	}
	if s := spaces[1]; s != (Space{}) {
		t.Error("of a tenant that has none:", s)
	}
}

// Near the limit writes are measured, until well below it; and keys are counted at once when that
// begins.
func TestSpaceExact(t *testing.T) {
	c := spaceUpstream(t)
	ctx := harness.Context(t)
	root := []byte("t:acme:")
	for _, x := range []struct {
		settled int64
		exact   bool
	}{{500, false}, {290, false}, {20, true}, {10, true}} {
		r := Report{Proxy: "a", Limit: Amounts{Bytes: 1000}, Spent: Amounts{x.settled}, Settled: Amounts{x.settled}}
		g, err := r.Draw(ctx, c, root)
		if err != nil {
			t.Fatal(err)
		}
		if g.Exact != x.exact {
			t.Fatalf("exact is %v with %d used", g.Exact, g.Used[Bytes])
		}
	}
	if n, _ := c.HExists(ctx, SpaceKey(root), "counting").Result(); !n {
		t.Error("nobody is to count")
	}
}

func TestParseSpace(t *testing.T) {
	s := parseSpace(map[string]string{
		"b1": "100", "b2": "7", "m1": "90", "m2": "6", "counted": "1700000000000", "p:x": "50 2 1700000000000", "p:y": "1 1 1", "p:z": "garbage", "p:": "", "took": "3",
	})
	if want := (Space{Used: Amounts{100, 7}, Counted: Amounts{90, 6}, At: time.UnixMilli(1700000000000)}); s != want {
		t.Error(s, want)
	}
	if s := parseSpace(nil); s != (Space{}) {
		t.Error(s)
	}
}

// Every key that is there all the time is counted once, whoever else's there are.
func TestCount(t *testing.T) {
	c := spaceUpstream(t)
	ctx := harness.Context(t)
	p := c.Pipeline()
	for i := range 5000 {
		p.Set(ctx, fmt.Sprint("t:acme:0:", i), "v", 0)
		p.Set(ctx, fmt.Sprint("t:globex:0:", i), "v", 0)
	}
	p.Set(ctx, "t:acme:space", "not the tenant's", 0)
	if _, err := p.Exec(ctx); err != nil {
		t.Fatal(err)
	}
	found := make([]Amounts, 1)
	err := Count(ctx, c, &Pace{PerSecond: 100000}, "t:acme:[0-9]*", func(key string) int {
		if key == "t:acme:0:7" {
			return -1
		}
		return 0
	}, found)
	if err != nil || found[0][Keys] != 4999 {
		t.Error(found, err)
	}
	one := c.MemoryUsage(ctx, "t:acme:0:1000").Val()
	if most := one * 4999; found[0][Bytes] > most || found[0][Bytes] < most*9/10 {
		t.Error(found, "bytes, one takes", one)
	}
	short, cancel := context.WithTimeout(ctx, 50*time.Millisecond)
	defer cancel()
	if err := Count(short, c, &Pace{PerSecond: 10}, "", func(string) int { return 0 }, found); err == nil {
		t.Error("a count that is to be slow has ended at once")
	}
}
