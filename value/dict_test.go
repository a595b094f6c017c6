package value

import (
	"bytes"
	"errors"
	"fmt"
	"runtime"
	"testing"

	"riptide-proxy/config"
)

func TestDict(t *testing.T) {
	d := sessionDict(t)
	if d.ID != DictID(sessionBlob()) || d.ID == 0 {
		t.Errorf("id %08x", d.ID)
	}
	for level := DefaultLevel; level <= Best; level++ {
		s := testSettings(config.Zstd)
		s.Level, s.MinSize, s.DictMinSize = level, 1024, 64
		c := newCodec(t, s)
		plain := sessionJSON(newRand(1))
		if stored := roundTrip(t, c, plain, testName); IsSealed(stored) {
			t.Error("sealed without a dictionary")
		}
		c.SetDicts(NewDicts(nil, []*Dict{d}))
		stored := roundTrip(t, c, plain, testName)
		if h, _, ok := ParseHeader(stored); !ok || h.Dict != d.ID || len(stored) > len(plain)*55/100 {
			t.Errorf("level %d: %d bytes of %d, %+v", level, len(stored), len(plain), h)
		}
		if stored := roundTrip(t, c, []byte("short"), testName); IsSealed(stored) {
			t.Error("sealed below the minimum")
		}
		// At its longest, with repeats of what the dictionary begins with.
		roundTrip(t, c, append(documentJSON(newRand(1), dictLength-1000), sessionBlob()[1000:2000]...), testName)
		roundTrip(t, c, documentJSON(newRand(1), dictLength+1), testName)

		c.SetDicts(NewDicts([]*Dict{d}, nil)) // to read only
		var n Counters
		if out, err := c.Open(&n, nil, stored, testName); err != nil || !bytes.Equal(out, plain) || n.DictOpened != 1 {
			t.Errorf("level %d: %v", level, err)
		}
		c.SetDicts(nil)
		var missing *MissingDictError
		if _, err := c.Open(&n, nil, stored, testName); !errors.As(err, &missing) || missing.ID != d.ID || n.Failed != 1 {
			t.Errorf("level %d: %v", level, err)
		}
	}
}

func TestNoDict(t *testing.T) {
	blob := sessionBlob()
	for name, b := range map[string][]byte{"empty": nil, "text": []byte("some text that is long enough"), "cut": blob[:40], "only magic": blob[:8], "long": append(bytes.Clone(blob), make([]byte, maxDict)...)} {
		if _, err := NewDict("", b); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

func TestDicts(t *testing.T) {
	make := func(pattern string, id uint32) *Dict {
		return &Dict{ID: id, Pattern: pattern, keys: newPattern(pattern)}
	}
	all, star, session, user := make("", 1), make("*", 2), make("session:*", 3), make("user:*", 4)
	d := NewDicts([]*Dict{all, user}, []*Dict{star, session, all})
	for key, want := range map[string]*Dict{"session:1": session, "user:1": star, "x": star} {
		if got := d.For([]byte(key)); got != want {
			t.Errorf("For(%q) = %+v", key, got)
		}
	}
	if d.Get(4) != user || d.Get(3) != session || d.Get(9) != nil {
		t.Error("Get")
	}
	if d := (*Dicts)(nil); d.Get(1) != nil || d.For([]byte("x")) != nil {
		t.Error("no dictionaries")
	}
}

func TestSampler(t *testing.T) {
	s := testSettings(config.Zstd)
	s.MinSize, s.DictMinSize, s.Exclude = 1024, 64, []string{"img:*"}
	c := newCodec(t, s)
	var sampled []string
	c.SetSampler(func(name Name, plain []byte) { sampled = append(sampled, fmt.Sprintf("%s %d", name.Key, len(plain))) })
	for _, test := range []struct {
		key  string
		size int
	}{{"a", 10}, {"b", 64}, {"c", 2000}, {"d", dictLength + 1}, {"img:1", 500}} {
		roundTrip(t, c, documentJSON(newRand(1), test.size), Name{Key: []byte(test.key)})
	}
	if got := fmt.Sprint(sampled); got != "[b 64 c 2000]" {
		t.Error(got)
	}
	c.SetSampler(nil)
	roundTrip(t, c, documentJSON(newRand(1), 500), testName)
	if len(sampled) != 2 {
		t.Error("sampled after the end")
	}
}

func TestCoders(t *testing.T) {
	made := map[string]int{}
	coderOf := func(name string) *coder[string] {
		return &coder[string]{bytes: 10, make: func() *string { made[name]++; return &name }}
	}
	s := coders[string]{limit: 35}
	a, b, c, d := coderOf("a"), coderOf("b"), coderOf("c"), coderOf("d")
	for range 2 {
		for _, one := range []*coder[string]{a, b, c} {
			if s.get(one, false) == nil {
				t.Fatal("not made although there is room")
			}
		}
	}
	for i := 1; i < rebuild; i++ {
		if s.get(d, false) != nil {
			t.Fatal("made at once although there is no room")
		}
	}
	if s.get(d, false) == nil || s.bytes != 30 || len(s.ring) != 3 {
		t.Fatalf("%d bytes, %d coders", s.bytes, len(s.ring))
	}
	b.used.Store(true)
	c.used.Store(false)
	a.used.Store(true)
	d.used.Store(true)
	if s.get(coderOf("e"), true) == nil || s.bytes != 30 {
		t.Fatal("not made although it must be")
	}
	if c.ready.Load() != nil && a.ready.Load() != nil {
		t.Error("the one that was not used is still there")
	}
	s.forget(d)
	s.forget(d)
	if s.bytes != 20 || len(s.ring) != 2 || d.ready.Load() != nil {
		t.Errorf("%d bytes, %d coders after one is forgotten", s.bytes, len(s.ring))
	}
	if made["a"] != 1 {
		t.Errorf("made %v", made)
	}
}

// TestForgottenDict: what a dictionary takes goes when it does.
func TestForgottenDict(t *testing.T) {
	coders := func() *dictCoders {
		s := testSettings(config.Zstd)
		c := newCodec(t, s)
		d := sessionDict(t)
		c.SetDicts(NewDicts(nil, []*Dict{d}))
		roundTrip(t, c, sessionJSON(newRand(1)), testName)
		return d.coders
	}()
	if coders.quick.ready.Load() == nil || coders.decoder.ready.Load() == nil {
		t.Fatal("nothing was made")
	}
	for range 1000 {
		runtime.GC()
		runtime.Gosched()
		if coders.quick.ready.Load() == nil && coders.decoder.ready.Load() == nil {
			return
		}
	}
	t.Error("still there")
}
