package dictionary

import (
	"bytes"
	"errors"
	"testing"
	"time"

	"riptide-proxy/config"
	"riptide-proxy/value"
)

// settings are a tenant's as the configuration has them by default.
func settings(level int) value.Settings {
	return value.Settings{Tenant: "acme", Algorithm: config.Zstd, Level: level, MinSize: 1 << 10, DictMinSize: 64, MinSaving: 10, Limit: 512 << 20}
}

// stored is how many bytes a tenant's values take when they are sealed with a dictionary.
func stored(t testing.TB, s value.Settings, values [][]byte, blob []byte) (total int64) {
	t.Helper()
	codec, err := value.NewCodec(s)
	if err != nil {
		t.Fatal(err)
	}
	d, err := value.NewDict(Everything, blob)
	if err != nil {
		t.Fatal(err)
	}
	codec.SetDicts(value.NewDicts(nil, []*value.Dict{d}))
	var n value.Counters
	for _, v := range values {
		out, sealed := codec.Seal(&n, nil, v, key("a"))
		if !sealed {
			total += int64(len(v))
			continue
		}
		total += int64(len(out))
		if got, err := codec.Open(&n, nil, out, key("a")); err != nil || !bytes.Equal(got, v) {
			t.Errorf("%q comes back as %q, %v", v, got, err)
		}
	}
	return total
}

// Values that a dictionary was not trained with become this much shorter with it, all told.
func TestTrainGain(t *testing.T) {
	for _, c := range []struct {
		name  string
		make  func(random) []byte
		total float64 // percent
		level []int
	}{
		{"session", random.session, 68, []int{value.Fastest, value.DefaultLevel, value.Better, value.Best}},
		{"login", random.login, 75, []int{value.DefaultLevel}},
		{"document", random.document, 75, []int{value.DefaultLevel}},
		{"counter", random.counter, 50, []int{value.DefaultLevel}},
	} {
		if testing.Short() {
			c.level = c.level[:1]
		}
		for _, level := range c.level {
			r := newRandom(1)
			values := many(400, func() []byte { return c.make(r) })
			began := time.Now()
			trained, err := Train(values, Params{Settings: settings(level), Size: 16 << 10})
			if err != nil {
				t.Errorf("%s: %v, %+v", c.name, err, trained)
				continue
			}
			took := time.Since(began)
			fresh := many(300, func() []byte { return c.make(r) })
			plain := int64(len(bytes.Join(fresh, nil)))
			size := stored(t, settings(level), fresh, trained.Blob)
			if guess, err := sealedSize(settings(level), fresh, trained.Blob); guess != size || err != nil {
				t.Errorf("%s, level %d: %d bytes are stored, %d were expected, %v", c.name, level, size, guess, err)
			}
			without, _ := sealedSize(settings(level), fresh, nil)
			t.Logf("%s, level %d: %d bytes each, %d without a dictionary, %d with one of %d (%.1f %% less); said %.1f %%; trained in %v",
				c.name, level, plain/300, without/300, size/300, len(trained.Blob), percent(size, plain), trained.Gain.Total(), took.Round(time.Millisecond))
			if got := percent(size, plain); got < c.total || got < trained.Gain.Total()-3 {
				t.Errorf("%s, level %d: %.1f %% less, want %.0f; training said %.1f", c.name, level, got, c.total, trained.Gain.Total())
			}
		}
	}
}

func TestTrainNoGain(t *testing.T) {
	r := newRandom(2)
	for name, values := range map[string][][]byte{
		"noise":     many(200, r.noise),
		"identical": many(200, func() []byte { return bytes.Repeat([]byte("a"), 5000) }),
		"empty":     make([][]byte, 100),
		"short":     many(100, func() []byte { return []byte(r.hex(5)) }),
		"zeros":     many(100, func() []byte { return make([]byte, 300) }),
	} {
		trained, err := Train(values, Params{Settings: settings(value.DefaultLevel), Size: 16 << 10})
		t.Log(name, trained != nil, err)
		if err == nil && !trained.Gain.Enough() {
			t.Errorf("%s: kept with %+v", name, trained.Gain)
		}
		if name == "noise" && !errors.Is(err, ErrNoGain) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// What is written again and again counts once: it does not get into a dictionary, nor does
// it make one look better than it is.
func TestTrainRepeated(t *testing.T) {
	r := newRandom(5)
	var values [][]byte
	for range 40 {
		v := make([]byte, 300)
		for i := range v {
			v[i] = byte(r.Uint32())
		}
		for range 10 {
			values = append(values, v)
		}
	}
	if _, err := Train(values, Params{Settings: settings(value.DefaultLevel), Size: 16 << 10, Seed: 1}); !errors.Is(err, ErrNoGain) {
		t.Errorf("of 40 unlike values, ten times each: %v", err)
	}
	if _, err := Train(values[:300], Params{Settings: settings(value.DefaultLevel), Size: 16 << 10, Seed: 1}); !errors.Is(err, ErrTooFew) {
		t.Errorf("of 30 unlike values, ten times each: %v", err)
	}
}
