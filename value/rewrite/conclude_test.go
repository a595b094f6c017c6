package rewrite

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/klauspost/compress/dict"
	"github.com/klauspost/compress/zstd"

	"riptide-proxy/config"
	"riptide-proxy/value"
)

// dictionary trains one on texts that begin with a word.
func dictionary(t *testing.T, word string) *value.Dict {
	t.Helper()
	var samples [][]byte
	for i := range 200 {
		samples = append(samples, []byte(word+text(i, 200)))
	}
	blob, err := dict.BuildZstdDict(samples, dict.Options{MaxDictSize: 4 << 10, HashBytes: 6, ZstdDictID: 1, ZstdLevel: zstd.SpeedDefault})
	if err != nil {
		t.Fatal(err)
	}
	d, err := value.NewDict("*", blob)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// TestDictionaries: values are moved to the current dictionary, and of the
// retired ones those go that nobody needs.
func TestDictionaries(t *testing.T) {
	f := newFixture(t)
	for i, key := range []string{"0:a", "0:b", "0:c", "0:d"} {
		f.texts[root+key] = text(i, 200)
		f.client.Set(t.Context(), root+key, f.texts[root+key], 0)
	}
	a, b, unused, streamed := dictionary(t, "first"), dictionary(t, "second"), dictionary(t, "third"), dictionary(t, "fourth")
	with := func(current *value.Dict, all ...*value.Dict) *value.Codec {
		c := codec(t, config.Zstd, "")
		c.SetDicts(value.NewDicts(all, []*value.Dict{current}))
		return c
	}
	var n value.Counters
	sealed, _ := with(streamed).Seal(&n, nil, []byte(text(1, 200)), nameOf(root+"0:s"))
	f.client.Do(t.Context(), "XADD", root+"0:s", "*", "f", sealed, "f", "plain")

	if s := f.run(f.options(with(a), Recompress)); s.Dicts[hexID(a.ID)] != 4 || s.Dicts[hexID(streamed.ID)] != 1 || s.StreamSealed != 1 || s.StreamValues != 2 {
		t.Errorf("%+v", s)
	}
	var dropped []uint32
	o := f.options(with(b, a), Recompress)
	o.Retired = func(context.Context) ([]uint32, error) { return []uint32{a.ID, unused.ID, streamed.ID}, nil }
	o.Drop = func(_ context.Context, id uint32) error { dropped = append(dropped, id); return nil }

	renamed := o
	renamed.Progress = func(State) { f.client.Rename(t.Context(), "t:acmee", "t:acmeee") }
	f.client.Set(t.Context(), "t:acmee", "x", 0)
	s := f.run(renamed)
	if s.Kept == "" || len(dropped)+len(s.Dropped) != 0 || s.Rewritten != 4 || s.Dicts[hexID(b.ID)] != 4 {
		t.Errorf("with a renaming: %+v, dropped %x", s, dropped)
	}
	s = f.run(o)
	slices.Sort(dropped)
	want := []uint32{a.ID, unused.ID}
	slices.Sort(want)
	if s.Kept != "" || !slices.Equal(dropped, want) || len(s.Dropped) != 2 {
		t.Errorf("%+v, dropped %x instead of %x", s, dropped, want)
	}
	o.Drop = func(context.Context, uint32) error { return errors.New("no") }
	if _, err := Run(t.Context(), o); err == nil || !strings.Contains(err.Error(), ": no") {
		t.Error(err)
	}
}

// TestReload: dictionaries that appear during a run are fetched, others are told of.
func TestReload(t *testing.T) {
	f := newFixture(t)
	a := dictionary(t, "first")
	v := text(1, 200)
	c := codec(t, config.Zstd, "")
	c.SetDicts(value.NewDicts(nil, []*value.Dict{a}))
	var n value.Counters
	stored, _ := c.Seal(&n, nil, []byte(v), nameOf(root+"0:x"))
	f.client.Set(t.Context(), root+"0:x", stored, 0)

	late := codec(t, config.LZ4, "")
	o := f.options(late, Recompress)
	s := f.run(o)
	if s.Failed != 1 || !strings.Contains(s.Failures[0].Error, "dictionary "+hexID(a.ID)) || s.Dicts[hexID(a.ID)] != 1 {
		t.Errorf("%+v", s)
	}
	if got, _ := f.client.Get(t.Context(), root+"0:x").Bytes(); !bytes.Equal(got, stored) {
		t.Error("it was written")
	}
	o.Reload = func(context.Context) error {
		late.SetDicts(value.NewDicts([]*value.Dict{a}, nil))
		return nil
	}
	if s := f.run(o); s.Failed != 0 || s.Rewritten != 1 {
		t.Errorf("%+v", s)
	}
}

func TestPace(t *testing.T) {
	now := time.Now()
	p := pace{from: now.Add(-30 * time.Millisecond)}
	if got := p.wait(now, 1000); got != 30*time.Millisecond {
		t.Error("without a rate it rests", got)
	}
	p = pace{from: now.Add(-time.Minute)}
	if got := p.wait(now, 1); got != longestRest {
		t.Error("after an outage it rests", got)
	}
	p = pace{rate: 100, from: now}
	for i := range 3 {
		if got := p.wait(now, 10); got != time.Duration(i+1)*100*time.Millisecond {
			t.Error("at 100 keys/s it waits for", got)
		}
	}
	later := now.Add(time.Hour) // nothing is made up for
	p.from = later
	if got := p.wait(later, 10); got != 100*time.Millisecond {
		t.Error("after an hour it waits for", got)
	}
	for rate, want := range map[int]int{0: 128, 1: 1, 40: 10, 100000: 128} {
		if got := (&pace{rate: rate}).chunk(); got != want {
			t.Errorf("%d keys/s in chunks of %d", rate, got)
		}
	}
}

func TestNames(t *testing.T) {
	r := run{Options: Options{Root: "t:{acme}:"}}
	for key, want := range map[string]string{
		"t:{acme}:0:user:1": "t:{acme}:0: user:1", "t:{acme}:15:": "t:{acme}:15: ", "t:{acme}:0::x": "t:{acme}:0: :x",
		"t:{acme}:dicts": "", "t:{acme}:": "", "t:{acme}:0": "", "t:{acme}::x": "", "t:{acme}:0x:y": "", "t:{acme}:-1:y": "",
	} {
		name, ok := r.name(key)
		if got := string(name.Prefix) + " " + string(name.Key); ok != (want != "") || ok && got != want {
			t.Errorf("%s: %q, %v", key, got, ok)
		}
	}
	if got := pattern(`t:a*[?\:`); got != `t:a\*\[\?\\:[0-9]*:*` {
		t.Error(got)
	}
}

func TestCountMoves(t *testing.T) {
	stats := "# Commandstats\r\ncmdstat_get:calls=9,usec=1\r\ncmdstat_rename:calls=2,usec=1,x=1\r\ncmdstat_copy:calls=30,usec=1\r\n" +
		"cmdstat_restore:calls=400\r\ncmdstat_config|get:calls=7,usec=1\r\n"
	if got := countMoves(stats); got != 432 {
		t.Error(got)
	}
}

func TestDone(t *testing.T) {
	for cursor, want := range map[uint64]float64{0: 0, 1 << 63: 0, 1: 0.5, 2: 0.25, 3: 0.75} {
		if got := (&State{Cursor: cursor}).Done(); got < want || got > want+1e-9 {
			t.Errorf("cursor %d: %v, want %v", cursor, got, want)
		}
	}
	if (&State{Finished: time.Now()}).Done() != 1 {
		t.Error("finished is not all")
	}
}

// TestForged: whatever a tenant's scripts have written, reading it ends well.
func TestForged(t *testing.T) {
	f := newFixture(t)
	ctx := t.Context()
	c := codec(t, config.Zstd, "")
	for name, forged := range map[string]string{
		"no JSON": "{", "empty": "", "null": "null", "others": `{"cursor":"7","job":"x","dicts":{"a":-1}}`, "types": `{"cursor":{}}`,
		"long": `{"config":"` + strings.Repeat("x", longestState) + `"}`, "cursor": `{"cursor":"99999999999999999999999"}`,
	} {
		f.client.HSet(ctx, root+"jobs", "recompress", forged, "x", "y")
		states, err := Status(ctx, f.client, root)
		if s, known := states[Recompress]; err == nil && known && s.Job != Recompress {
			t.Errorf("%s: %+v", name, states)
		}
	}
	f.client.Del(ctx, root+"jobs")

	p := f.client.Pipeline()
	var n value.Counters
	a := dictionary(t, "first")
	c.SetDicts(value.NewDicts(nil, []*value.Dict{a}))
	sealed, _ := c.Seal(&n, nil, []byte(text(1, 200)), value.Name{})
	for i := range mostIDs + 500 {
		// The ids of the dictionary and the check byte are all that differs.
		p.Set(ctx, root+"0:"+strconv.Itoa(i), forge(sealed, uint32(i+1)), 0)
	}
	if _, err := p.Exec(ctx); err != nil {
		t.Fatal(err)
	}
	o := f.options(c, Recompress)
	o.Retired = func(context.Context) ([]uint32, error) { return []uint32{a.ID}, nil }
	o.Drop = func(_ context.Context, id uint32) error { t.Error("dropped"); return nil }
	if s := f.run(o); len(s.Dicts) != mostIDs+1 || s.Dicts[others] != 500 || s.Kept == "" || s.Failed != mostIDs+500 {
		t.Errorf("%d ids, %+v", len(s.Dicts), s.Figures.Failures)
	}
}

// forge gives a sealed value the id of another dictionary.
func forge(sealed []byte, id uint32) []byte {
	_, at, _ := value.ParseHeader(sealed)
	out := bytes.Clone(sealed)
	binary.BigEndian.PutUint32(out[at-5:], id)
	for check := range 256 {
		out[at-1] = byte(check)
		if _, _, ok := value.ParseHeader(out); ok {
			return out
		}
	}
	panic("no check byte fits")
}

// FuzzInfo: whatever a server says about itself.
func FuzzInfo(f *testing.F) {
	f.Add("# Server\r\nrun_id:abc\r\n", "cmdstat_rename:calls=2,usec=1\r\n", "t:acme:0:x")
	f.Fuzz(func(t *testing.T, server, stats, key string) {
		if id := processID(server); strings.Contains(id, "\n") {
			t.Errorf("%q", id)
		}
		countMoves(stats)
		r := run{Options: Options{Root: root}}
		if name, ok := r.name(root + key); ok && string(name.Prefix)+string(name.Key) != root+key {
			t.Errorf("%q is taken apart into %q and %q", key, name.Prefix, name.Key)
		}
	})
}
