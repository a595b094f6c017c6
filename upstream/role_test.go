package upstream

import (
	"slices"
	"strings"
	"testing"
)

// Servers that tenants can not be served from are noticed, and what may not be asked is not taken for one.
func TestProbeRole(t *testing.T) {
	for _, x := range []struct{ server, replication, want string }{
		{"redis_version:7.0.15\r\nredis_mode:standalone\r\n", "role:master\r\n", ""},
		{"redis_version:7.2.4\r\nserver_name:valkey\r\nvalkey_version:8.1.0\r\nredis_mode:standalone\r\n", "role:master\r\n", ""},
		{"redis_version:6.2.14\r\nredis_mode:standalone\r\n", "role:master\r\n", "its version is 6.2.14"},
		{"redis_version:7.0.15\r\nredis_mode:cluster\r\n", "role:master\r\n", "it is a node of a cluster"},
		{"redis_version:7.0.15\r\nredis_mode:standalone\r\n", "role:slave\r\n", "it is a replica"},
		{"", "", ""},
	} {
		f, err := probe(t, map[string]string{"CONFIG GET MAXCLIENTS": "*2\r\n" + bulk("maxclients") + bulk("10000"), "INFO SERVER": bulk(x.server), "INFO REPLICATION": bulk(x.replication), "COMMAND": "*0\r\n"})
		if err != nil {
			t.Fatal(err)
		}
		if found := slices.ContainsFunc(f.Risks, func(r string) bool { return strings.HasPrefix(r, x.want) }); x.want == "" && len(f.Risks) > 0 || x.want != "" && (len(f.Risks) != 1 || !found) {
			t.Errorf("%q: %q", x.server+x.replication, f.Risks)
		}
	}
}

// So is one that takes hardly any connections.
func TestProbeFewConnections(t *testing.T) {
	f, err := probe(t, map[string]string{"CONFIG GET": "*2\r\n" + bulk("maxclients") + bulk("50"), "COMMAND": "*0\r\n"})
	if err != nil || !slices.ContainsFunc(f.Risks, func(r string) bool { return strings.HasPrefix(r, "maxclients is 50: ") }) {
		t.Errorf("%+v, %v", f, err)
	}
}
