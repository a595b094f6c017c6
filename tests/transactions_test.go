package tests

import (
	"fmt"
	"testing"

	"riptide-proxy/tests/harness"
)

// Several transactions whose replies the proxy has to complete itself are on
// their way at once; what follows them is answered in its turn.
func TestTransactionsCompletedAtOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t, false, harness.Options{})
	for range 50 {
		c := w.proxy.Connect(t, harness.Acme)
		var pipe []byte
		send := func(args ...string) { pipe = append(pipe, harness.Request(args...)...) }
		for range 3 {
			send("MULTI")
			send("CLIENT", "LIST")
			send("INFO", "keyspace")
			send("EXEC")
		}
		for i := range 100 {
			send("ECHO", fmt.Sprint(i))
			send("SET", "a", fmt.Sprint(i))
			send("GET", "a")
		}
		if _, err := c.Write(pipe); err != nil {
			t.Fatal(err)
		}
		for i := range 12 {
			if reply, err := c.Reply(); err != nil || reply[0] == '-' {
				t.Fatalf("reply %d: %q, %v", i, reply, err)
			}
		}
		for i := range 100 {
			value := fmt.Sprintf("$%d\r\n%d\r\n", len(fmt.Sprint(i)), i)
			for _, want := range []string{value, "+OK\r\n", value} {
				if reply, err := c.Reply(); err != nil || reply != want {
					t.Fatalf("round %d: %q, %v, want %q", i, reply, err, want)
				}
			}
		}
		c.Close()
	}
}
