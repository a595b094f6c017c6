package dictionary

import (
	"context"
	"testing"
	"time"

	"riptide-proxy/tests/harness"
	"riptide-proxy/value"
)

// write has the tenant's codec seal values, as the proxy does.
func (p *proxy) write(name string, n int, make func() []byte) {
	var counters value.Counters
	for range n {
		p.codecs["acme"].Seal(&counters, nil, make(), key(name))
	}
}

// look does what Run does all the time.
func (p *proxy) look() {
	p.t.Helper()
	p.poll()
	p.work(harness.Context(p.t))
	p.poll()
}

// round lets a collection begin, values come, and the training be done.
func (p *proxy) round(name string, make func() []byte) {
	p.t.Helper()
	p.look()
	p.write(name, 2*enoughValues, make)
	p.later(p.Settle)
	p.look()
}

func TestTraining(t *testing.T) {
	server := harness.StartRedis(t)
	p, other := newProxy(t, server, *acme()), newProxy(t, server, *acme())
	r := newRandom(1)

	p.round("session:1", r.session)
	first := p.writesWith("session:1")
	if first == 0 {
		t.Fatal("no dictionary was trained")
	}
	p.wantWrites("other", 0)
	e, err := p.Store().Get(harness.Context(t), acme(), first)
	if err != nil || e.Pattern != "session:*" || e.Gain.Total() < 60 || e.Gain.Present != 0 || len(e.Blob) > 5<<10 {
		t.Errorf("%+v, %v", e.Meta, err)
	}
	other.look()
	other.wantWrites("session:1", first)
	if other.tenants["acme"].sampler.sample("session:*", other.clock(), 0).open {
		t.Error("the other proxy collects although there is a new dictionary")
	}

	// As long as the values stay the same nothing better is found.
	p.write("session:1", 2*enoughValues, r.session)
	p.later(lookAgain - time.Minute)
	p.look()
	p.wantWrites("session:1", first)
	p.later(time.Minute)
	p.round("session:1", r.session)
	p.wantWrites("session:1", first)
	if d := p.tenants["acme"].plans["session:*"].delay; d != 2*lookAgain {
		t.Errorf("the next look is %v away", d)
	}
	// The program was changed, and so are its values.
	p.later(2 * lookAgain)
	p.round("session:1", r.login)
	second := p.writesWith("session:1")
	if second == first || second == 0 {
		t.Fatal("no new dictionary for new values")
	}
	wantStates(t, p.Store(), acme(), map[uint32]string{first: "retired", second: "current"})
	if e, err = p.Store().Get(harness.Context(t), acme(), second); err != nil || e.Gain.Present == 0 {
		t.Errorf("%+v, %v", e.Meta, err)
	}
	if n := p.used.Load(); n != 0 {
		t.Errorf("%d bytes of samples are kept", n)
	}
}

func TestTrainingWithoutGain(t *testing.T) {
	p := newProxy(t, harness.StartRedis(t), *acme())
	r := newRandom(1)
	for _, want := range []time.Duration{lookFirst, 2 * lookFirst, 4 * lookFirst} {
		p.round("other", r.noise)
		p.wantWrites("other", 0)
		plan := p.tenants["acme"].plans[Everything]
		if plan.delay != want || !plan.next.Equal(p.clock().Add(want)) {
			t.Errorf("%+v, want %v", plan, want)
		}
		p.later(want)
	}
	p.tenants["acme"].plans[Everything].delay = lookLate
	p.round("other", r.noise)
	if d := p.tenants["acme"].plans[Everything].delay; d != lookLate {
		t.Error(d)
	}
}

// Another proxy trains for the pattern: this one waits.
func TestTrainingLocked(t *testing.T) {
	p := newProxy(t, harness.StartRedis(t), *acme())
	r := newRandom(1)
	unlock, ok, err := p.Store().Lock(harness.Context(t), acme(), Everything)
	if !ok || err != nil {
		t.Fatal(ok, err)
	}
	p.round("other", r.session)
	p.wantWrites("other", 0)
	unlock()
	p.later(lookSoon)
	p.round("other", r.session)
	if p.writesWith("other") == 0 {
		t.Error("not trained after the lock was gone")
	}
}

// Nothing is trained while it is not known what the upstream has, and when it is full of dictionaries.
func TestTrainingHeld(t *testing.T) {
	p := newProxy(t, harness.StartRedis(t), *acme())
	r := newRandom(1)
	p.look()
	p.write("other", enoughValues, r.session)
	p.later(time.Hour)
	p.distrust()
	p.work(harness.Context(t))
	if len(states(t, p.Store(), acme())) > 0 {
		t.Error("trained")
	}
	var retired []*Entry
	for i := range MaxDictionaries {
		retired = append(retired, trained(t, "old*", uint64(i)).with(func(m *Meta) { m.Retired = time.Now() }))
	}
	if _, err := p.Store().Restore(harness.Context(t), acme(), retired); err != nil {
		t.Fatal(err)
	}
	p.look()
	p.wantWrites("other", 0)
	if p.tenants["acme"].plans[Everything].delay != lookFirst {
		t.Error("it is not put off")
	}
}

// A sample that does not get large enough makes room when room is scarce.
func TestTrainingGivesUp(t *testing.T) {
	p := newProxy(t, harness.StartRedis(t), *acme())
	p.look()
	p.write("other", 10, newRandom(1).session)
	p.later(2 * giveUp)
	p.look()
	if p.used.Load() == 0 {
		t.Error("gave up though there is room")
	}
	p.used.Add(allBytes)
	p.look()
	if n := p.used.Load() - allBytes; n != 0 {
		t.Errorf("%d bytes are kept", n)
	}
}

// The whole of it, by itself: values are written, a dictionary comes, on every proxy.
func TestRun(t *testing.T) {
	server := harness.StartRedis(t)
	ctx, cancel := context.WithCancel(harness.Context(t))
	done := make(chan struct{})
	var proxies []*proxy
	for range 2 {
		p := newProxy(t, server, *acme())
		p.Interval, p.Settle = 10*time.Millisecond, 0
		proxies = append(proxies, p)
		go func() {
			p.Run(ctx)
			done <- struct{}{}
		}()
	}
	r := newRandom(1)
	harness.Eventually(t, "a dictionary on both proxies", func() bool {
		proxies[0].write("session:1", 50, r.session)
		id := proxies[0].writesWith("session:1")
		return id != 0 && id == proxies[1].writesWith("session:1")
	})
	proxies[0].client.FlushAll(ctx)
	proxies[0].Suspect()
	id := uint32(0)
	harness.Eventually(t, "it has come back", func() bool {
		id = proxies[0].writesWith("session:1")
		return id != 0
	})
	if _, err := proxies[0].Store().Get(ctx, acme(), id); err != nil {
		t.Error(err)
	}
	cancel()
	for range proxies {
		<-done
	}
}
