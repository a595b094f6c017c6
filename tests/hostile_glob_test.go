package tests

import (
	"strings"
	"testing"
	"time"

	"riptide-proxy/tests/harness"
)

// A pattern that takes long to compare with an event's name keeps nobody
// waiting.
func TestHostilePattern(t *testing.T) {
	w := newWorld(t, false, harness.Options{}, "--notify-keyspace-events", "KEA")
	ear, a, g := w.proxy.Connect(t, harness.Acme), w.proxy.Connect(t, harness.Acme), w.proxy.Connect(t, harness.Globex)
	if reply, err := ear.Do("PSUBSCRIBE", "__key*"+strings.Repeat("a", 100_000)+"b"); err != nil || reply[0] != '*' {
		t.Fatalf("%.100q, %v", reply, err)
	}
	if reply, err := a.Do("SET", strings.Repeat("a", 200_000), "x"); err != nil || reply != "+OK\r\n" {
		t.Fatalf("%q, %v", reply, err)
	}
	began := time.Now()
	for range 10 {
		if reply, err := g.Do("PING"); err != nil || reply != "+PONG\r\n" {
			t.Fatalf("PING: %q, %v", reply, err)
		}
	}
	if took := time.Since(began); took > 2*time.Second {
		t.Errorf("another tenant waited for %v", took)
	}
}
