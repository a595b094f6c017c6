package rewrite

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"riptide-proxy/config"
	"riptide-proxy/tests/harness"
	"riptide-proxy/value"
)

// stopAfter ends a run once it has seen so many keys.
func stopAfter(t *testing.T, o *Options, keys int64) context.Context {
	ctx, cancel := context.WithCancel(soon(t))
	o.Every = time.Nanosecond
	o.Progress = func(s State) {
		if s.Keys >= keys {
			cancel()
		}
	}
	return ctx
}

// TestResume: a run that was stopped in the middle goes on where it was, and all
// figures are as if it had not been stopped.
func TestResume(t *testing.T) {
	f := newFixture(t)
	f.fill(3000)
	c := codec(t, config.LZ4, "one")
	o := f.options(c, Recompress)
	stopped := o
	s, err := Run(stopAfter(t, &stopped, 1000), stopped)
	if !errors.Is(err, ErrInterrupted) || s.Keys < 1000 || s.Keys > 2500 || s.Done() < 0.2 || s.Done() > 0.9 || !s.Finished.IsZero() {
		t.Fatalf("%v, %+v", err, s)
	}
	kept, err := Status(t.Context(), f.client, root)
	if err != nil || kept[Recompress].Cursor != s.Cursor || kept[Recompress].Keys != s.Keys || kept[Recompress].Running != "" {
		t.Errorf("%v, kept %+v", err, kept)
	}
	again := s
	if s = f.run(o); s.Runs != 2 || s.Values != f.values() || s.Rewritten != f.values() || s.KeyID[hexID(value.KeyID("one"))] != f.values() ||
		!s.Started.Equal(again.Started) || s.Seconds <= again.Seconds {
		t.Errorf("%+v", s)
	}
	f.check(c, nil)
	if s := f.run(o); s.Runs != 1 || s.Rewritten != 0 {
		t.Errorf("after a complete pass: %+v", s)
	}
}

// TestBeginsAnew: what was done for another configuration, or in another server, does not count.
func TestBeginsAnew(t *testing.T) {
	f := newFixture(t)
	f.fill(1300)
	base := f.options(codec(t, config.LZ4, ""), Recompress)
	for name, change := range map[string]func(o *Options){
		"same":          func(o *Options) {},
		"configuration": func(o *Options) { o.Config = "c2" },
		"plain":         func(o *Options) { o.Plain = true },
		"restart":       func(o *Options) { o.Restart = true },
	} {
		t.Run(name, func(t *testing.T) {
			stopped, o := base, base
			stopped.Restart = true
			before, err := Run(stopAfter(t, &stopped, 600), stopped)
			if !errors.Is(err, ErrInterrupted) {
				t.Fatal(err)
			}
			change(&o)
			s := f.run(o)
			if anew := s.Runs == 1; anew == (name == "same") || s.Values != f.values() || s.Started.Equal(before.Started) == anew {
				t.Errorf("%+v", s)
			}
		})
	}
	t.Run("server", func(t *testing.T) {
		stopped := base
		stopped.Restart = true
		if _, err := Run(stopAfter(t, &stopped, 600), stopped); !errors.Is(err, ErrInterrupted) {
			t.Fatal(err)
		}
		// The same state in the hands of another server.
		other := newFixture(t)
		other.fill(1300)
		state := f.client.HGet(t.Context(), root+"jobs", "recompress").Val()
		other.client.HSet(t.Context(), root+"jobs", "recompress", state)
		o := other.options(base.Codec, Recompress)
		if s := other.run(o); s.Runs != 1 || s.Values != other.values() {
			t.Errorf("%+v", s)
		}
	})
}

// TestOutage: the upstream goes away in the middle and comes back as another
// process; the run waits for it and begins anew.
func TestOutage(t *testing.T) {
	port := harness.FreePort(t)
	dir := t.TempDir()
	first := harness.StartRedisOn(t, port, "--dir", dir)
	f := fixtureAt(t, first.Addr)
	f.fill(1500)
	if err := f.client.Save(t.Context()).Err(); err != nil {
		t.Fatal(err)
	}
	o := f.options(codec(t, config.S2, ""), Recompress)
	o.Every = time.Nanosecond
	killed := false
	var begins []State
	o.Progress = func(s State) {
		if s.Keys == 0 {
			begins = append(begins, s)
		}
		if s.Keys > 500 && !killed {
			killed = true
			first.Kill()
			harness.StartRedisOn(t, port, "--dir", dir)
		}
	}
	s, err := Run(soon(t), o)
	if err != nil || !killed || s.Values != f.values() || len(begins) != 2 || begins[0].Upstream == begins[1].Upstream {
		t.Errorf("%v, began %v, %+v", err, begins, s)
	}
	f.check(o.Codec, nil)
}

// TestGivesUp: an upstream that does not come back ends the run with its error.
func TestGivesUp(t *testing.T) {
	defer func(d time.Duration) { longestOutage = d }(longestOutage)
	longestOutage = 100 * time.Millisecond
	server := harness.StartRedis(t)
	f := fixtureAt(t, server.Addr)
	f.fill(1000)
	o := f.options(codec(t, config.S2, ""), Recompress)
	o.Progress = func(s State) { server.Kill() }
	if _, err := Run(soon(t), o); err == nil || errors.Is(err, ErrInterrupted) {
		t.Error(err)
	}
}

// TestLockLost: whoever lost the lock does not write the state any more.
func TestLockLost(t *testing.T) {
	f := newFixture(t)
	f.fill(1000)
	o := f.options(codec(t, config.S2, ""), Recompress)
	o.Progress = func(State) { f.client.Set(t.Context(), root+"jobs:lock", "token another", 0) }
	_, err := Run(t.Context(), o)
	if !errors.Is(err, ErrLockLost) {
		t.Error(err)
	}
	if got := f.client.Get(t.Context(), root+"jobs:lock").Val(); got != "token another" {
		t.Error("the other's lock is", got)
	}
	states, err := Status(t.Context(), f.client, root)
	if err != nil || len(states) != 0 {
		t.Error(states, err)
	}
}

// TestRaces: what changes between reading and writing is left as the other has made it.
func TestRaces(t *testing.T) {
	f := newFixture(t)
	v := text(1, 1000)
	for _, key := range []string{"set", "deleted", "typed", "expired"} {
		f.client.Set(t.Context(), root+"0:"+key, v, 0)
	}
	f.client.HSet(t.Context(), root+"0:hash", "set", v, "deleted", v, "kept", v)
	f.client.HSet(t.Context(), root+"0:hash2", "f", v)
	c := codec(t, config.Zstd, "")
	var once sync.Once
	meddle := func() {
		ctx := t.Context()
		f.client.Set(ctx, root+"0:set", "new", time.Hour)
		f.client.Del(ctx, root+"0:deleted", root+"0:typed")
		f.client.LPush(ctx, root+"0:typed", "x")
		f.client.PExpireAt(ctx, root+"0:expired", time.Now().Add(-time.Second))
	}
	c.SetSampler(func(name value.Name, _ []byte) {
		switch ctx := t.Context(); string(name.Key) {
		case "hash":
			f.client.HSet(ctx, root+"0:hash", "set", "new")
			f.client.HDel(ctx, root+"0:hash", "deleted")
		case "hash2":
			f.client.Set(ctx, root+"0:hash2", "a string", 0)
		default:
			once.Do(meddle)
		}
	})
	s := f.run(f.options(c, Recompress))
	if s.Raced != 7 || s.Rewritten != 1 || s.Failed != 0 {
		t.Errorf("%+v", s)
	}
	ctx := t.Context()
	if got := f.client.Get(ctx, root+"0:set").Val(); got != "new" {
		t.Error("set:", got)
	}
	if n := f.client.Exists(ctx, root+"0:deleted", root+"0:expired").Val(); n != 0 {
		t.Error("what was gone is back")
	}
	if got := f.client.LRange(ctx, root+"0:typed", 0, -1).Val(); !slices.Equal(got, []string{"x"}) {
		t.Error("typed:", got)
	}
	if got := f.client.HGetAll(ctx, root+"0:hash").Val(); len(got) != 2 || got["set"] != "new" || !strings.HasPrefix(got["kept"], value.Magic) {
		t.Error("hash:", got)
	}
	if got := f.client.Get(ctx, root+"0:hash2").Val(); got != "a string" {
		t.Error("hash2:", got)
	}
}

// TestWriters: clients count in the values of keys while these are rewritten over and
// over, and no step is lost.
func TestWriters(t *testing.T) {
	f := newFixture(t)
	codecs := []*value.Codec{codec(t, config.Zstd, "one"), codec(t, config.LZ4, "two"), codec(t, config.S2, "")}
	const writers, keys, steps = 4, 8, 150
	tail := text(7, 300)
	ctx := soon(t)
	var all sync.WaitGroup
	for w := range writers {
		all.Go(func() {
			client := fixtureAt(t, f.client.Options().Addr).client
			c := codecs[w%len(codecs)]
			var n value.Counters
			for i := range steps * keys {
				key := fmt.Sprintf("%s0:w%d:%d", root, w, i%keys)
				want := i / keys
				get := func() (string, error) { return client.Get(ctx, key).Result() }
				set := func(v []byte) error { return client.Set(ctx, key, v, time.Hour).Err() }
				if i%2 == 1 {
					get = func() (string, error) { return client.HGet(ctx, key, "f").Result() }
					set = func(v []byte) error { return client.HSet(ctx, key, "f", v).Err() }
				}
				if want > 0 {
					stored, err := get()
					plain, openErr := c.Open(&n, nil, []byte(stored), nameOf(key))
					if err != nil || openErr != nil || string(plain) != strconv.Itoa(want)+" "+tail {
						t.Errorf("%s: %v, %v, %.10q instead of %d", key, err, openErr, plain, want)
						return
					}
				}
				plain := []byte(strconv.Itoa(want+1) + " " + tail)
				out, sealed := c.Seal(&n, nil, plain, nameOf(key))
				if !sealed {
					out = plain
				}
				if err := set(out); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	done := make(chan struct{})
	go func() { all.Wait(); close(done) }()
	var rewritten, raced int64
	for i := 0; ; i++ {
		o := f.options(codecs[i%len(codecs)], Recompress)
		o.Plain = i%4 == 3
		s, err := Run(ctx, o)
		if err != nil || s.Failed > 0 {
			t.Fatal(err, s.Failures)
		}
		rewritten, raced = rewritten+s.Rewritten, raced+s.Raced
		select {
		case <-done:
			t.Logf("%d runs, %d values rewritten, %d raced", i+1, rewritten, raced)
			return
		default:
		}
	}
}
