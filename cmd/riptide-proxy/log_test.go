package main

import (
	"bytes"
	"encoding/json"
	"log/slog"
	"os"
	"strings"
	"testing"

	"riptide-proxy/config"
	"riptide-proxy/tests/harness"
)

// What is below the level is not logged; each event is one line, whatever is in it.
func TestLogHandler(t *testing.T) {
	all := []config.LogLevel{config.LogDebug, config.LogInfo, config.LogWarn, config.LogError}
	for _, format := range []config.LogFormat{config.LogText, config.LogJSON} {
		for i, level := range all {
			var out bytes.Buffer
			log := slog.New(logHandler(&out, config.Log{Level: level, Format: format}))
			for _, l := range all {
				log.Log(t.Context(), l.Slog(), "it is "+string(l), "client", "a\nb=\"c\"", "password", config.Password("hunter2"))
			}
			lines := strings.Split(strings.TrimSuffix(out.String(), "\n"), "\n")
			if len(lines) != len(all)-i {
				t.Errorf("%s at %s: %d lines:\n%s", format, level, len(lines), out.String())
			}
			if strings.Contains(out.String(), "hunter2") {
				t.Errorf("a secret is in the log: %s", out.String())
			}
			for j, line := range lines {
				want := "it is " + string(all[i+j])
				if format == config.LogText {
					if !strings.HasPrefix(line, "time=") || !strings.Contains(line, ` msg="`+want+`" `) {
						t.Errorf("%s", line)
					}
					continue
				}
				var event struct{ Time, Level, Msg, Client string }
				if err := json.Unmarshal([]byte(line), &event); err != nil || event.Msg != want || event.Client != "a\nb=\"c\"" || event.Time == "" || event.Level == "" {
					t.Errorf("%s: %+v, %v", line, event, err)
				}
			}
		}
	}
}

// The configuration says how the proxy logs, its own warnings on the way included.
func TestServeLogsAsConfigured(t *testing.T) {
	file := "log: {format: json}\nplans: {p: {cold_storage: 1MiB}}\n" + embedded("")
	p := start(t, "serve", "--config", configFile(t, file))
	for _, want := range []string{"cold_storage is not in effect yet", "now serving clients"} {
		line, ok := p.line(want)
		var event struct{ Level, Msg string }
		if err := json.Unmarshal([]byte(line), &event); !ok || err != nil || event.Level == "" {
			t.Errorf("%q: %v", line, err)
		}
	}
}

// The level and the format change with the file, while the proxy runs.
func TestLogChangesLive(t *testing.T) {
	file := configFile(t, embedded(""))
	p := start(t, "serve", "--config", file)
	address := p.field(" serving ", "listen")
	refused := func() {
		c, err := harness.Dial(address)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		expect(t, c, "-WRONGPASS invalid username-password pair or user is disabled.\r\n", "AUTH", "acme", "wrong")
	}
	refused()
	if err := os.WriteFile(file, []byte("log: {level: debug, format: json}\n"+embedded("")), 0o600); err != nil {
		t.Fatal(err)
	}
	harness.Eventually(t, "a refused login is logged", func() bool {
		refused()
		return strings.Contains(p.output(), `"login refused"`)
	})
	if strings.Contains(p.output(), `msg="login refused"`) || !strings.Contains(p.output(), `"level":"DEBUG"`) {
		t.Error(p.output())
	}
}
