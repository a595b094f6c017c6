package tests

import (
	"bytes"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"riptide-proxy/tests/harness"
)

// owners are the prefixes of everything that is not the attacker's: tenants of
// the proxy in several databases, names that almost are the attacker's prefix,
// and keys that no tenant owns.
var owners = []string{
	"t:globex:0:", "t:globex:1:", "t:globex:15:", "t:acme2:0:", "t:acme-x:0:", "t:acme_:0:", "t:a:0:", "t:{tagged}:0:",
	"t:{acme}:0:", "t:acme", "t:acm", "T:ACME:0:", "t:", "",
}

// tenants of the proxy under attack; the first is the attacker.
var tenants = []harness.Tenant{
	harness.Acme, harness.Globex, {ID: "acme2", Secret: "acme2-secret"}, {ID: "acme-x", Secret: "acme-x-secret"},
	{ID: "a", Secret: "a-secret"}, {ID: "tagged", Secret: "tagged-secret", YAML: "    hash_tag: true\n"},
}

// keyset are commands that make one key of every type under a prefix. The names
// are those in the examples, so that a name whose prefix is missing, or another
// one, always meets a key of the type that its command wants.
func keyset(prefix, secret string) (calls [][]string) {
	for line := range strings.Lines(`SET k ~;SET k2 ~;SET n 7;RPUSH l 1 2 3 ~;RPUSH l2 4 ~;SADD s 1 2 3;SADD s2 2 3 4
		ZADD z 1 1 2 2 3 ~;ZADD z2 1 1 5 ~;HSET h f ~ n 1 ->f ~;XADD x 1-1 f ~;XADD x 2-1 f ~;XADD y 1-1 f ~
		XGROUP CREATE x grp 0;GEOADD g 1 1 m1 2 2 m2 3 3 ~;PFADD p a b;PFADD p2 b c;SETBIT b 70 1
		SET w_1 ~;SET w_2 ~;SET d_1 ~;SET d_2 ~;HSET w_3 f ~`) {
		for call := range strings.SplitSeq(line, ";") {
			words := strings.Fields(call)
			at := 1
			if words[0] == "XGROUP" {
				at = 2
			}
			for i := range words {
				words[i] = strings.ReplaceAll(words[i], "~", secret)
			}
			words[at] = prefix + words[at]
			calls = append(calls, words)
		}
	}
	return calls
}

// world is an upstream that holds other people's data, and a proxy before it.
type world struct {
	redis   *harness.Process
	proxy   *harness.Proxy
	control *harness.Conn // to the upstream, without the proxy
	token   string        // in every secret and in the name of every secret key
}

// newWorld starts one. Without victims the upstream is empty.
// args are the upstream's.
func newWorld(t *testing.T, victims bool, o harness.Options, args ...string) *world {
	t.Helper()
	var b [12]byte
	rand.Read(b[:])
	w := &world{redis: harness.StartRedis(t, args...), token: "zq" + hex.EncodeToString(b[:])}
	c, err := harness.Dial(w.redis.Addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	w.control = c
	if victims {
		for _, db := range []string{"3", "0"} {
			w.must(t, "SELECT", db)
			for _, prefix := range owners {
				for _, call := range keyset(prefix, "of-"+w.token) {
					w.must(t, call...)
				}
				w.must(t, "SET", prefix+"name-"+w.token, w.token)
			}
		}
	}
	o.Tenants = tenants
	w.proxy = harness.StartProxy(t, w.redis.Addr, o)
	w.proxy.Ready(t)
	return w
}

// must runs a command at the upstream, which has to accept it.
func (w *world) must(t *testing.T, args ...string) string {
	t.Helper()
	reply, err := w.control.Do(args...)
	if err != nil || reply[0] == '-' {
		t.Fatalf("upstream: %q: %q, %v", args, reply, err)
	}
	return reply
}

// snapshot is the serialised content of every key that is not the attacker's,
// by database and name.
func (w *world) snapshot(t *testing.T) map[string]string {
	t.Helper()
	all := make(map[string]string)
	for _, db := range []string{"3", "0"} {
		w.must(t, "SELECT", db)
		for _, key := range bulks(t, w.must(t, "KEYS", "*")) {
			if strings.HasPrefix(key, "t:acme:") && db == "0" || harness.Accounts(key) {
				continue
			}
			all[db+"/"+key] = w.must(t, "DUMP", key) + w.must(t, "PTTL", key)
		}
	}
	return all
}

// unchanged compares two snapshots.
func unchanged(t *testing.T, before, after map[string]string) {
	t.Helper()
	for _, key := range slices.Sorted(maps.Keys(before)) {
		if after[key] != before[key] {
			t.Errorf("the key %q was changed or removed", key)
		}
	}
	for _, key := range slices.Sorted(maps.Keys(after)) {
		if _, there := before[key]; !there {
			t.Errorf("the key %q appeared outside the attacker's keyspace", key)
		}
	}
}

// bulks are the bulks of a flat array.
func bulks(t *testing.T, reply string) (list []string) {
	t.Helper()
	if reply == "" || reply[0] != '*' {
		t.Fatalf("no array: %q", reply)
	}
	_, rest, _ := strings.Cut(reply, "\r\n")
	for rest != "" {
		var n int
		if _, err := fmt.Sscanf(rest, "$%d\r\n", &n); err != nil {
			t.Fatalf("no bulk: %q", rest)
		}
		_, rest, _ = strings.Cut(rest, "\r\n")
		list = append(list, rest[:n])
		rest = rest[n+2:]
	}
	return list
}

// encode writes a request in RESP, or as a line as a person types it.
func encode(inline bool, args []string) []byte {
	if !inline {
		return harness.Request(args...)
	}
	var b bytes.Buffer
	for _, a := range args {
		b.WriteString(` "`)
		for _, c := range []byte(a) {
			fmt.Fprintf(&b, `\x%02x`, c)
		}
		b.WriteByte('"')
	}
	b.WriteString("\r\n")
	return b.Bytes()
}
