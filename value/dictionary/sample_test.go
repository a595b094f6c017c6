package dictionary

import (
	"bytes"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"riptide-proxy/value"
)

func prefixMatch(pattern, key []byte) bool {
	return bytes.HasPrefix(key, bytes.TrimSuffix(pattern, []byte("*")))
}

func newSampler(patterns ...string) *sampler {
	s := &sampler{match: prefixMatch, used: new(atomic.Int64)}
	s.set(patterns)
	return s
}

func key(name string) value.Name {
	return value.Name{Prefix: []byte("t:acme:0:"), Key: []byte(name)}
}

// total is how many bytes a sampler holds, which its counter must say too.
func total(t *testing.T, s *sampler) int {
	t.Helper()
	n := 0
	for _, p := range s.pools {
		sum := 0
		for _, v := range p.values {
			sum += len(v)
		}
		if sum != p.bytes || sum > p.limit || len(p.values) > mostValues {
			t.Errorf("%s: %d values of %d bytes, counted %d of at most %d", p.pattern, len(p.values), sum, p.bytes, p.limit)
		}
		n += sum
	}
	if s.used.Load() != int64(n) {
		t.Errorf("%d bytes are counted, %d there", s.used.Load(), n)
	}
	return n
}

func TestSamplerPatterns(t *testing.T) {
	s := newSampler("session:*", "sess*", Everything)
	start := time.Unix(1, 0)
	r := newRandom(1)
	s.offer(key("session:1"), r.session()) // nothing is collected yet
	for _, p := range []string{"session:*", Everything} {
		s.collect(p, true, start)
	}
	buf := r.session()
	for range enoughValues - 1 {
		s.offer(key("session:1"), buf)
	}
	s.offer(key("sess1"), buf) // its pool is closed
	s.offer(key("other"), buf)
	s.offer(key("session:1"), []byte("short"))
	s.offer(key("session:1"), make([]byte, longestSample+1))
	if is := s.sample("session:*", start.Add(time.Hour), time.Second); !is.open || is.waited != time.Hour || is.values != nil {
		t.Errorf("%+v", is)
	}
	want := string(buf)
	s.offer(key("session:1"), buf)
	buf[0]++ // the caller's buffer is used again
	if is := s.sample("session:*", start, time.Second); is.values != nil {
		t.Error("a moment's values were enough")
	}
	is := s.sample("session:*", start.Add(time.Second), time.Second)
	if len(is.values) != enoughValues || string(is.values[enoughValues-1]) != want {
		t.Errorf("%d values", len(is.values))
	}
	if n := total(t, s); n != (enoughValues+1)*len(buf) {
		t.Errorf("%d bytes", n)
	}
	s.collect("session:*", false, start)
	if n := total(t, s); n != len(buf) || !s.open.Load() {
		t.Errorf("%d bytes left", n)
	}
	if is.values[0] == nil || string(is.values[0]) != want {
		t.Error("what was handed out has changed")
	}
	s.set([]string{"session:*"})
	if n := total(t, s); n != 0 || s.open.Load() {
		t.Errorf("%d bytes left, open %t", n, s.open.Load())
	}
}

func TestSamplerBounds(t *testing.T) {
	s := newSampler("a*", Everything)
	s.collect("a*", true, time.Time{})
	for i := range 5000 {
		s.offer(key("a"), bytes.Repeat([]byte{byte(i)}, 10_000+i))
	}
	if n := total(t, s); n < tenantBytes/4 {
		t.Errorf("only %d bytes", n)
	}
	// Many values go by for each that is kept, and the latest are among them.
	s = newSampler(Everything)
	s.collect(Everything, true, time.Time{})
	for i := range 200_000 {
		s.offer(key("a"), bytes.Repeat([]byte{byte(i / 1000)}, 10))
	}
	values := s.sample(Everything, time.Time{}, 0).values
	late := 0
	for _, v := range values {
		if v[0] > 100 {
			late++
		}
	}
	if total(t, s); len(values) != mostValues || late < mostValues/2 {
		t.Errorf("%d of %d values are late ones", late, len(values))
	}
	// All tenants' samples together are bounded.
	used := new(atomic.Int64)
	used.Store(allBytes - 100)
	s = &sampler{match: prefixMatch, used: used}
	s.set([]string{Everything})
	s.collect(Everything, true, time.Time{})
	for range 10 {
		s.offer(key("a"), make([]byte, 30))
	}
	if used.Load() != allBytes-10 {
		t.Errorf("%d", used.Load()-allBytes)
	}
}

func TestSamplerConcurrently(t *testing.T) {
	s := newSampler("a*", Everything)
	var wait sync.WaitGroup
	for range 4 {
		wait.Go(func() {
			for i := range 3000 {
				s.offer(key("abc"[i%3:]), make([]byte, 10+i))
			}
		})
	}
	for i := range 200 {
		s.collect("a*", i%3 != 0, time.Time{})
		s.collect(Everything, i%2 == 0, time.Time{})
		s.sample("a*", time.Time{}, 0)
	}
	wait.Wait()
	total(t, s)
}

func BenchmarkOffer(b *testing.B) {
	v := newRandom(1).session()
	for _, open := range []bool{false, true} {
		b.Run(map[bool]string{false: "closed", true: "full"}[open], func(b *testing.B) {
			s := newSampler("session:*", Everything)
			s.collect("session:*", open, time.Time{})
			name := key("session:1")
			b.RunParallel(func(p *testing.PB) {
				for p.Next() {
					s.offer(name, v)
				}
			})
		})
	}
}
