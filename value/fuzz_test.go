package value

import (
	"bytes"
	"errors"
	"runtime"
	"strings"
	"testing"

	"riptide-proxy/config"
)

// fuzzCodecs is a codec for each algorithm, level and way to encrypt. All have the same dictionary.
func fuzzCodecs(f *testing.F, limit int) []*Codec {
	d := sessionDict(f)
	var all []*Codec
	for _, algorithm := range []config.Algorithm{config.NoCompression, config.LZ4, config.S2, config.Zstd} {
		for _, level := range []int{DefaultLevel, Fastest, Better} {
			for _, cipher := range []string{"", "aes-256-gcm", "chacha20-poly1305"} {
				s := testSettings(algorithm)
				s.Level, s.Limit, s.DictMinSize = level, limit, 64
				if cipher != "" {
					s.Keys = newKeyring(f, "acme", cipher, "k", map[string][]byte{"k": testKey})
				}
				c := newCodec(f, s)
				c.SetDicts(NewDicts([]*Dict{d}, []*Dict{d}))
				all = append(all, c)
			}
		}
	}
	return all
}

// fuzzPlains are values to begin with.
func fuzzPlains() [][]byte {
	return [][]byte{nil, []byte("1"), []byte(Magic), []byte("HYLL\x01"), []byte(strings.Repeat("ab", 400)), sessionJSON(newRand(1)), documentJSON(newRand(1), 5000)}
}

// FuzzOpen opens what nobody has sealed: the bytes as they are, and as the payload of headers that
// check. Neither may panic, take more memory than the limit allows, or give another length than it says.
func FuzzOpen(f *testing.F) {
	const limit = 1 << 20
	codecs := fuzzCodecs(f, limit)
	var n Counters
	for _, plain := range fuzzPlains() {
		for i, c := range codecs {
			stored, sealed := c.Seal(&n, nil, plain, testName)
			if !sealed {
				stored = plain
			}
			f.Add(stored, byte(i), uint32(len(plain)))
			if _, at, ok := ParseHeader(stored); ok {
				f.Add(stored[at:], byte(i), uint32(len(plain)))
			}
		}
	}
	d := codecs[0].Dicts().For(nil)
	f.Fuzz(func(t *testing.T, b []byte, pick byte, length uint32) {
		c := codecs[int(pick)%len(codecs)]
		forged := Header{Algorithm: c.algorithm, Length: int64(length)}
		withDict := Header{Algorithm: Zstd, Length: int64(length % (2 * limit)), Dict: d.ID}
		missing := Header{Algorithm: Zstd, Length: 5, Dict: d.ID ^ 1<<31}
		encrypted := Header{Cipher: AES256GCM, Length: int64(max(0, len(b)-tagSize)), KeyID: KeyID("k"), Salt: uint64(pick), Counter: 1}
		for _, stored := range [][]byte{b, forge(forged, b), forge(withDict, b), forge(missing, b), forge(encrypted, b)} {
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			out, err := c.Open(&n, nil, stored, testName)
			runtime.ReadMemStats(&after)
			length, _ := Length(stored)
			if err == nil && int64(len(out)) != length {
				t.Fatalf("%d bytes instead of %d", len(out), length)
			}
			if err != nil && len(out) != 0 {
				t.Fatalf("%d bytes beside %v", len(out), err)
			}
			if length > limit && err == nil && IsSealed(stored) {
				t.Fatalf("%d bytes are over the limit", length)
			}
			most := min(uint64(length), limit) + 4*uint64(len(stored)) + 1<<20
			if took := after.TotalAlloc - before.TotalAlloc; took > most {
				t.Fatalf("%d bytes allocated for %d of %d: %v", took, length, len(stored), err)
			}
			known := errors.Is(err, ErrCorrupt) || errors.Is(err, ErrTooLong) || errors.Is(err, ErrWrongKey)
			if !known && err != nil && !errors.As(err, new(*MissingDictError)) && !errors.As(err, new(*MissingKeyError)) {
				t.Fatalf("unknown error %v", err)
			}
		}
	})
}

// FuzzRoundTrip: every byte string comes back as it was, also one that begins with the magic, or
// is a sealed value itself.
func FuzzRoundTrip(f *testing.F) {
	codecs := fuzzCodecs(f, 1<<29)
	for _, plain := range fuzzPlains() {
		for i := range codecs {
			f.Add(plain, byte(i))
		}
	}
	f.Fuzz(func(t *testing.T, plain []byte, pick byte) {
		c := codecs[int(pick)%len(codecs)]
		stored := roundTrip(t, c, plain, testName)
		roundTrip(t, c, stored, testName)
		roundTrip(t, c, append([]byte(Magic), plain...), testName)
		roundTrip(t, c, bytes.Repeat(plain, 3), testName)
		if _, at, ok := ParseHeader(stored); ok {
			roundTrip(t, c, stored[:at], testName)
			roundTrip(t, c, stored[:at+len(stored[at:])/2], testName)
		}
	})
}

// FuzzNewDict: what is taken for a dictionary can be used as one.
func FuzzNewDict(f *testing.F) {
	f.Add(sessionBlob())
	f.Add(sessionBlob()[:300])
	s := testSettings(config.Zstd)
	c := newCodec(f, s)
	f.Fuzz(func(t *testing.T, blob []byte) {
		d, err := NewDict("", blob)
		if err != nil {
			return
		}
		defer d.coders.forget()
		c.SetDicts(NewDicts(nil, []*Dict{d}))
		for _, plain := range fuzzPlains() {
			roundTrip(t, c, plain, testName)
		}
	})
}
