package config

import (
	"strings"
	"testing"
)

func TestLogAndTracing(t *testing.T) {
	const rest = "upstream: {mode: embedded}\ntenants: {acme: {users: {default: {sha256: [" +
		"9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08]}}}}\n"
	for _, c := range []struct{ file, want string }{
		{"", ""},
		{"log: {level: debug, format: json}\n", ""},
		{"log: {level: inof}\n", `f:1: log.level: "inof" is not one of debug, info, warn, error (did you mean "info"?)`},
		{"log: {format: xml}\n", `f:1: log.format: "xml" is not one of text, json`},
		{"log: {levle: info}\n", `f:1: log.levle: unknown key (did you mean "level"?)`},
		{"tracing: {endpoint: 'http://127.0.0.1:4318'}\n", ""},
		{"tracing: {endpoint: 'https://collector.example/x/v1/traces', sample: 1, slow: 10ms, headers: {x-key: k}}\n", ""},
		{"tracing:\n  sample: 0.5\n", "f:1: tracing: nothing is traced without tracing.endpoint"},
		{"tracing:\n  endpoint: 127.0.0.1:4318\n", "f:2: tracing.endpoint: expected a URL like http://127.0.0.1:4318"},
		{"tracing:\n  endpoint: grpc://x:4317\n", "f:2: tracing.endpoint: expected a URL like http://127.0.0.1:4318"},
		{"tracing:\n  endpoint: http://u:hunter2@x:4318\n", "f:2: tracing.endpoint: a user, a query or a fragment is not sent; what the collector wants to know belongs in tracing.headers"},
		{"tracing:\n  endpoint: http://x:4318\n  sample: 1.1\n", `f:3: tracing.sample: "1.1" is not a number from 0 to 1`},
		{"tracing:\n  endpoint: http://x:4318\n  sample: NaN\n", `f:3: tracing.sample: "NaN" is not a number from 0 to 1`},
		{"tracing:\n  endpoint: http://x:4318\n  slow: 2h\n", `f:3: tracing.slow: 2h is out of range (0s to 1h)`},
		{"tracing:\n  endpoint: http://x:4318\n  headers:\n    'a b': x\n", `f:4: tracing.headers."a b": "a b" is not a header's name`},
	} {
		_, _, err := Parse("f", []byte(c.file+rest), nil)
		got := ""
		if err != nil {
			got = err.Error()
		}
		if got != c.want {
			t.Errorf("%s\ngot  %s\nwant %s", c.file, got, c.want)
		}
		if strings.Contains(got, "hunter2") {
			t.Error("a secret is in the message")
		}
	}
}
