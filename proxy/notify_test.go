package proxy

import (
	"slices"
	"strings"
	"testing"

	"riptide-proxy/namespace"
	"riptide-proxy/resp"
	"riptide-proxy/tests/harness"
)

// A subscription to the events of keys is one to the upstream's, as narrow as
// its pattern allows, beside one to the channel of that name.
func TestUpstreamNames(t *testing.T) {
	srv, _ := startFake(t, options{})
	login(t, srv, "acme")
	for _, c := range []struct {
		kind int
		name string
		want string // the upstream's names, without t:acme:<name>, which comes first
	}{
		{channels, "news", ""},
		{channels, "", ""},
		{channels, "*", ""},
		{channels, "__keyspace@0__:k", "__keyspace@0__:t:acme:0:k"},
		{channels, "__keyspace@3__:", "__keyspace@0__:t:acme:3:"},
		{channels, "__keyspace@99__:k", ""}, // there is no such database
		{channels, "__keyspace@00__:k", ""},
		{channels, "__keyspace@-1__:k", ""},
		{channels, "__keyspace@__:k", ""},
		{channels, "__keyspace@0_:k", ""},
		{channels, "__keyevent@2__:del", "__keyevent@0__:del"},
		{channels, "__keyevent@0__:__keyspace@0__:k", "__keyevent@0__:__keyspace@0__:k"},
		{shards, "__keyspace@0__:k", ""},
		{shards, "__keyevent@0__:del", ""},
		{patterns, "news*", ""},
		{patterns, "__keyspace@0__:k?", "__keyspace@0__:t:acme:0:k?"},
		{patterns, "__keyspace@3__:*", "__keyspace@0__:t:acme:3:*"},
		{patterns, "__keyspace@*__:k", "__keyspace@0__:t:acme:*"},
		{patterns, "__keyspace@[12]__:k", "__keyspace@0__:t:acme:*"},
		{patterns, `__keyspace@0__\:k`, "__keyspace@0__:t:acme:*"},
		{patterns, "__keyspace@99__:k", "__keyspace@0__:t:acme:*"}, // none of which match
		{patterns, "__keyevent@0__:d*", "__keyevent@0__:d*"},
		{patterns, "__keyevent@?__:del", "__keyevent@0__:*"},
		{patterns, "__key*", "__keyspace@0__:t:acme:* __keyevent@0__:*"},
		{patterns, "__key*__:*", "__keyspace@0__:t:acme:* __keyevent@0__:*"},
		{patterns, "*", "__keyspace@0__:t:acme:* __keyevent@0__:*"},
		{patterns, "?_keyspace@0__:k", "__keyspace@0__:t:acme:* __keyevent@0__:*"},
		{patterns, "[", "__keyspace@0__:t:acme:* __keyevent@0__:*"},
		{patterns, "__keysp?ce@0__:*", "__keyspace@0__:t:acme:*"},
		{patterns, "__keyE*", ""},
	} {
		withSession(t, srv, "acme", func(s *session) {
			got := s.upstreamNames(c.kind, c.name)
			if got[0] != "t:acme:"+c.name || strings.Join(got[1:], " ") != c.want {
				t.Errorf("%d %q: %q, want %q", c.kind, c.name, got, c.want)
			}
			// None of them may hear of anything but the tenant's own keys and
			// channels, and the names of events.
			for _, up := range got {
				if !strings.HasPrefix(up, "t:acme:") && !strings.HasPrefix(up, upKeyspace+"t:acme:") && !strings.HasPrefix(up, upKeyevent) {
					t.Errorf("%q has the upstream name %q", c.name, up)
				}
			}
		})
	}
}

// An event is the tenant's if its key is.
func TestTranslateEvent(t *testing.T) {
	srv, _ := startFake(t, options{tenants: "  acm: {users: {default: {sha256: [" + hashOf("acm") + "]}}}\n"})
	login(t, srv, "acme")
	for _, c := range []struct{ channel, payload, want, wantPayload string }{
		{"__keyspace@0__:t:acme:0:k", "del", "__keyspace@0__:k", "del"},
		{"__keyspace@0__:t:acme:15:a:b", "set", "__keyspace@15__:a:b", "set"},
		{"__keyspace@0__:t:acme:3:", "set", "__keyspace@3__:", "set"},
		{"__keyevent@0__:del", "t:acme:2:k", "__keyevent@2__:del", "k"},
		{"__keyevent@0__:", "t:acme:0:", "__keyevent@0__:", ""},
		{"__keyspace@0__:t:globex:0:k", "del", "", ""},
		{"__keyspace@0__:t:acm:0:k", "del", "", ""},
		{"__keyspace@0__:t:acme:16:k", "del", "", ""},
		{"__keyspace@0__:t:acme:01:k", "del", "", ""},
		{"__keyspace@0__:t:acme:0", "del", "", ""},
		{"__keyspace@1__:t:acme:0:k", "del", "", ""},
		{"__keyevent@0__:del", "t:globex:0:k", "", ""},
		{"__keyevent@0__:del", "k", "", ""},
		{"__keyevent@0__", "t:acme:0:k", "", ""},
		{"news", "t:acme:0:k", "", ""},
	} {
		withSession(t, srv, "acme", func(s *session) {
			channel, payload, ok := translateEvent(s.who.Tenant, []byte(c.channel), []byte(c.payload))
			if ok != (c.want != "") || ok && (string(channel) != c.want || string(payload) != c.wantPayload) {
				t.Errorf("%s %s: %q %q %v", c.channel, c.payload, channel, payload, ok)
			}
		})
	}
}

// The upstream is told of a name when it has its first user, and not before its
// last one has gone.
func TestSubscriptions(t *testing.T) {
	var b subscriptions
	const add, remove = true, false
	for i, c := range []struct {
		add   bool
		kind  int
		name  string
		up    string
		news  string // names that the upstream is told of
		count int
	}{
		{add, channels, "a", "x y", "x y", 1},
		{add, channels, "a", "x y", "", 1},
		{add, channels, "b", "y z", "z", 2},
		{add, patterns, "a", "x", "x", 3}, // another kind
		{add, shards, "a", "x", "x", 1},
		{remove, channels, "none", "", "", 2 + 1},
		{remove, channels, "a", "", "x", 2},
		{remove, channels, "a", "", "", 2},
		{add, channels, "c", "y", "", 3},
		{remove, channels, "b", "", "z", 2},
		{remove, channels, "c", "", "y", 1},
		{remove, patterns, "a", "", "x", 0},
		{remove, shards, "a", "", "x", 0},
	} {
		var news []string
		if c.add {
			news = b.add(c.kind, c.name, strings.Fields(c.up))
		} else {
			news = b.remove(c.kind, c.name)
		}
		slices.Sort(news)
		if got := strings.Join(news, " "); got != c.news {
			t.Errorf("step %d: the upstream is told of %q, want %q", i, got, c.news)
		}
		if got := b.count(c.kind); got != c.count {
			t.Errorf("step %d: %d, want %d", i, got, c.count)
		}
	}
	if !b.empty() {
		t.Errorf("%v is left", b)
	}
	for kind := range kinds {
		if len(b.up[kind]) > 0 {
			t.Errorf("%v is left", b.up[kind])
		}
	}
	var none *subscriptions
	if !none.empty() || none.count(channels) != 0 || none.remove(channels, "a") != nil {
		t.Error("none is not nothing")
	}
}

// request makes a request of words.
func request(t testing.TB, words ...string) *namespace.Request {
	t.Helper()
	raw := []byte(harness.Request(words...))
	var req resp.Request
	limits := resp.DefaultLimits()
	if n, err := req.Scan(raw, &limits); err != nil || n != len(raw) {
		t.Fatalf("%q: %d, %v", words, n, err)
	}
	return &namespace.Request{Raw: raw, Args: slices.Clone(req.Args)}
}

func TestParseTracking(t *testing.T) {
	for _, c := range []struct {
		words string
		want  trackingRequest
	}{
		{"ON", trackingRequest{on: true}},
		{"off", trackingRequest{}},
		{"what", trackingRequest{}},
		{"on bcast", trackingRequest{on: true, bcast: true}},
		{"ON REDIRECT 7", trackingRequest{on: true, redirect: 4}},
		{"ON REDIRECT 7 redirect 8", trackingRequest{on: true, redirect: 4, others: []int{6}}},
		{"ON REDIRECT", trackingRequest{on: true}}, // the upstream has the error for it
		{"ON PREFIX", trackingRequest{on: true}},
		{"ON BCAST PREFIX a prefix b NOLOOP", trackingRequest{on: true, bcast: true, prefixes: []int{5, 7}}},
		{"ON PREFIX BCAST OPTIN", trackingRequest{on: true, prefixes: []int{4}}}, // a prefix of that name
		{"ON PREFIX REDIRECT REDIRECT PREFIX", trackingRequest{on: true, prefixes: []int{4}, redirect: 6}},
		{"ON BCAST BCAST", trackingRequest{on: true, bcast: true}},
	} {
		got := parseTracking(request(t, append([]string{"CLIENT", "TRACKING"}, strings.Fields(c.words)...)...))
		if got.on != c.want.on || got.bcast != c.want.bcast || got.redirect != c.want.redirect || !slices.Equal(got.prefixes, c.want.prefixes) {
			t.Errorf("%s: %+v, want %+v", c.words, got, c.want)
		}
	}
}

// Prefixes go to the upstream once for each database, and only so many of them.
func TestTrackedPrefixesAreBounded(t *testing.T) {
	srv, f := startFake(t, options{})
	var sent []int
	f.handle("CLIENT", func(args []string) []byte {
		if len(args) > 1 && strings.EqualFold(args[1], "ID") {
			return []byte(":9\r\n")
		}
		n := 0
		for _, a := range args {
			if a == "PREFIX" {
				n++
			}
		}
		sent = append(sent, n)
		return []byte(okReply)
	})
	c := login(t, srv, "acme")
	c.do("HELLO", "3")
	c.expect("+OK\r\n", "CLIENT", "TRACKING", "ON", "BCAST", "PREFIX", "a", "PREFIX", "b")
	if len(sent) != 1 || sent[0] != 2*16 {
		t.Errorf("the upstream was sent %v prefixes", sent)
	}
	refused := 0
	for range 2 * maxPrefixes {
		// All keys, again and again: each needs another prefix that is nobody's.
		if got := c.do("CLIENT", "TRACKING", "ON", "BCAST"); got == "-ERR too many prefixes are tracked\r\n" {
			refused++
		} else if got != "+OK\r\n" {
			t.Fatalf("%q", got)
		}
	}
	if refused < maxPrefixes/2 {
		t.Errorf("%d were refused", refused)
	}
	c.expect("+OK\r\n", "CLIENT", "TRACKING", "OFF")
	c.expect("+OK\r\n", "CLIENT", "TRACKING", "ON", "BCAST", "PREFIX", "a")
}
