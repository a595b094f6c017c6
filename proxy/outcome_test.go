package proxy

import (
	"testing"

	"riptide-proxy/command"
)

// Each reply counts as one outcome of its command's class, whatever the reply looks like.
func TestOutcomes(t *testing.T) {
	for _, c := range []struct {
		name, reply  string
		class        command.Class
		want         Outcome
		hits, misses uint64
	}{
		{"get", "$1\r\nv\r\n", command.ClassRead, OutcomeHit, 1, 0},
		{"get", "$-1\r\n", command.ClassRead, OutcomeMiss, 0, 1},
		{"get", "_\r\n", command.ClassRead, OutcomeMiss, 0, 1},
		{"get", "-WRONGTYPE x\r\n", command.ClassRead, OutcomeError, 0, 0},
		{"mget", "*2\r\n$1\r\nv\r\n$-1\r\n", command.ClassRead, OutcomeHit, 1, 1},
		{"mget", "*2\r\n$-1\r\n$-1\r\n", command.ClassRead, OutcomeMiss, 0, 2},
		{"hgetall", "*0\r\n", command.ClassRead, OutcomeMiss, 0, 1},
		{"sismember", ":0\r\n", command.ClassRead, OutcomeOK, 0, 0},
		{"set", "+OK\r\n", command.ClassWrite, OutcomeOK, 0, 0},
		{"set", "-OOM x\r\n", command.ClassWrite, OutcomeError, 0, 0},
		{"eval", ":1\r\n", command.ClassScript, OutcomeOK, 0, 0},
		{"publish", ":3\r\n", command.ClassPubSub, OutcomeOK, 0, 0},
		{"subscribe", "", command.ClassPubSub, OutcomeOK, 0, 0}, // its confirmation is no reply
		{"exec", "*0\r\n", command.ClassOther, OutcomeOK, 0, 0},
		{"get", "+QUEUED\r\n", command.ClassRead, NOutcomes, 0, 0}, // counts with EXEC
		{"set", "+QUEUED\r\n", command.ClassWrite, NOutcomes, 0, 0},
	} {
		var s tenantStats
		s.countFound(command.Lookup([]byte(c.name)), []byte(c.reply))
		var want Outcomes
		if c.want < NOutcomes {
			want[c.class][c.want] = 1
		}
		if s.outcomes != want || s.hits != c.hits || s.misses != c.misses {
			t.Errorf("%s %q: %v, %d hits, %d misses", c.name, c.reply, s.outcomes, s.hits, s.misses)
		}
	}
}
