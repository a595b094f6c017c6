package script

import (
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"testing"

	"riptide-proxy/tests/harness"
)

// fragments are what random scripts are made of: everything that opens or closes a block, and what may hide it.
var fragments = []string{
	"end ", "end)", "end,", ")", "(", "function() ", "function f() ", "local function g() ", "if a then ", "else ", "do ", "repeat ",
	"until x ", "while a do ", "return ", "return 1 ", "error({}) ", "x = 1 ", "f() ", "local y ", ",", ";", "'", "\"", "\\", "\\'",
	"--", "--[[", "]]", "[[", "[=[", "]=]", "--[=[", "[", "]", "{", "}", "\n", "\r", "\r\n", " ", "1e5..", "1e5", "1e-", ".5", "3..", "0x",
	"..", "...", "a", ".", ":", "=", "==", "~=", "\x80", "\x00", "\v", "#", "not ", "nil ", "_r0", "'s'", "[[s]]", "-- c\n", "a[1]", "a.b()",
}

// TestEscape tries random texts on the server's own Lua. Whatever it compiles behind the prelude it must compile by
// itself too, and then it can not have left the function around it. What compiles by itself should behind the prelude.
func TestEscape(t *testing.T) { inIsolated(t, testEscape) }

func testEscape(t *testing.T, mode Mode) {
	server := harness.StartRedis(t)
	c := dial(t, server.Addr)
	rounds, _ := strconv.Atoi(os.Getenv("SCRIPT_ROUNDS"))
	if rounds == 0 {
		rounds = 3000
	}
	random := rand.New(rand.NewPCG(1, uint64(rounds)))
	compiled := 0
	for i := range rounds {
		var b strings.Builder
		for range 1 + random.IntN(9) {
			b.WriteString(fragments[random.IntN(len(fragments))])
		}
		if source := b.String(); !strings.HasPrefix(source, "#!") {
			s := New([]byte(source), mode)
			alone := do(t, c, "EVAL", string(s.Diagnosis()), "0") == "+OK\r\n"
			wrapped := !CompileError([]byte(do(t, c, "SCRIPT", "LOAD", string(s.Wrapped))))
			broken := strings.Contains(string(s.Wrapped), `its blocks do not match`)
			if wrapped && !broken && !alone {
				t.Errorf("%q compiles only behind the prelude: %s", source, s.Wrapped)
			}
			if alone && (broken || !wrapped) {
				t.Errorf("%q compiles only by itself", source)
			}
			if alone {
				compiled++
			}
		}
		if i%500 == 499 {
			do(t, c, "SCRIPT", "FLUSH")
		}
	}
	t.Logf("%d of %d compile", compiled, rounds)
}
