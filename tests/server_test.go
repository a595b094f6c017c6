package tests

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"riptide-proxy/tests/harness"
)

// The tenant's server: what a client is told about it, compared with a plain
// one where the answer does not depend on who is asked.

// startPair runs a proxy with two tenants on a server of their own, and a plain
// server of the same version.
func startPair(t *testing.T, o harness.Options) (p *harness.Proxy, upstream, plain *harness.Process) {
	t.Helper()
	if o.Top == "" {
		o.Top = "loops: 2\n"
	}
	upstream = harness.StartRedis(t, "--enable-debug-command", "yes", "--notify-keyspace-events", "KEA")
	plain = harness.StartRedis(t)
	p = harness.StartProxy(t, upstream.Addr, o)
	p.Ready(t)
	return p, upstream, plain
}

// verbatimText is the text of a bulk or of a verbatim string.
func verbatimText(reply string) string {
	_, text, _ := strings.Cut(reply, "\r\n")
	return strings.TrimPrefix(strings.TrimSuffix(text, "\r\n"), "txt:")
}

// fieldsOf are INFO's fields, by section.
func fieldsOf(reply string) map[string]map[string]string {
	all := make(map[string]map[string]string)
	section := ""
	for line := range strings.Lines(verbatimText(reply)) {
		line = strings.TrimRight(line, "\r\n")
		if title, isTitle := strings.CutPrefix(line, "# "); isTitle {
			section = title
			all[section] = make(map[string]string)
		} else if name, value, isField := strings.Cut(line, ":"); isField {
			all[section][name] = value
		}
	}
	return all
}

// Errors and other answers that do not depend on the server are Redis's own.
func TestServerSameAsRedis(t *testing.T) {
	t.Parallel()
	p, _, plain := startPair(t, harness.Options{})
	for _, proto := range []string{"2", "3"} {
		proxy := p.Connect(t, harness.Acme)
		direct, err := harness.Dial(plain.Addr)
		if err != nil {
			t.Fatal(err)
		}
		defer direct.Close()
		for _, c := range []*harness.Conn{proxy, direct} {
			diffMust(t, c, "HELLO", proto)
			diffMust(t, c, "SLOWLOG", "RESET")
			diffMust(t, c, "LATENCY", "RESET")
		}
		for call := range strings.Lines(`INFO nope
			INFO modules
			INFO cluster
			info CLUSTER Nope
			INFO cluster modules cluster
			ROLE
			ROLE x
			LASTSAVE x
			MONITOR x
			CONFIG GET
			CONFIG GET nope
			CONFIG GET nope nope
			CONFIG GET maxmemory
			CONFIG GET MaxMemory maxmemory-POLICY
			CONFIG GET maxmemory-p[no]* save appendonly
			CONFIG GET list-max-listpack-size hash-max-listpack-entries zset-max-listpack-value
			CONFIG GET databases timeout lua-time-limit proto-max-bulk-len cluster-enabled
			CONFIG GET slowlog-*
			CONFIG GET SLOWLOG-max-le?
			CONFIG SET maxmemory
			CONFIG SET a b c
			CONFIG SET notify-keyspace-events
			SLOWLOG GET x
			SLOWLOG GET -2
			SLOWLOG GET 1 2
			SLOWLOG LEN
			SLOWLOG LEN 1
			SLOWLOG RESET
			SLOWLOG NOPE
			LATENCY LATEST
			LATENCY HISTORY command
			LATENCY HISTORY nope
			LATENCY GRAPH command
			LATENCY GRAPH nope
			LATENCY RESET
			LATENCY RESET nope
			LATENCY HISTOGRAM nope nope
			ACL CAT nope
			ACL CAT a b
			ACL GENPASS x
			ACL GENPASS 0
			ACL GENPASS 4097
			ACL GENPASS 1 2
			MEMORY STATS x
			MEMORY DOCTOR x
			COMMAND GETKEYS SET k v
			COMMAND GETKEYSANDFLAGS MSET a 1 b 2
			COMMAND GETKEYS EVAL x 2 a b c
			COMMAND GETKEYS PING
			COMMAND GETKEYS nope x
			COMMAND GETKEYS GET
			CLIENT INFO x
			CLIENT LIST x
			CLIENT LIST TYPE
			CLIENT LIST TYPE nope
			CLIENT LIST TYPE master
			CLIENT LIST TYPE replica
			CLIENT LIST TYPE PubSub
			CLIENT LIST ID
			CLIENT LIST ID x
			CLIENT LIST ID 99999999 1 x
			CLIENT LIST ID 99999999
			CLIENT KILL
			CLIENT KILL 1.2.3.4:5
			CLIENT KILL ID
			CLIENT KILL ID 0
			CLIENT KILL ID x
			CLIENT KILL ID 99999999
			CLIENT KILL USER nope
			CLIENT KILL TYPE nope
			CLIENT KILL TYPE master
			CLIENT KILL SKIPME maybe
			CLIENT KILL foo bar
			CLIENT KILL ID 1 ADDR
			CLIENT KILL ADDR 1.2.3.4:5 LADDR 1.2.3.4:5
			CLIENT NO-EVICT
			CLIENT NO-EVICT on
			CLIENT NO-EVICT OFF
			CLIENT NO-EVICT x
			CLIENT NO-TOUCH on
			CLIENT PAUSE x
			CLIENT PAUSE -1
			CLIENT PAUSE 1 x
			CLIENT PAUSE 99999999999999999999
			CLIENT PAUSE 1 ALL x
			CLIENT PAUSE 0
			CLIENT PAUSE 1 WRITE
			CLIENT UNPAUSE
			CLIENT UNPAUSE x
			CLUSTER INFO
			CLUSTER SLOTS
			CLUSTER KEYSLOT x
			CLUSTER NOPE
			READONLY
			ASKING
			FUNCTION LIST
			FUNCTION LIST x
			FUNCTION LIST LIBRARYNAME
			FUNCTION LIST LIBRARYNAME x*`) {
			words := strings.Fields(call)
			if words[0] == "CONFIG" && words[1] == "GET" && len(words) > 2 {
				// In the order of a hash table.
				got, _ := proxy.Do(words...)
				want, _ := direct.Do(words...)
				if !diffSame(diffPairs, got, want) {
					t.Errorf("%q: %q, want %q", words, got, want)
				}
				continue
			}
			diffEqual(t, proxy, direct, words...)
		}
	}
}

// The lines of CLIENT LIST have the fields of the server's version, in order.
func TestServerClientLine(t *testing.T) {
	t.Parallel()
	p, _, plain := startPair(t, harness.Options{})
	proxy := p.Connect(t, harness.Acme)
	direct, err := harness.Dial(plain.Addr)
	if err != nil {
		t.Fatal(err)
	}
	defer direct.Close()
	names := func(line string) (list []string) {
		for f := range strings.FieldsSeq(line) {
			name, _, _ := strings.Cut(f, "=")
			list = append(list, name)
		}
		return list
	}
	for _, c := range []*harness.Conn{proxy, direct} {
		diffMust(t, c, "CLIENT", "SETNAME", "me")
		diffMust(t, c, "SELECT", "3")
	}
	for _, words := range [][]string{{"CLIENT", "INFO"}, {"CLIENT", "LIST"}, {"CLIENT", "LIST", "TYPE", "NORMAL"}} {
		got, want := verbatimText(diffMust(t, proxy, words...)), verbatimText(diffMust(t, direct, words...))
		if words[1] == "LIST" {
			lines := strings.Split(strings.TrimSpace(got), "\n")
			got = lines[len(lines)-1] // the others are the harness's
			got += "\n"
		}
		if !slices.Equal(names(got), names(want)) {
			t.Errorf("%q: %q, want the fields of %q", words, got, want)
		}
		for _, part := range []string{" name=me ", " db=3 ", " flags=N ", " cmd=client|" + strings.ToLower(words[1]) + " ", " laddr=" + p.Addr + " ", " addr=" + proxy.LocalAddr().String() + " ", " user=acme ", " multi=-1 "} {
			if !strings.Contains(got, part) {
				t.Errorf("%q: %q is without %q", words, got, part)
			}
		}
	}
}

// INFO has the sections and fields of a plain server, in the same order.
func TestServerInfoFields(t *testing.T) {
	t.Parallel()
	p, _, plain := startPair(t, harness.Options{Tenants: []harness.Tenant{
		{ID: "acme", Secret: "acme-secret", YAML: "    quotas: {memory: 100MiB}\n"}, harness.Globex}})
	proxy := p.Connect(t, harness.Acme)
	direct, err := harness.Dial(plain.Addr)
	if err != nil {
		t.Fatal(err)
	}
	defer direct.Close()
	title := regexp.MustCompile(`(?m)^# .*$`)
	for _, words := range []string{"INFO", "INFO all", "INFO everything", "INFO default", "INFO ALL keyspace nope", "INFO server memory SERVER", "INFO commandstats", "INFO keyspace errorstats"} {
		got, want := diffMust(t, proxy, strings.Fields(words)...), diffMust(t, direct, strings.Fields(words)...)
		g, w := title.FindAllString(got, -1), title.FindAllString(want, -1)
		if slices.Contains(w, "# Keyspace\r") && len(w) > 2 { // that of quotas comes after all that Redis has
			w = append(w, "# Quota\r")
		}
		if !slices.Equal(g, w) {
			t.Errorf("%s: sections %q, want %q", words, g, w)
		}
		mine, theirs := fieldsOf(got), fieldsOf(want)
		for section, fields := range theirs {
			for name := range fields {
				if _, has := mine[section][name]; !has && !strings.HasPrefix(name, "cmdstat_") && !strings.HasPrefix(name, "errorstat_") && !strings.HasPrefix(name, "latency_") && !strings.HasPrefix(name, "io_thread") {
					t.Errorf("%s: %s has no %s", words, section, name)
				}
			}
		}
	}
	info := fieldsOf(diffMust(t, proxy, "INFO"))
	version := fieldsOf(diffMust(t, direct, "INFO", "server"))["Server"]["redis_version"]
	_, port, _ := strings.Cut(p.Addr, ":")
	for _, x := range [][3]string{
		{"Server", "redis_version", version}, {"Server", "redis_mode", "standalone"}, {"Server", "tcp_port", port},
		{"Memory", "maxmemory", "104857600"}, {"Memory", "maxmemory_human", "100.00M"}, {"Memory", "maxmemory_policy", "noeviction"},
		{"Replication", "role", "master"}, {"Replication", "connected_slaves", "0"}, {"Cluster", "cluster_enabled", "0"},
	} {
		if got := info[x[0]][x[1]]; got != x[2] {
			t.Errorf("%s: %s is %q, want %q", x[0], x[1], got, x[2])
		}
	}
	// Two connections, whatever their loops, are one server's.
	again := fieldsOf(diffMust(t, p.Connect(t, harness.Acme), "INFO", "server"))["Server"]["run_id"]
	other := fieldsOf(diffMust(t, p.Connect(t, harness.Globex), "INFO", "server"))["Server"]["run_id"]
	if id := info["Server"]["run_id"]; len(id) != 40 || id != again || id == other {
		t.Errorf("run_id %q, another connection's %q, another tenant's %q", id, again, other)
	}
}

// A tenant's numbers are its own.
func TestServerInfoNumbers(t *testing.T) {
	t.Parallel()
	p, _, _ := startPair(t, harness.Options{})
	ctx := harness.Context(t)
	acme, globex := p.Client(t, harness.Acme), p.Client(t, harness.Globex)
	for i := range 50 {
		globex.Set(ctx, fmt.Sprint("other", i), "x", time.Hour)
	}
	globex.Do(ctx, "LPUSH", "other1", "x")
	for i := range 20 {
		acme.Set(ctx, fmt.Sprint("own", i), strings.Repeat("x", 1000), 0)
	}
	acme.Expire(ctx, "own1", 100*time.Second)
	acme.Expire(ctx, "own2", 100*time.Second)
	acme.Get(ctx, "own1")
	third := p.Connect(t, harness.Acme)
	diffMust(t, third, "SELECT", "3")
	diffMust(t, third, "SET", "k", "v")
	third.Do("LPUSH", "k", "x")
	third.Do("GET")
	info := fieldsOf(diffMust(t, third, "INFO", "everything"))
	stats := regexp.MustCompile(`^calls=1,usec=\d+,usec_per_call=\d+\.00,rejected_calls=1,failed_calls=0$`)
	if got := info["Commandstats"]["cmdstat_get"]; !stats.MatchString(got) {
		t.Errorf("cmdstat_get:%s", got)
	}
	if got := info["Commandstats"]["cmdstat_lpush"]; !strings.HasSuffix(got, "rejected_calls=0,failed_calls=1") || !strings.HasPrefix(got, "calls=1,") {
		t.Errorf("cmdstat_lpush:%s", got)
	}
	if got := info["Errorstats"]; got["errorstat_WRONGTYPE"] != "count=1" {
		t.Errorf("errors: %v", got)
	}
	if got := info["Latencystats"]["latency_percentiles_usec_set"]; !regexp.MustCompile(`^p50=\d+\.\d{3},p99=\d+\.\d{3},p99\.9=\d+\.\d{3}$`).MatchString(got) {
		t.Errorf("latency of SET: %q", got)
	}
	if got := info["Keyspace"]; !strings.HasPrefix(got["db0"], "keys=20,expires=2,avg_ttl=9") || got["db3"] != "keys=1,expires=0,avg_ttl=0" || len(got) != 2 {
		t.Errorf("keyspace: %v", got)
	}
	if used, _ := strconv.Atoi(info["Memory"]["used_memory"]); used < 20_000 || used > 60_000 {
		t.Errorf("used_memory: %d", used)
	}
	if calls, _ := strconv.Atoi(info["Stats"]["total_commands_processed"]); calls < 26 || calls > 45 {
		t.Errorf("total_commands_processed: %d", calls)
	}
	if n := info["Clients"]["connected_clients"]; n != "3" && n != "2" {
		t.Errorf("connected_clients: %s", n)
	}
	if strings.Contains(diffMust(t, third, "INFO", "everything"), "other") {
		t.Error("INFO names what belongs to another tenant")
	}
}

// CONFIG SET goes through for what is set already.
func TestServerConfig(t *testing.T) {
	t.Parallel()
	p, _, _ := startPair(t, harness.Options{})
	c := p.Connect(t, harness.Acme)
	if got := diffMust(t, c, "CONFIG", "GET", "notify-*"); got != "*2\r\n$22\r\nnotify-keyspace-events\r\n$3\r\nAKE\r\n" {
		t.Errorf("%q", got)
	}
	for _, flags := range []string{"AKE", "Kx", "Ex", "Elg", ""} {
		if got, _ := c.Do("CONFIG", "SET", "notify-keyspace-events", flags); got != "+OK\r\n" {
			t.Errorf("%s: %q", flags, got)
		}
	}
	for _, words := range []string{"notify-keyspace-events KEAm", "maxmemory 1", "notify-keyspace-events K maxmemory 1", "requirepass x"} {
		if got, _ := c.Do(append([]string{"CONFIG", "SET"}, strings.Fields(words)...)...); got != "-NOPERM 'config|set' is not available to tenants\r\n" {
			t.Errorf("%s: %q", words, got)
		}
	}
	all := diffMust(t, c, "CONFIG", "GET", "*")
	for _, secret := range []string{"requirepass", "masterauth", "dir", "logfile", "aclfile", "tls-key-file"} {
		if strings.Contains(all, "\n"+secret+"\r") {
			t.Errorf("CONFIG GET shows %s", secret)
		}
	}
}
