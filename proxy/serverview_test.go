package proxy

import (
	"slices"
	"strings"
	"testing"
	"time"

	"riptide-proxy/command"
	"riptide-proxy/netloop"
)

func TestGlob(t *testing.T) {
	for _, x := range []struct {
		pattern, name string
		want          bool
	}{
		{"*", "", true}, {"*", "save", true}, {"", "", true}, {"", "a", false}, {"a", "", false},
		{"max*", "maxmemory", true}, {"MAX*", "maxmemory", true}, {"*memory*", "maxmemory-policy", true}, {"*x", "maxmemory", false},
		{"h?", "hz", true}, {"h?", "h", false}, {"h??", "hz", false}, {"[gh]z", "hz", true}, {"[^gh]z", "hz", false}, {"[a-i]z", "hz", true},
		{"[i-a]z", "hz", true}, {"[a-g]z", "hz", false}, {`h\z`, "hz", true}, {`\*`, "hz", false}, {`[\h]z`, "hz", true}, {"[h", "h", true}, {"[", "h", false},
		{"**z", "hz", true}, {"*a*b*c", "xaxbxc", true}, {"*a*b*c", "xaxbx", false}, {`h\`, `h\`, true},
	} {
		if got := matchFold([]byte(x.pattern), x.name); got != x.want {
			t.Errorf("%q on %q: %v", x.pattern, x.name, got)
		}
	}
	// Stars upon stars take no longer than one.
	start := time.Now()
	matchFold([]byte(strings.Repeat("*?", 2000)+"x"), strings.Repeat("a", 4000))
	if took := time.Since(start); took > 5*time.Second {
		t.Errorf("it took %v", took)
	}
}

func TestSlotOf(t *testing.T) {
	for key, want := range map[string]uint16{
		"": 0, "123456789": 0x31c3, "foo": 12182, "{foo}.x": 12182, "x{foo}": 12182, "x{foo}{bar}": 12182, "bar": 5061, "x{{bar}}": slotOf([]byte("{bar")),
	} {
		if got := slotOf([]byte(key)); got != want {
			t.Errorf("%q: %d, want %d", key, got, want)
		}
	}
	for _, key := range []string{"{}x", "x{", "x}{", "{"} {
		if got := slotOf([]byte(key)); got != crc16([]byte(key))%slots {
			t.Errorf("%q has a tag: %d", key, got)
		}
	}
}

func TestSections(t *testing.T) {
	names := func(asked ...string) (list []string) {
		for i, on := range chooseSections(asked) {
			if on {
				list = append(list, infoSections[i].name)
			}
		}
		return list
	}
	if got := names(); !slices.Equal(got, names("DEFAULT")) || slices.Contains(got, "commandstats") || !slices.Contains(got, "keyspace") {
		t.Errorf("by default: %q", got)
	}
	if got := names("all"); len(got) != len(infoSections) {
		t.Errorf("all: %q", got)
	}
	if got := names("nope", "Keyspace", "server", "module_list"); !slices.Equal(got, []string{"server", "modules", "keyspace"}) {
		t.Errorf("some: %q", got)
	}
	if got := names("nope"); got != nil {
		t.Errorf("none: %q", got)
	}
}

func TestHuman(t *testing.T) {
	for n, want := range map[int64]string{0: "0B", 1023: "1023B", 1024: "1.00K", 916392: "894.91K", 100 << 20: "100.00M", 3 << 40: "3.00T"} {
		if got := human(n); got != want {
			t.Errorf("%d: %s, want %s", n, got, want)
		}
	}
}

func TestSlowLogRing(t *testing.T) {
	var a, b slowLog
	for i := range int64(300) {
		if i%2 == 0 {
			a.add(slowEntry{id: i})
		} else {
			b.add(slowEntry{id: i})
		}
	}
	list := mergedSlow([][]slowEntry{a.entries, b.entries})
	if len(list) != slowEntries || list[0].id != 299 || list[slowEntries-1].id != 299-slowEntries+1 {
		t.Errorf("%d entries, from %d to %d", len(list), list[0].id, list[len(list)-1].id)
	}
}

func TestSpikes(t *testing.T) {
	var a, b spikes
	for i := range int64(300) {
		a.add(1000+i, time.Duration(i)*time.Millisecond)
		a.add(1000+i, 5*time.Millisecond)
	}
	b.add(1299, 900*time.Millisecond)
	sum := merged([]spikes{a, b})
	if n := len(sum.list); n != spikeHistory || sum.list[n-1] != (spike{1299, 900}) || sum.list[n-2] != (spike{1298, 298}) || sum.most != 900 {
		t.Errorf("%d spikes: %v, worst %d", n, sum.list[n-2:], sum.most)
	}
	graph := sum.graph(1300)
	if lines := strings.Split(graph, "\n"); !strings.HasPrefix(lines[0], "command - high 900 ms, low ") || !strings.HasSuffix(lines[2], "#") {
		t.Errorf("%s", graph)
	}
	one := spikes{list: []spike{{1000, 12}}, most: 12}
	if graph := one.graph(1005); !strings.Contains(graph, "high 12 ms, low 12 ms") || !strings.Contains(graph, "\n5\ns\n") {
		t.Errorf("%s", graph)
	}
}

func TestQuantile(t *testing.T) {
	var h netloop.Histogram
	if got := quantile(&h, 1); got != 0 {
		t.Errorf("of nothing: %v", got)
	}
	for range 99 {
		h.Observe(3 * time.Microsecond)
	}
	h.Observe(900 * time.Microsecond)
	if got := quantile(&h, 0.5); got != 4*time.Microsecond {
		t.Errorf("median %v", got)
	}
	if got := quantile(&h, 0.999); got != 1024*time.Microsecond {
		t.Errorf("p99.9 %v", got)
	}
}

func TestRates(t *testing.T) {
	var r rates
	now := time.Now()
	if ops, _, _ := r.update(now, flow{calls: 100}); ops != 0 {
		t.Errorf("at first: %f", ops)
	}
	if ops, _, _ := r.update(now.Add(100*time.Millisecond), flow{calls: 500}); ops != 0 {
		t.Errorf("too soon: %f", ops)
	}
	if ops, in, _ := r.update(now.Add(2*time.Second), flow{calls: 1100, in: 4096}); ops != 500 || in != 2048 {
		t.Errorf("%f, %f", ops, in)
	}
}

// What waits in a pause: whatever may change something that others see.
func TestMayWrite(t *testing.T) {
	for name, want := range map[string][2]bool{ // may write, touches keys
		"set": {true, true}, "get": {false, true}, "ping": {}, "publish": {true, true}, "spublish": {true, true}, "subscribe": {}, "pubsub|channels": {},
		"eval": {true, true}, "eval_ro": {false, true}, "script|load": {}, "info": {}, "scan": {false, true}, "client|unpause": {},
	} {
		cmd := lookupFull([]byte(name))
		if got := [2]bool{mayWrite(cmd), touchesKeys(cmd)}; got != want {
			t.Errorf("%s: %v, want %v", name, got, want)
		}
	}
	p := pause{all: true}
	if p.holds(lookupFull([]byte("client|unpause"))) || !p.holds(command.Lookup([]byte("ping"))) {
		t.Error("a pause of all commands")
	}
}

func TestCovers(t *testing.T) {
	for _, x := range []struct {
		set, asked string
		want       bool
	}{{"AKE", "Kx", true}, {"AKE", "KEA", true}, {"xE", "Ex", true}, {"xE", "A", false}, {"", "", true}, {"", "K", false}, {"AKE", "m", false}, {"g$lshzxetdK", "A", true}} {
		if got := covers(x.set, []byte(x.asked)); got != x.want {
			t.Errorf("%q has %q: %v", x.set, x.asked, got)
		}
	}
}

// A tenant that is not monitored is on the fast path, before and after.
func TestMonitorMode(t *testing.T) {
	s, _ := startFake(t, options{loops: 2})
	a, b, other := login(t, s, "acme"), login(t, s, "acme"), login(t, s, "globex")
	modes := func() (list []uint16) {
		for _, w := range s.workers {
			onLoop(t, w, func() {
				for _, c := range w.sessions {
					list = append(list, c.mode)
				}
			})
		}
		slices.Sort(list)
		return list
	}
	a.expect("+OK\r\n", "MONITOR")
	if got := modes(); !slices.Equal(got, []uint16{0, modeMonitored, modeMonitored | modeMonitor}) {
		t.Errorf("monitored: %v", got)
	}
	b.expect("+OK\r\n", "SET", "k", "v")
	other.expect("+OK\r\n", "SET", "k", "v")
	if line := a.next(); !strings.HasSuffix(line, `"SET" "k" "v"`+"\r\n") {
		t.Errorf("%q", line)
	}
	a.expect("+RESET\r\n", "RESET")
	b.expect("+OK\r\n", "SET", "k", "v")
	if got := modes(); !slices.Equal(got, []uint16{0, 0, 0}) {
		t.Errorf("after RESET: %v", got)
	}
	a.silent()
}
