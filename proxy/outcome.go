package proxy

import "riptide-proxy/command"

// Outcome is what became of a command that the upstream has answered.
type Outcome uint8

const (
	OutcomeOK    Outcome = iota // answered, and by its reply neither of the next two
	OutcomeHit                  // a read that has found something
	OutcomeMiss                 // and one that has not
	OutcomeError                // answered with an error
	NOutcomes                   // how many there are
)

var outcomeNames = [NOutcomes]string{"ok", "hit", "miss", "error"}

// String is the outcome's name in metrics.
func (o Outcome) String() string { return outcomeNames[o] }

// Outcomes counts commands by class and outcome. What the proxy answers by itself is not in it, nor
// what the upstream was not there for.
type Outcomes [command.Classes][NOutcomes]uint64

func (o *Outcomes) add(more *Outcomes) {
	for class := range more {
		for outcome, n := range more[class] {
			o[class][outcome] += n
		}
	}
}

// countFound counts what became of a command, by the upstream's reply, and whether a read has found something. A
// command in a transaction counts when its own reply is there.
func (t *tenantStats) countFound(cmd *command.Command, reply []byte) {
	n := &t.outcomes[cmd.Class]
	switch {
	case len(reply) > 0 && reply[0] == '-':
		n[OutcomeError]++
	case cmd.Miss == command.MissNull && reply[0] == '$': // the common case: GET
		if reply[1] == '-' {
			t.misses++
			n[OutcomeMiss]++
		} else {
			t.hits++
			n[OutcomeHit]++
		}
	case string(reply) == "+QUEUED\r\n":
	case cmd.Miss == command.Uncounted:
		n[OutcomeOK]++
	default:
		hits, misses := cmd.Miss.Count(reply)
		t.hits += hits
		t.misses += misses
		switch {
		case hits > 0: // some of several are there
			n[OutcomeHit]++
		case misses > 0:
			n[OutcomeMiss]++
		default:
			n[OutcomeOK]++
		}
	}
}
