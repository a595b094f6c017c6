package tests

import (
	"strings"
	"testing"

	"riptide-proxy/tests/harness"
)

// What a client is in the middle of shows in CLIENT LIST and INFO.
func TestServerClientStates(t *testing.T) {
	t.Parallel()
	p, _, _ := startPair(t, harness.Options{})
	boss := p.Connect(t, harness.Acme)
	sub, tx, waiting, watching := connectNamed(t, p, harness.Acme, "sub"), connectNamed(t, p, harness.Acme, "tx"),
		connectNamed(t, p, harness.Acme, "waiting"), connectNamed(t, p, harness.Acme, "watching")
	diffMust(t, sub, "SUBSCRIBE", "a")
	diffMust(t, sub, "PSUBSCRIBE", "b*")
	diffMust(t, tx, "MULTI")
	diffMust(t, tx, "SET", "k", "v")
	waiting.Send("BLPOP", "nothing", "0")
	diffMust(t, watching, "WATCH", "k")
	find := func(name string) (line string) {
		for l := range strings.Lines(verbatimText(diffMust(t, boss, "CLIENT", "LIST"))) {
			if strings.Contains(l, " name="+name+" ") {
				line = l
			}
		}
		return line
	}
	harness.Eventually(t, "BLPOP waits", func() bool { return strings.Contains(find("waiting"), " flags=b ") })
	for name, parts := range map[string]string{
		"sub": "flags=P sub=1 psub=1 ssub=0 cmd=psubscribe", "tx": "flags=x multi=1 cmd=set", "waiting": "cmd=blpop multi=-1", "watching": "flags=N cmd=watch",
	} {
		for part := range strings.FieldsSeq(parts) {
			if line := find(name); !strings.Contains(line, " "+part+" ") {
				t.Errorf("%s: %q has no %s", name, line, part)
			}
		}
	}
	clients := fieldsOf(diffMust(t, boss, "INFO", "clients"))["Clients"]
	for field, want := range map[string]string{"blocked_clients": "1", "pubsub_clients": "1", "watching_clients": "1", "tracking_clients": "0"} {
		if clients[field] != want {
			t.Errorf("%s: %q", field, clients[field])
		}
	}
	if got := diffMust(t, boss, "CLIENT", "LIST", "TYPE", "pubsub"); strings.Count(got, "id=") != 1 || !strings.Contains(got, "name=sub ") {
		t.Errorf("CLIENT LIST TYPE pubsub: %q", got)
	}
	watcher := p.Connect(t, harness.Acme)
	diffMust(t, watcher, "MONITOR")
	diffMust(t, tx, "SET", "k", "w")
	diffMust(t, tx, "EXEC")
	for _, want := range []string{`"SET" "k" "w"`, `"EXEC"`} {
		if got, err := watcher.Reply(); !strings.HasSuffix(got, " "+want+"\r\n") {
			t.Errorf("%q, %v, want %s", got, err, want)
		}
	}
	if got := diffMust(t, boss, "CLIENT", "KILL", "TYPE", "pubsub"); got != ":1\r\n" {
		t.Errorf("CLIENT KILL TYPE pubsub: %q", got)
	}
	mustEnd(t, sub)
}
