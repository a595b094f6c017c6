package rewrite

import (
	"bytes"
	"errors"
	"strconv"
	"strings"
	"testing"
	"time"

	"riptide-proxy/config"
	"riptide-proxy/value"
)

// TestThereAndBack: plain, compressed, by another algorithm, plain again.
func TestThereAndBack(t *testing.T) {
	f := newFixture(t)
	f.fill(700)
	zstd, lz4 := codec(t, config.Zstd, ""), codec(t, config.LZ4, "")

	s := f.run(f.options(zstd, Recompress))
	if s.Values != f.values() || s.Strings != int64(len(f.texts)) || s.Hashes != 3 || s.Streams != 1 || s.StreamValues != 100 || s.StreamSealed != 0 ||
		s.Keys != s.Strings+s.Hashes+3 || s.Rewritten == 0 || s.Failed+s.Raced != 0 || s.Saved() < s.Before/3 || s.Runs != 1 {
		t.Errorf("%+v", s)
	}
	only := func(kind value.Algorithm) func(key, stored string) {
		return func(key, stored string) {
			h, _, sealed := value.ParseHeader([]byte(stored))
			if sealed && h.Algorithm != value.None && h.Algorithm != kind {
				t.Errorf("%q is sealed with %v", key, h.Algorithm)
			}
		}
	}
	f.check(zstd, only(value.Zstd))

	if s := f.run(f.options(zstd, Recompress)); s.Rewritten != 0 || s.Before != s.After || s.Values != f.values() {
		t.Errorf("once more: %+v", s)
	}
	if s := f.run(f.options(lz4, Recompress)); s.Rewritten == 0 || s.Values != f.values() {
		t.Errorf("with lz4: %+v", s)
	}
	f.check(zstd, only(value.LZ4))

	o := f.options(lz4, Recompress)
	o.Plain = true
	if s := f.run(o); s.Rewritten == 0 || s.Saved() >= 0 || s.Failed != 0 || !s.Plain {
		t.Errorf("plain: %+v", s)
	}
	f.check(zstd, func(key, stored string) {
		if _, _, sealed := value.ParseHeader([]byte(stored)); sealed {
			t.Errorf("%q is still sealed", key)
		}
	})
}

// TestRekey: from plain to encrypted, to another key, and to plain.
func TestRekey(t *testing.T) {
	f := newFixture(t)
	f.fill(600)
	one, two := codec(t, config.Zstd, "one"), codec(t, config.Zstd, "two")
	with := func(name string) func(key, stored string) {
		return func(key, stored string) {
			if h, _, sealed := value.ParseHeader([]byte(stored)); !sealed || h.Cipher != value.AES256GCM || h.KeyID != value.KeyID(name) {
				t.Errorf("%q is not encrypted with %s: %+v", key, name, h)
			}
		}
	}
	for _, c := range []struct {
		codec *value.Codec
		key   string
		job   Job
	}{{one, "one", Rekey}, {two, "two", Rekey}, {one, "one", Recompress}} {
		s := f.run(f.options(c.codec, c.job))
		id := hexID(value.KeyID(c.key))
		if s.Rewritten != f.values() || s.Failed != 0 || len(s.KeyID) != 1 || s.KeyID[id] != f.values() {
			t.Errorf("%+v", s)
		}
		f.check(c.codec, with(c.key))
	}
	// What is encrypted with the current key is not even read.
	if s := f.run(f.options(one, Rekey)); s.Rewritten != 0 || s.Values != f.values() || s.KeyID[hexID(value.KeyID("one"))] != f.values() {
		t.Errorf("once more: %+v", s)
	}
	// Nor worth writing when it would not become shorter.
	if s := f.run(f.options(one, Recompress)); s.Rewritten != 0 {
		t.Errorf("recompressed once more: %+v", s)
	}
	// Encryption was turned off: the codec still opens, and seals as before without it.
	off := codec(t, config.Zstd, "")
	if s := f.run(f.options(off, Recompress)); s.Rewritten != f.values() || len(s.KeyID) != 0 {
		t.Errorf("decrypted: %+v", s)
	}
	f.check(off, nil)
}

// TestWrongKey: what does not open is left as it is and told of.
func TestWrongKey(t *testing.T) {
	f := newFixture(t)
	f.fill(30)
	one := codec(t, config.NoCompression, "one")
	f.run(f.options(one, Rekey))
	before := f.client.Get(t.Context(), root+"0:a:b").Val()

	set := settings(config.NoCompression, "two")
	for name, c := range map[string]struct {
		masters map[string][]byte
		want    string
	}{
		"missing": {map[string][]byte{"two": masters["two"]}, "not configured"},
		"another": {map[string][]byte{"two": masters["two"], "one": masters["three"]}, `does not decrypt with encryption key "one"`},
	} {
		t.Run(name, func(t *testing.T) {
			ring, err := value.NewKeyring("acme", "aes-256-gcm", "two", c.masters)
			if err != nil {
				t.Fatal(err)
			}
			set.Keys = ring
			two, err := value.NewCodec(set)
			if err != nil {
				t.Fatal(err)
			}
			for _, job := range []Job{Rekey, Recompress} {
				s := f.run(f.options(two, job))
				if s.Failed != f.values() || s.Rewritten != 0 || len(s.Failures) != mostFailures || s.KeyID[hexID(value.KeyID("one"))] != f.values() {
					t.Errorf("%+v", s)
				}
				fail := s.Failures[0]
				if !strings.Contains(fail.Error, c.want) || !strings.HasPrefix(fail.Key, `"t:acme:`) {
					t.Errorf("%+v", fail)
				}
			}
		})
	}
	if f.client.Get(t.Context(), root+"0:a:b").Val() != before {
		t.Error("it was written")
	}
	f.check(one, nil)
}

// TestLooksSealed: what would be taken for a sealed value stays wrapped.
func TestLooksSealed(t *testing.T) {
	f := newFixture(t)
	c := codec(t, config.LZ4, "")
	var n value.Counters
	name := nameOf(root + "0:x")
	sealed, _ := c.Seal(&n, nil, []byte(text(1, 400)), name)
	wrapped, is := c.Seal(&n, nil, sealed, name)
	if !is {
		t.Fatal("not wrapped")
	}
	f.client.Set(t.Context(), root+"0:x", wrapped, 0)
	o := f.options(c, Recompress)
	o.Plain = true
	if s := f.run(o); s.Failed != 1 || s.Failures[0].Error != errLooksSealed.Error() {
		t.Errorf("%+v", s)
	}
	if got, _ := f.client.Get(t.Context(), root+"0:x").Bytes(); !bytes.Equal(got, wrapped) {
		t.Error("it was written")
	}
}

// TestTTL: keys keep what they have left to live.
func TestTTL(t *testing.T) {
	f := newFixture(t)
	at := time.Now().Add(time.Hour).Truncate(time.Millisecond)
	v := text(1, 1000)
	f.client.Set(t.Context(), root+"0:x", v, 0)
	f.client.HSet(t.Context(), root+"0:h", "f", v)
	f.client.PExpireAt(t.Context(), root+"0:x", at)
	f.client.PExpireAt(t.Context(), root+"0:h", at)
	if s := f.run(f.options(codec(t, config.S2, ""), Recompress)); s.Rewritten != 2 {
		t.Errorf("%+v", s)
	}
	for _, key := range []string{"0:x", "0:h"} {
		if got := f.client.PExpireTime(t.Context(), root+key).Val(); got.Milliseconds() != at.UnixMilli() {
			t.Errorf("%s expires at %v instead of %v", key, got, at)
		}
	}
}

// TestFieldTTL: so do the fields of hashes, where the server has that.
func TestFieldTTL(t *testing.T) {
	f := newFixture(t)
	at := time.Now().Add(time.Hour).Truncate(time.Millisecond)
	v := text(1, 1000)
	f.client.HSet(t.Context(), root+"0:h", "lives", v, "dies", v, "gone", v)
	if err := f.client.HPExpireAt(t.Context(), root+"0:h", at, "dies").Err(); err != nil {
		t.Skip("needs Redis 7.4: ", err)
	}
	f.client.HPExpireAt(t.Context(), root+"0:h", time.Now().Add(-time.Second), "gone")
	s := f.run(f.options(codec(t, config.Zstd, "one"), Rekey))
	if s.Rewritten != 2 || s.Values != 2 {
		t.Errorf("%+v", s)
	}
	got := f.client.HPExpireTime(t.Context(), root+"0:h", "lives", "dies", "gone").Val()
	if got[0] != -1 || got[1] != at.UnixMilli() || got[2] != -2 {
		t.Errorf("%v, want the second at %d", got, at.UnixMilli())
	}
}

// TestFullMemory: compressing works when nothing else can be written, encrypting
// does not.
func TestFullMemory(t *testing.T) {
	f := newFixture(t)
	f.fill(100)
	f.client.ConfigSet(t.Context(), "maxmemory", "1mb")
	if err := f.client.Set(t.Context(), "x", "y", 0).Err(); err == nil {
		t.Fatal("the memory is not full")
	}
	s, err := Run(t.Context(), f.options(codec(t, config.Zstd, ""), Recompress))
	if f.client.Do(t.Context(), "FUNCTION", "STATS").Err() != nil {
		t.Skip("needs Redis 7")
	}
	// The value that begins like a sealed one can not be wrapped now.
	if err != nil || s.Rewritten < 300 || s.Failed != 1 || s.Values != f.values() || !strings.HasPrefix(s.Failures[0].Error, "OOM") {
		t.Errorf("%v, %+v", err, s)
	}
	_, err = Run(t.Context(), f.options(codec(t, config.Zstd, "one"), Rekey))
	if err == nil || !strings.Contains(err.Error(), "OOM") {
		t.Error(err)
	}
	f.check(codec(t, config.LZ4, ""), nil)
}

// TestLarge: what is longer than one step may be takes several.
func TestLarge(t *testing.T) {
	f := newFixture(t)
	h := map[string]string{}
	for i := range 9 {
		key := root + "0:" + strconv.Itoa(i)
		f.texts[key] = text(i, 700<<10)
		h[strconv.Itoa(i)] = text(100+i, 500<<10+i%2)
		f.client.Set(t.Context(), key, f.texts[key], 0)
	}
	f.hashes[root+"0:h"] = h
	f.client.HSet(t.Context(), root+"0:h", h)
	one := codec(t, config.S2, "one")
	if s := f.run(f.options(one, Rekey)); s.Rewritten != 18 {
		t.Errorf("%+v", s)
	}
	var n value.Counters
	for key, want := range f.texts {
		got, err := one.Open(&n, nil, []byte(f.client.Get(t.Context(), key).Val()), nameOf(key))
		if err != nil || string(got) != want {
			t.Errorf("%s: %v", key, err)
		}
	}
	for field, want := range h {
		got, err := one.Open(&n, nil, []byte(f.client.HGet(t.Context(), root+"0:h", field).Val()), nameOf(root+"0:h"))
		if err != nil || string(got) != want {
			t.Errorf("field %s: %v", field, err)
		}
	}
}

func TestRefused(t *testing.T) {
	f := newFixture(t)
	c := codec(t, config.Zstd, "")
	plainRekey := f.options(codec(t, config.Zstd, "one"), Rekey)
	plainRekey.Plain = true
	for want, o := range map[string]Options{
		"there is no key to encrypt with; to decrypt use recompress": f.options(c, Rekey),
		"there is no codec":                  f.options(nil, Recompress),
		`there is no job "x"`:                f.options(c, "x"),
		"only recompress makes values plain": plainRekey,
	} {
		if _, err := Run(t.Context(), o); err == nil || err.Error() != want {
			t.Errorf("%v, want %s", err, want)
		}
	}
	var running *RunningError
	o := f.options(c, Recompress)
	o.Progress = func(State) {
		_, err := Run(t.Context(), f.options(codec(t, config.Zstd, "one"), Rekey))
		if !errors.As(err, &running) || !strings.HasPrefix(running.Holder, "recompress by process ") {
			t.Error(err)
		}
		states, err := Status(t.Context(), f.client, root)
		if err != nil || len(states) != 0 {
			t.Error(states, err)
		}
	}
	f.run(o)
	if running == nil {
		t.Error("nothing was tried")
	}
}
