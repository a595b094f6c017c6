package proxy

import (
	"strings"
	"testing"

	"riptide-proxy/command"
	"riptide-proxy/config"
	"riptide-proxy/namespace"
	"riptide-proxy/netloop"
	"riptide-proxy/quota"
	"riptide-proxy/resp"
)

// testMeter is a meter whose reports stay with the keeper.
func testMeter(t *testing.T, limit quota.Amounts) (*spaceMeter, *spaceKeeper) {
	t.Helper()
	loop, err := netloop.New()
	if err != nil {
		t.Fatal(err)
	}
	tenant := new(namespace.Tenant)
	k := &spaceKeeper{
		srv:     serverOf(map[string]*tenantOwn{"acme": {terms: &terms{tenant: tenant, space: limit}}}),
		reports: make(map[*namespace.Tenant][]*spaceReport), busy: map[*namespace.Tenant]bool{tenant: true},
	}
	m := newSpaceMeter(k, &worker{loop: loop}, &tenantStats{id: "acme"}, limit)
	m.tenant = tenant
	return m, k
}

// serverOf is a server that does nothing, with tenants.
func serverOf(own map[string]*tenantOwn) *Server {
	s := new(Server)
	s.now.Store(&running{cfg: config.Default(), own: own})
	return s
}

// reported takes the only report that the keeper has.
func reported(t *testing.T, k *spaceKeeper) *spaceReport {
	t.Helper()
	for tenant, all := range k.reports {
		delete(k.reports, tenant)
		if len(all) == 1 {
			return all[0]
		}
	}
	t.Fatal("there is not one report")
	return nil
}

func TestSpaceBooking(t *testing.T) {
	m, _ := testMeter(t, quota.Amounts{1 << 20, 100})
	m.left, m.truth = quota.Amounts{1000, 10}, [quota.Resources]float64{0.5, 1}
	need := quota.Amounts{100, 1}

	m.charge = charge{on: true, need: need}
	m.handled(true)
	m.estimate()
	if m.left != (quota.Amounts{900, 9}) || m.spent != need || m.settled != (quota.Amounts{50, 1}) || m.guessed != m.settled {
		t.Error("far below the limit:", m.left, m.spent, m.settled, m.guessed)
	}
	m.charge = charge{on: true, need: need, whole: true, doubt: true}
	m.handled(true)
	if m.settled != (quota.Amounts{150, 2}) || !m.unsure {
		t.Error("what can not be measured:", m.settled, m.unsure)
	}
	m.charge = charge{on: true, need: need}
	m.handled(false)
	m.easy.need = 100
	m.handled(false)
	m.handled(true)
	if m.left != (quota.Amounts{800, 8}) {
		t.Error("one that has to wait:", m.left)
	}
	m.reserve(need)
	if m.left != (quota.Amounts{700, 7}) || m.pending != need {
		t.Error("reserved:", m.left, m.pending)
	}
	m.settle(need, quota.Amounts{30, 0}, quota.Amounts{0, 2})
	if m.left != (quota.Amounts{770, 8}) || m.pending != (quota.Amounts{}) || m.spent != (quota.Amounts{230, 2}) || m.freed != (quota.Amounts{0, 2}) {
		t.Error("measured:", m.left, m.pending, m.spent, m.freed)
	}
}

func TestSpaceTransaction(t *testing.T) {
	m, _ := testMeter(t, quota.Amounts{1 << 20, 100})
	m.left = quota.Amounts{1000, 10}
	s := new(session)
	queue := func(x *txSpace) {
		m.charge = charge{on: true, need: quota.Amounts{100, 1}, tx: x}
		m.handled(true)
	}
	var discarded, run, lost txSpace
	for _, x := range []*txSpace{&discarded, &run, &lost} {
		queue(x)
		queue(x)
	}
	if m.pending != (quota.Amounts{600, 6}) || m.spent != (quota.Amounts{}) {
		t.Error("queued:", m.pending, m.spent)
	}
	discarded.settle(false)
	if m.left != (quota.Amounts{600, 6}) || m.unsure {
		t.Error("discarded:", m.left, m.unsure)
	}
	s.charged(&run)
	s.charged(&lost)
	run.wrote(50)
	run.settle(true)
	run.settle(true) // by whoever else hears of it
	if m.spent != (quota.Amounts{250, 2}) || m.guessed != m.spent || !m.unsure {
		t.Error("run:", m.spent, m.guessed, m.unsure)
	}
	s.uncharge()
	if m.pending != (quota.Amounts{}) || m.spent != (quota.Amounts{450, 4}) || m.left != (quota.Amounts{550, 6}) {
		t.Error("lost:", m.pending, m.spent, m.left)
	}
}

// What was taken beyond the allowance is reported once; and what is reserved stays so.
func TestSpaceReport(t *testing.T) {
	m, k := testMeter(t, quota.Amounts{1 << 20, 0})
	m.quiet, m.exact, m.used = 0, true, quota.Amounts{1000, 0}
	m.left = quota.Amounts{100, 0}
	m.reserve(quota.Amounts{300, 1})
	m.spend(quota.Bytes, 50, 50)
	m.ask()
	r := reported(t, k)
	if r.Held != (quota.Amounts{50, 0}) || r.Spent[quota.Bytes] != 50 || m.left[quota.Bytes] != -250 {
		t.Error("held", r.Held, "spent", r.Spent, "left", m.left)
	}
	m.granted(r, &quota.Grant{Used: quota.Amounts{1000, 0}, Exact: true})
	m.settle(quota.Amounts{300, 1}, quota.Amounts{1000, 0}, quota.Amounts{})
	if m.left[quota.Bytes] != -950 {
		t.Error("left", m.left)
	}
	m.ask()
	if r = reported(t, k); r.Held != (quota.Amounts{}) || r.Spent[quota.Bytes] != 1000 || m.left[quota.Bytes] != 0 || m.used[quota.Bytes] != 1950 {
		t.Error("held", r.Held, "spent", r.Spent, "left", m.left, "used", m.used)
	}
	// It gets lost, and so is reported again.
	m.freed = quota.Amounts{7, 0}
	m.granted(r, nil)
	m.ask()
	if r = reported(t, k); r.Spent[quota.Bytes] != 1000 || r.Guessed[quota.Bytes] != 1000 || !r.Unsure {
		t.Error("once more:", r.Spent, r.Guessed, r.Unsure)
	}
	// What was freed before a count that has ended meanwhile, it may have seen.
	m.freed = quota.Amounts{7, 0}
	m.granted(r, &quota.Grant{Count: 1})
	if m.freed != (quota.Amounts{}) {
		t.Error("freed:", m.freed)
	}
}

func TestSpaceDeal(t *testing.T) {
	k := new(spaceKeeper)
	var reports []*spaceReport
	for range 2 {
		m, _ := testMeter(t, quota.Amounts{1 << 20, 0})
		reports = append(reports, &spaceReport{meter: m})
	}
	reports[0].Needed[0], reports[0].Wanted[0] = 10, 100
	reports[1].Needed[0], reports[1].Wanted[0] = 0, 30
	k.deal(reports, &quota.Grant{Granted: quota.Amounts{50, 0}})
	if a, b := reports[0].meter.lent[0], reports[1].meter.lent[0]; a != 40 || b != 10 {
		t.Error(a, b)
	}
}

func TestSpaceSlack(t *testing.T) {
	m, _ := testMeter(t, quota.Amounts{1 << 20, 0})
	m.used = quota.Amounts{1<<20 + 100, 0}
	if !m.slack(quota.Bytes, 200) || m.slack(quota.Bytes, 2000) {
		t.Error("a little is to pass, and not much")
	}
	m.left[quota.Bytes] = -500
	if m.slack(quota.Bytes, 200) {
		t.Error("what is not reported yet counts")
	}
	m.left, m.used = quota.Amounts{}, quota.Amounts{1<<20 + 1<<20/slackShare, 0}
	if m.slack(quota.Bytes, 1) {
		t.Error("there is an end to it")
	}
}

// As many commands that may convert are under way as there is room for.
func TestSpaceConvert(t *testing.T) {
	m, _ := testMeter(t, quota.Amounts{1 << 20, 0})
	s := new(session)
	m.used = quota.Amounts{1<<20 - 3*conversion, 0}
	for i := range 3 {
		c := new(charge)
		if !m.convert(s, c) || !c.converts || !c.measure {
			t.Fatal(i, c)
		}
		m.converting++
	}
	if m.convert(s, new(charge)) || len(m.crowded) != 1 {
		t.Error("there is no room for a fourth")
	}
	m.converted()
	if !m.convert(s, new(charge)) || len(m.crowded) != 0 {
		t.Error("now there is")
	}
	m.used, m.converting = quota.Amounts{1 << 20, 0}, 0
	if !m.convert(s, new(charge)) {
		t.Error("one at a time goes always")
	}
	far, _ := testMeter(t, quota.Amounts{1 << 30, 0})
	measured := 0
	for range 10 * conversionProbe {
		c := new(charge)
		if far.convert(s, c); c.measure {
			measured++
		}
	}
	if measured != 10 {
		t.Error(measured, "measured far from the limit")
	}
	far.learnConversion(1000)
	c := new(charge)
	if far.convert(s, c); c.need[quota.Bytes] != 250 {
		t.Error("what is likely:", c.need)
	}
}

func TestUsedMemory(t *testing.T) {
	for text, want := range map[string]int64{
		"$30\r\n# Memory\r\nused_memory:12345\r\nused_memory_human:12K\r\n": 12345, "-NOPERM no\r\n": 0, "$0\r\n\r\n": 0, "": 0,
	} {
		if got := serverTakes([]byte(text), usedMemory); got != want {
			t.Errorf("%q: %d", text, got)
		}
	}
	for text, want := range map[string]int64{":123\r\n": 123, "$-1\r\n": 0, "_\r\n": 0, ":-5\r\n": 0, "": 0} {
		if got := usage([]byte(text)); got != want {
			t.Errorf("%q: %d", text, got)
		}
	}
}

// BenchmarkSpaceAdmit is what a write of a tenant far below its limit takes more than one of a
// tenant without.
func BenchmarkSpaceAdmit(b *testing.B) {
	loop, err := netloop.New()
	if err != nil {
		b.Fatal(err)
	}
	w := &worker{loop: loop}
	m := newSpaceMeter(nil, w, &tenantStats{id: "acme"}, quota.Amounts{4 << 30, 0})
	m.left[quota.Bytes], m.probeAt = 1<<60, 1<<60 // a probe is rare
	s := &session{w: w, stats: m.stats}
	raw := resp.AppendRequest(nil, "SET", "key:000000012345", strings.Repeat("x", 100))
	var req resp.Request
	if _, err := req.Scan(raw, &resp.Limits{Bulk: 1 << 20, Request: 1 << 20, Args: 10}); err != nil {
		b.Fatal(err)
	}
	r := namespace.Request{Raw: raw, Args: req.Args}
	cmd := command.Lookup([]byte("set"))
	b.ReportAllocs()
	for b.Loop() {
		m.admit(s, cmd, &r)
		m.handled(true)
	}
}

// The error names the quota that is used up, and not the one that was looked at first.
func TestSpaceErrorNamesTheQuota(t *testing.T) {
	for name, c := range map[string]struct {
		limit, used quota.Amounts
		resource    int
		want        string
	}{
		"memory":                      {quota.Amounts{1000, 0}, quota.Amounts{1000, 5}, quota.Bytes, "memory quota (used 1000 of 1000 bytes)"},
		"keys":                        {quota.Amounts{0, 5}, quota.Amounts{1000, 5}, quota.Keys, "quota of keys (used 5 of 5)"},
		"keys alone, asked of memory": {quota.Amounts{0, 5}, quota.Amounts{1000, 5}, quota.Bytes, "quota of keys (used 5 of 5)"},
		"keys, though memory is left": {quota.Amounts{1000, 5}, quota.Amounts{500, 5}, quota.Bytes, "quota of keys (used 5 of 5)"},
		"memory, and keys are left":   {quota.Amounts{1000, 5}, quota.Amounts{990, 4}, quota.Bytes, "memory quota (used 990 of 1000 bytes)"},
		"both":                        {quota.Amounts{1000, 5}, quota.Amounts{1000, 5}, quota.Bytes, "memory quota (used 1000 of 1000 bytes)"},
	} {
		m := &spaceMeter{stats: &tenantStats{id: "acme"}, limit: c.limit, used: c.used}
		if got := m.overText(c.resource); !strings.HasSuffix(got, c.want) {
			t.Errorf("%s: %s", name, got)
		}
	}
}
