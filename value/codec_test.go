package value

import (
	"bytes"
	"crypto/rand"
	"fmt"
	"strings"
	"sync"
	"testing"

	"riptide-proxy/config"
)

var testKey = bytes.Repeat([]byte{7}, keySize)

// testSettings compress whatever becomes shorter.
func testSettings(a config.Algorithm) Settings {
	return Settings{Tenant: "acme", Algorithm: a, MinSize: 1, MinSaving: 10, Limit: 1 << 29}
}

func newCodec(t testing.TB, s Settings) *Codec {
	t.Helper()
	c, err := NewCodec(s)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func newKeyring(t testing.TB, tenant, algorithm, current string, masters map[string][]byte) *Keyring {
	t.Helper()
	k, err := NewKeyring(tenant, algorithm, current, masters)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

var testName = Name{Prefix: []byte("t:acme:0:"), Key: []byte("user:1")}

// roundTrip seals and opens a value, and returns what would be stored.
func roundTrip(t testing.TB, c *Codec, plain []byte, name Name) []byte {
	t.Helper()
	var n Counters
	out, sealed := c.Seal(&n, []byte("before"), plain, name)
	if !bytes.HasPrefix(out, []byte("before")) || !sealed && len(out) != len("before") {
		t.Fatalf("Seal has not appended: %.20q, sealed %t", out, sealed)
	}
	stored := out[len("before"):]
	if !sealed {
		stored = plain
	}
	if length, ok := Length(stored); length != int64(len(plain)) || ok != sealed {
		t.Fatalf("Length = %d, %t for %d bytes, sealed %t", length, ok, len(plain), sealed)
	}
	back, err := c.Open(&n, []byte("more"), stored, name)
	if err != nil || !bytes.HasPrefix(back, []byte("more")) || !bytes.Equal(back[4:], plain) {
		t.Fatalf("Open of %d bytes for %d: %v, equal %t", len(stored), len(plain), err, bytes.Equal(back[4:], plain))
	}
	return stored
}

func TestRoundTrip(t *testing.T) {
	random := make([]byte, 300000)
	rand.Read(random)
	var plains [][]byte
	for _, size := range []int{0, 1, 2, 3, 4, 100, 255, 256, 1000, bareLength, bareLength + 1, bareLength + 256, bareLength + 257, 300000} {
		for _, unit := range []string{"hello, world. ", "\x00", Magic, "HYLL"} {
			plains = append(plains, bytes.Repeat([]byte(unit), size/len(unit)+1)[:size])
		}
		plains = append(plains, random[:size], append([]byte(Magic), random[:size]...), documentJSON(newRand(1), size))
	}
	plains = append(plains, []byte("12345"), bytes.Repeat([]byte("mixed "), 1<<20))
	for _, algorithm := range []config.Algorithm{config.NoCompression, config.LZ4, config.S2, config.Zstd} {
		most := Best
		if testing.Short() {
			most = DefaultLevel
		}
		for level := DefaultLevel; level <= most; level++ {
			for _, cipher := range []string{"", "aes-256-gcm", "chacha20-poly1305"} {
				s := testSettings(algorithm)
				s.Level = level
				if cipher != "" {
					s.Keys = newKeyring(t, "acme", cipher, "k", map[string][]byte{"k": testKey})
				}
				t.Run(fmt.Sprint(algorithm, level, cipher), func(t *testing.T) {
					c := newCodec(t, s)
					for _, plain := range plains {
						stored := roundTrip(t, c, plain, testName)
						most := len(plain)
						if cipher != "" {
							most += maxHeader + tagSize
						} else if bytes.HasPrefix(plain, []byte(Magic)) {
							most += 11
						}
						if len(stored) > most {
							t.Errorf("%d bytes for %.10q, %d bytes", len(stored), plain, len(plain))
						}
						// Sealed again, as somebody may who copies what is stored.
						roundTrip(t, c, stored, testName)
					}
				})
			}
		}
	}
}

func TestForcedSealing(t *testing.T) {
	for _, a := range []config.Algorithm{config.LZ4, config.S2, config.Zstd} {
		s := testSettings(a)
		s.MinSaving = -1
		c := newCodec(t, s)
		for _, plain := range []string{"x", "xyz", "some text"} {
			if stored := roundTrip(t, c, []byte(plain), testName); !IsSealed(stored) {
				t.Errorf("%s: %q is not sealed", a, plain)
			}
		}
		for _, plain := range []string{"17", "HYLL\x00", ""} {
			if stored := roundTrip(t, c, []byte(plain), testName); IsSealed(stored) {
				t.Errorf("%s: %q is sealed", a, plain)
			}
		}
	}
}

func TestSkipped(t *testing.T) {
	random := make([]byte, 4000)
	rand.Read(random)
	random[0] = 'x'
	slightly := append(bytes.Clone(random), make([]byte, 200)...)
	s := testSettings(config.Zstd)
	s.MinSize, s.Exclude = 20, []string{"img:*", "exactly"}
	c := newCodec(t, s)
	text := strings.Repeat("some text ", 100)
	for _, test := range []struct {
		key, plain string
		want       Skip
	}{
		{"k", "short", SkipSmall},
		{"k", "", SkipSmall},
		{"k", strings.Repeat("7", 300), SkipNative},
		{"k", "HYLL" + text, SkipNative},
		{"img:1", text, SkipExcluded},
		{"exactly", text, SkipExcluded},
		{"k", "\xff\xd8\xff\xe0" + text, SkipCompressed},
		{"k", string(random), SkipIncompressible},
		{"k", string(slightly), SkipNoGain},
		{"k", text, SkipReasons},
	} {
		var n, want Counters
		out, sealed := c.Seal(&n, nil, []byte(test.plain), Name{Key: []byte(test.key)})
		n.seals = 0
		if test.want < SkipReasons {
			want.Skipped[test.want]++
		} else {
			want.Sealed[Zstd] = Flow{Values: 1, In: uint64(len(test.plain)), Out: uint64(len(out))}
		}
		if n != want || sealed != (test.want == SkipReasons) {
			t.Errorf("%s %.10q: sealed %t, %+v, want %+v", test.key, test.plain, sealed, n, want)
		}
	}
}

// TestEncryptsAll: with encryption nothing is stored as it is.
func TestEncryptsAll(t *testing.T) {
	s := testSettings(config.Zstd)
	s.MinSize, s.Exclude = 20, []string{"*"}
	s.Keys = newKeyring(t, "acme", "aes-256-gcm", "k", map[string][]byte{"k": testKey})
	c := newCodec(t, s)
	for _, plain := range []string{"", "1", "short", "HYLL", strings.Repeat("secret ", 100)} {
		stored := roundTrip(t, c, []byte(plain), testName)
		h, _, ok := ParseHeader(stored)
		if !ok || h.Cipher != AES256GCM || h.Algorithm != None || plain != "" && len(plain) > 3 && bytes.Contains(stored, []byte(plain)) {
			t.Errorf("%.10q: %+v", plain, h)
		}
	}
}

func TestSettings(t *testing.T) {
	for name, change := range map[string]func(*Settings){
		"algorithm": func(s *Settings) { s.Algorithm = "gzip" },
		"level":     func(s *Settings) { s.Level = 9 },
		"limit":     func(s *Settings) { s.Limit = 0 },
	} {
		s := testSettings(config.LZ4)
		change(&s)
		if _, err := NewCodec(s); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	for name, want := range map[string]int{"fastest": Fastest, "default": DefaultLevel, "better": Better, "best": Best} {
		if got, ok := Level(name); got != want || !ok {
			t.Errorf("Level(%q) = %d, %t", name, got, ok)
		}
	}
	if _, ok := Level("highest"); ok {
		t.Error("a level that there is not")
	}
	c := newCodec(t, testSettings(config.NoCompression))
	if c.Compresses() || c.Encrypts() || c.Streams() {
		t.Error("no compression is some")
	}
}

func TestCounters(t *testing.T) {
	c := newCodec(t, testSettings(config.LZ4))
	plain := []byte(strings.Repeat("some text ", 100))
	var n, sum Counters
	for range 10 * sampleEvery {
		stored, _ := c.Seal(&n, nil, plain, testName)
		if _, err := c.Open(&n, nil, stored, testName); err != nil {
			t.Fatal(err)
		}
	}
	sum.Add(&n)
	sum.Add(&n)
	sealed, opened := sum.Sealed[LZ4], sum.Opened[LZ4]
	if sealed.Values != 20*sampleEvery || sealed.In != 20*sampleEvery*1000 || sealed.Out != opened.In || opened.Out != sealed.In || sealed.Nanos == 0 || opened.Nanos == 0 {
		t.Errorf("%+v", sum)
	}
}

// TestConcurrent is of use with the race detector.
func TestConcurrent(t *testing.T) {
	s := testSettings(config.Zstd)
	s.Keys = newKeyring(t, "acme", "chacha20-poly1305", "k", map[string][]byte{"k": testKey})
	c := newCodec(t, s)
	d := sessionDict(t)
	var group sync.WaitGroup
	for g := range 4 {
		group.Go(func() {
			r := newRand(uint64(g))
			for i := range 50 {
				if i == 20 {
					c.SetDicts(NewDicts(nil, []*Dict{d}))
					c.SetSampler(func(Name, []byte) {})
				}
				roundTrip(t, c, sessionJSON(r), testName)
				roundTrip(t, c, documentJSON(r, 5000), testName)
			}
		})
	}
	group.Wait()
}

// TestAllocations: once the pools are warm, nothing but the caller's buffer is written to.
func TestAllocations(t *testing.T) {
	for _, algorithm := range []config.Algorithm{config.NoCompression, config.LZ4, config.S2, config.Zstd} {
		for _, cipher := range []string{"", "aes-256-gcm", "chacha20-poly1305"} {
			s := testSettings(algorithm)
			if cipher != "" {
				s.Keys = newKeyring(t, "acme", cipher, "k", map[string][]byte{"k": testKey})
			}
			c := newCodec(t, s)
			c.SetDicts(NewDicts(nil, []*Dict{sessionDict(t)}))
			plain := documentJSON(newRand(1), 2000)
			stored, back := make([]byte, 0, 4096), make([]byte, 0, 4096)
			var n Counters
			allocs := testing.AllocsPerRun(200, func() {
				out, sealed := c.Seal(&n, stored, plain, testName)
				if !sealed {
					out = plain
				}
				if _, err := c.Open(&n, back, out, testName); err != nil {
					t.Fatal(err)
				}
			})
			if allocs >= 1 && !raceDetector {
				t.Errorf("%s %s: %v allocations", algorithm, cipher, allocs)
			}
		}
	}
}
