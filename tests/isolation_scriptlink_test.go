package tests

import (
	"fmt"
	"testing"

	"riptide-proxy/tests/harness"
)

// When the login that ends a script's turn fails, the connection is given up at
// once: the replies that have come with the refusal are nobody's.
func TestScriptRepliesAfterRefusedRest(t *testing.T) {
	t.Parallel()
	w := newWorld(t, false, harness.Options{})
	a, g := w.proxy.Connect(t, harness.Acme), w.proxy.Connect(t, harness.Globex)
	clients := []*harness.Conn{a, g}
	const calls = 12
	for round := range 50 {
		for n, c := range clients { // the users are there again
			if reply, err := c.Do("EVAL", "return ARGV[1]", "0", "x"); err != nil || round == 0 && reply != "$1\r\nx\r\n" {
				t.Fatalf("client %d: %q, %v", n, reply, err)
			}
		}
		w.must(t, "ACL", "SETUSER", "riptide:rest", "resetpass")
		for n, c := range clients {
			var pipe []byte
			for i := range calls {
				pipe = append(pipe, harness.Request("EVAL", "return ARGV[1]", "0", fmt.Sprintf("%d-%d-%02d", n, round, i))...)
			}
			c.Write(pipe)
		}
		for n, c := range clients {
			for i := range calls {
				text := fmt.Sprintf("%d-%d-%02d", n, round, i)
				reply, err := c.Reply()
				if err != nil || reply[0] != '-' && reply != fmt.Sprintf("$%d\r\n%s\r\n", len(text), text) {
					t.Fatalf("%s: %q, %v", text, reply, err)
				}
			}
		}
	}
}
