package value

import (
	"cmp"
	"fmt"
	"syscall"
	"testing"

	"riptide-proxy/config"
)

// benchCases are what the figures in the documentation are of.
var benchCases = []struct {
	name  string
	value func(i uint64) []byte
	dict  bool
}{
	{"300B", func(i uint64) []byte { return sessionJSON(newRand(i)) }, false},
	{"300B-dict", func(i uint64) []byte { return sessionJSON(newRand(i)) }, true},
	{"1KiB", func(i uint64) []byte { return documentJSON(newRand(i), 1<<10) }, false},
	{"16KiB", func(i uint64) []byte { return documentJSON(newRand(i), 16<<10) }, false},
}

// cpuTime has a benchmark report the processor's time beside that of the clock, which on a busy machine says little.
func cpuTime(b *testing.B) (report func()) {
	now := func() int64 {
		var use syscall.Rusage
		if err := syscall.Getrusage(syscall.RUSAGE_SELF, &use); err != nil {
			b.Fatal(err)
		}
		return use.Utime.Nano() + use.Stime.Nano()
	}
	began := now()
	return func() { b.ReportMetric(float64(now()-began)/float64(b.N), "cpu-ns/op") }
}

// benchEach runs f for every algorithm and case, with values and what is stored for them.
func benchEach(b *testing.B, f func(b *testing.B, c *Codec, plain, stored [][]byte)) {
	for _, how := range []struct {
		algorithm config.Algorithm
		level     string
		cipher    string
	}{
		{config.LZ4, "fastest", ""}, {config.LZ4, "default", ""},
		{config.S2, "default", ""}, {config.S2, "better", ""},
		{config.Zstd, "fastest", ""}, {config.Zstd, "default", ""}, {config.Zstd, "better", ""},
		{config.Zstd, "default", "aes-256-gcm"}, {config.NoCompression, "default", "aes-256-gcm"}, {config.NoCompression, "default", "chacha20-poly1305"},
	} {
		for _, one := range benchCases {
			if one.dict && how.algorithm != config.Zstd {
				continue
			}
			s := testSettings(how.algorithm)
			s.Level, _ = Level(how.level)
			s.MinSaving = -1
			if how.cipher != "" {
				s.Keys = newKeyring(b, "acme", how.cipher, "k", map[string][]byte{"k": testKey})
			}
			c := newCodec(b, s)
			if one.dict {
				c.SetDicts(NewDicts(nil, []*Dict{sessionDict(b)}))
			}
			var n Counters
			var plain, stored [][]byte
			for i := range 32 {
				plain = append(plain, one.value(uint64(i)))
				out, _ := c.Seal(&n, nil, plain[i], testName)
				stored = append(stored, out)
			}
			b.Run(fmt.Sprintf("%s-%s/%s", how.algorithm, cmp.Or(how.cipher, how.level), one.name), func(b *testing.B) { f(b, c, plain, stored) })
		}
	}
}

func BenchmarkSeal(b *testing.B) {
	benchEach(b, func(b *testing.B, c *Codec, plain, _ [][]byte) {
		var n Counters
		dst := make([]byte, 0, 64<<10)
		i, in, out := 0, 0, 0
		b.ReportAllocs()
		defer cpuTime(b)()
		for b.Loop() {
			stored, _ := c.Seal(&n, dst, plain[i%len(plain)], testName)
			in += len(plain[i%len(plain)])
			out += len(stored)
			i++
		}
		b.ReportMetric(float64(out)*100/float64(in), "%size")
	})
}

func BenchmarkOpen(b *testing.B) {
	benchEach(b, func(b *testing.B, c *Codec, _, stored [][]byte) {
		var n Counters
		dst := make([]byte, 0, 64<<10)
		i := 0
		b.ReportAllocs()
		defer cpuTime(b)()
		for b.Loop() {
			if _, err := c.Open(&n, dst, stored[i%len(stored)], testName); err != nil {
				b.Fatal(err)
			}
			i++
		}
	})
}

// BenchmarkSkip is what a value costs that stays as it is.
func BenchmarkSkip(b *testing.B) {
	s := testSettings(config.Zstd)
	s.MinSize, s.Exclude = 1024, []string{"img:*"}
	c := newCodec(b, s)
	for _, test := range []struct {
		name, key string
		plain     []byte
	}{{"small", "k", []byte("a short value")}, {"excluded", "img:1", documentJSON(newRand(1), 2000)}} {
		b.Run(test.name, func(b *testing.B) {
			var n Counters
			name := Name{Prefix: testName.Prefix, Key: []byte(test.key)}
			for b.Loop() {
				c.Seal(&n, nil, test.plain, name)
			}
		})
	}
}
