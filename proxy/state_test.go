package proxy

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"
	"time"

	"riptide-proxy/config"
	"riptide-proxy/quota"
	"riptide-proxy/tests/harness"
	"riptide-proxy/upstream"
	"riptide-proxy/value/dictionary"
)

// startState runs a proxy with one limited tenant that takes over a state.
func startState(t *testing.T, address string, st *State) *Server {
	t.Helper()
	cfg, _, err := config.Parse("test.yaml", []byte("listen: 127.0.0.1:0\nupstream: {addresses: ["+address+"]}\nloops: 1\nusage: {flush: 0s}\ntenants:\n"+
		"  acme: {quotas: {ops_per_second: 1000, memory: 10MiB}, users: {default: {sha256: ["+hashOf("acme")+"]}}}\n"), nil)
	if err != nil {
		t.Fatal(err)
	}
	s, err := StartWith(cfg, &upstream.Target{Address: address, ConnectTimeout: time.Second, Timeout: patience}, Options{State: st})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Shutdown(t.Context()) })
	return s
}

func stateOf(t *testing.T, s *Server) *State {
	t.Helper()
	st, err := s.State()
	if err != nil {
		t.Fatal(err)
	}
	text, err := st.Encode()
	if err != nil {
		t.Fatal(err)
	}
	again, err := ParseState(text)
	if err != nil {
		t.Fatal(err)
	}
	if !again.At.Equal(st.At) || again.Process != s.id {
		t.Errorf("%+v", again)
	}
	return again
}

// What a proxy knew another one knows again, also if the upstream is not there, and hands it on.
func TestState(t *testing.T) {
	t.Parallel()
	redis := harness.StartRedis(t)
	s := startState(t, redis.Addr, nil)
	c := login(t, s, "acme")
	c.expect("+OK\r\n", "SET", "k", strings.Repeat("x", 1000))
	harness.Eventually(t, "what is used is known", func() bool {
		space, ok := s.Space("acme")
		return ok && space.Used[quota.Bytes] > 1000
	})
	c.do("INFO", "memory") // which looks at the peak
	var st *State
	harness.Eventually(t, "a share was told", func() bool {
		c.do("GET", "k")
		st = stateOf(t, s)
		return st.Shares["acme"]["ops_per_second"] == 1000
	})
	if st.Peaks["acme"] == 0 || st.Spaces["acme"].Used[quota.Keys] < 1 {
		t.Errorf("%+v", st)
	}
	s.Shutdown(t.Context())
	if after := stateOf(t, s); !reflect.DeepEqual(after.Spaces, st.Spaces) && after.Spaces["acme"].Used[quota.Bytes] == 0 {
		t.Errorf("after the shutdown: %+v", after.Spaces)
	}
	redis.Kill()
	next := startState(t, redis.Addr, st)
	if got, ok := next.Space("acme"); !ok || !reflect.DeepEqual(got, st.Spaces["acme"]) {
		t.Errorf("space %+v, want %+v", got, st.Spaces["acme"])
	}
	if handed := stateOf(t, next); !reflect.DeepEqual(handed.Spaces, st.Spaces) || !reflect.DeepEqual(handed.Shares, st.Shares) || !reflect.DeepEqual(handed.Peaks, st.Peaks) {
		t.Errorf("handed on %+v, want %+v", handed, st)
	}
}

// Of another upstream nothing is taken over, and estimates only if they are young.
func TestStateNotTaken(t *testing.T) {
	f := newFake(t)
	s := startState(t, f.address(), nil)
	good := func() *State {
		return &State{Version: stateVersion, At: time.Now(), Upstream: f.address(),
			Spaces: map[string]quota.Space{"acme": {Used: quota.Amounts{5, 1}}, "nobody": {}},
			Shares: map[string]map[string]float64{"acme": {"ops_per_second": 5, "gone": 1}, "nobody": {"ops_per_second": 1}},
			Peaks:  map[string]int64{"acme": 9, "nobody": 9}}
	}
	other := good()
	other.Upstream = "redis.example:6379"
	if err := s.Restore(other); err == nil || !strings.Contains(err.Error(), "redis.example:6379") {
		t.Errorf("%v", err)
	}
	for _, age := range []time.Duration{2 * stateLasts, -time.Minute} {
		old := good()
		old.At = time.Now().Add(-age)
		old.Peaks = nil
		if err := s.Restore(old); err != nil {
			t.Error(err)
		}
	}
	if st := stateOf(t, s); len(st.Spaces)+len(st.Shares)+len(st.Peaks) > 0 {
		t.Errorf("taken: %+v", st)
	}
	damaged := good()
	damaged.Usage = json.RawMessage(`7`)
	damaged.Dictionaries = map[string][]dictionary.Kept{"acme": {{ID: 1, Stored: []byte("x")}}}
	s.Restore(damaged)
	st := stateOf(t, s)
	if st.Spaces["acme"].Used != (quota.Amounts{5, 1}) || st.Peaks["acme"] != 9 || st.Shares["acme"]["ops_per_second"] != 5 || len(st.Spaces)+len(st.Shares)+len(st.Peaks) != 3 {
		t.Errorf("%+v", st)
	}
	// What is known by now is newer.
	later := good()
	later.Spaces["acme"] = quota.Space{Used: quota.Amounts{7, 7}}
	later.Peaks["acme"] = 3
	if err := s.Restore(later); err != nil {
		t.Error(err)
	}
	if st := stateOf(t, s); st.Spaces["acme"].Used != (quota.Amounts{5, 1}) || st.Peaks["acme"] != 9 {
		t.Errorf("%+v", st)
	}
}

func TestParseState(t *testing.T) {
	for _, text := range []string{``, `7`, `{}`, `{"version":2}`, `{"version":1,"more":1}`, `{"version":1,"spaces":[]}`, `{"version":1,"at":"noon"}`} {
		if st, err := ParseState([]byte(text)); err == nil {
			t.Errorf("%s: %+v", text, st)
		}
	}
}

// Whatever a file says that has a good checksum, it is an error or a state that can be written again.
func FuzzParseState(f *testing.F) {
	f.Add([]byte(`{"version":1,"process":"a","at":"2026-11-23T12:00:00Z","upstream":"a:1"}`))
	f.Add([]byte(`{"version":1,"at":"2026-11-23T12:00:00Z","spaces":{"acme":{"Used":[1,2],"Counted":[3,4],"At":"2026-11-23T12:00:00Z"}},"usage":{"process":"b","hours":[]}}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		st, err := ParseState(text)
		if err != nil {
			return
		}
		again, err := st.Encode()
		if err != nil {
			return // a time out of the calendar
		}
		if _, err := ParseState(again); err != nil {
			t.Errorf("%v of %s", err, again)
		}
	})
}
