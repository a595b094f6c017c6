package proxy

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"time"

	"riptide-proxy/audit"
	"riptide-proxy/command"
	"riptide-proxy/namespace"
)

// remembered are a session's commands that are recorded once they are answered.
type remembered struct {
	runs []alike
	at   int      // the first of runs that is not recorded
	ends []uint32 // for each command, where in keys its part ends
	next int      // the first of ends that is not recorded
	keys []byte   // their names as they are written, each with a comma before it
	used uint32   // of keys, by what is recorded
	okay uint32   // how many of runs[at] are answered and can be recorded with outcome ok
}

// alike are commands that follow each other and have the same in common, as those of a pipeline and of a loop do. They are
// looked at one by one only where one has another outcome.
type alike struct {
	cmd  *command.Command
	who  *namespace.Identity
	db   int32
	seq  uint32 // the slot that the first answer of the first fills; the next one's is the next, of those that are not answered
	n    uint32 // how many are not recorded
	from uint32 // where in keys the first one's part began
}

const (
	// As much of a command's keys as is recorded.
	auditedKeys    = 64
	auditedKeySize = 256
	// So many commands are taken for alike at most, and so many bytes of their keys.
	maxAlike     = 256
	maxAlikeSize = 4 << 10
	// alikeTime is how long more of them are waited for once one is answered, where a loop is busy: where it records
	// busyCommands in busyTime.
	alikeTime    = 20 * time.Millisecond
	busyTime     = 100 * time.Millisecond
	busyCommands = 500
	// keptCommands is how many commands a place has room for that is small. So many places
	// are kept for the next session, and of larger ones.
	keptCommands = maxAlike
	keptSmall    = 1024
	keptLarge    = 16
)

// handle runs a command that is to be recorded, as session.run.
func (a *auditor) handle(s *session, cmd *command.Command, r *namespace.Request) bool {
	a.remember(s, cmd, r)
	if s.run(cmd, r) {
		return true
	}
	a.forget(s) // it will come again
	return false
}

// remember remembers the command that is about to be run.
func (a *auditor) remember(s *session, cmd *command.Command, r *namespace.Request) {
	more := s.remembered != nil && a.more(s, cmd)
	p := s.remembered
	if p == nil {
		p = a.take()
		s.remembered = p
	}
	from := uint32(len(p.keys))
	if a.names {
		p.keys = a.appendKeys(p.keys, s, cmd, r)
	}
	p.ends = append(p.ends, uint32(len(p.keys)))
	if !more {
		p.runs = append(p.runs, alike{cmd: cmd, who: s.who, db: int32(s.db), seq: s.tail, n: 1, from: from})
	}
}

// more takes a command for one more of those that were remembered last, if it is alike. If it is not, and they are
// answered, they are recorded.
func (a *auditor) more(s *session, cmd *command.Command) bool {
	p := s.remembered
	last := len(p.runs) - 1
	run := &p.runs[last]
	answered := last == p.at && p.okay == run.n
	if run.cmd == cmd && run.who == s.who && run.db == int32(s.db) && (answered || run.seq+run.n == s.tail) &&
		run.n < maxAlike && uint32(len(p.keys))-run.from < maxAlikeSize {
		run.seq = s.tail - run.n
		run.n++
		return true
	}
	if answered {
		a.settle(s)
	}
	return false
}

// forget forgets the command that was remembered last.
func (a *auditor) forget(s *session) {
	p := s.remembered
	if p == nil {
		return // the connection is gone
	}
	p.ends = p.ends[:len(p.ends)-1]
	size := p.used
	if n := len(p.ends); n > p.next {
		size = p.ends[n-1]
	}
	p.keys = p.keys[:size]
	last := len(p.runs) - 1
	if p.runs[last].n--; p.runs[last].n == 0 {
		p.runs = p.runs[:last]
	}
	a.done(s, p)
}

// take returns a place for commands to be remembered.
func (a *auditor) take() *remembered {
	if n := len(a.spare); n > 0 {
		p := a.spare[n-1]
		a.spare = a.spare[:n-1]
		return p
	}
	return new(remembered)
}

// done gives the place back if nothing is in it, and otherwise keeps it from growing.
func (a *auditor) done(s *session, p *remembered) {
	switch left := len(p.ends) - p.next; {
	case left == 0:
		s.remembered = nil
		small := cap(p.ends) <= keptCommands && cap(p.keys) <= 2*maxAlikeSize
		if len(a.spare) < keptLarge || small && len(a.spare) < keptSmall {
			clear(p.runs) // whose identities may be gone
			*p = remembered{runs: p.runs[:0], ends: p.ends[:0], keys: p.keys[:0]}
			a.spare = append(a.spare, p)
		}
	case p.next > keptCommands && p.next > left:
		p.runs = slices.Delete(p.runs, 0, p.at)
		p.ends = append(p.ends[:0], p.ends[p.next:]...)
		p.keys = append(p.keys[:0], p.keys[p.used:]...)
		for i := range p.ends {
			p.ends[i] -= p.used
		}
		for i := range p.runs {
			p.runs[i].from -= min(p.runs[i].from, p.used)
		}
		p.at, p.next, p.used = 0, 0, 0
	}
}

// appendKeys appends the names of a command's keys.
func (a *auditor) appendKeys(b []byte, s *session, cmd *command.Command, r *namespace.Request) []byte {
	if cmd.Shape.Kind == command.ShapeOne {
		if first := int(cmd.Shape.First); first < r.Len() {
			b = a.appendKey(b, s, r.At(first))
		}
		return b
	}
	a.indexes, _ = cmd.Prefixed(a.indexes[:0], r)
	for n, i := range a.indexes {
		if n == auditedKeys {
			b = audit.AppendQuoted(append(b, ','), fmt.Sprintf("... (%d more)", len(a.indexes)-n))
			break
		}
		b = a.appendKey(b, s, r.At(int(i)))
	}
	if cap(a.indexes) > maxScratch {
		a.indexes = nil
	}
	return b
}

func (a *auditor) appendKey(b []byte, s *session, key []byte) []byte {
	b = append(b, ',')
	switch {
	case a.hash != nil:
		b = append(b, '"')
		b = a.hash.Append(b, s.who.Tenant.ID, key)
		return append(b, '"')
	case len(key) > auditedKeySize:
		return audit.AppendQuoted(b, fmt.Sprintf("%s... (%d more bytes)", key[:auditedKeySize], len(key)-auditedKeySize))
	}
	return audit.AppendQuoted(b, key)
}

// pushed stands for the answer to a command whose answers the client has already, as messages: that it has subscribed.
var pushed = []byte("+OK\r\n")

// answered takes the answer to the commands up to the one whose slot seq is.
func (a *auditor) answered(s *session, seq uint32, reply []byte) {
	if len(reply) == 0 {
		reply = pushed
	}
	p := s.remembered
	run := &p.runs[p.at]
	if p.okay == run.n {
		return // it is to another command
	}
	ahead := int32(seq - (run.seq + p.okay))
	switch {
	case ahead < 0: // so is this
	case ahead == 0 && isPlain(run.cmd, reply): // as most are
		p.okay++
		if !s.settles {
			a.later(s)
		}
		if p.okay == run.n && p.at+1 < len(p.runs) {
			a.settle(s)
		}
	default:
		a.settleAll()
		for p.at < len(p.runs) && int32(p.runs[p.at].seq-seq) <= 0 {
			a.ended(s, p, reply)
		}
		a.done(s, p)
	}
}

// later has what is answered of a session's commands recorded at the end of the turn or in a while.
func (a *auditor) later(s *session) {
	if len(a.settling) == 0 {
		a.since = a.w.loop.Now()
	}
	a.settling = append(a.settling, s)
	s.settles = true
}

// settle records those of a session's commands that are answered.
func (a *auditor) settle(s *session) {
	p := s.remembered
	if p == nil || p.okay == 0 {
		return
	}
	n := p.okay
	p.okay = 0
	a.shift(s, p, n, &auditRun{event: "command", outcome: outcomeOK})
	a.done(s, p)
}

// settleAll does so for all sessions, which is before anything else is recorded: only commands that nothing is to be
// told of but that they were run come a little later than those of other sessions.
func (a *auditor) settleAll() {
	for _, s := range a.settling {
		s.settles = false
		a.settle(s)
	}
	a.waits = false
	clear(a.settling)
	if a.settling = a.settling[:0]; cap(a.settling) > maxScratch {
		a.settling = nil
	}
}

// unanswered records what is not going to be answered any more.
func (a *auditor) unanswered(s *session) {
	a.settleAll()
	p := s.remembered
	if p == nil {
		return
	}
	for p.at < len(p.runs) {
		a.ended(s, p, nil)
	}
	a.done(s, p)
}

// ended records the first of the commands that are remembered. Without a reply it was not answered.
func (a *auditor) ended(s *session, p *remembered, reply []byte) {
	what := &auditRun{event: "command", outcome: outcomeUnanswered}
	if reply != nil {
		what.outcome = outcomeOf(p.runs[p.at].cmd, reply, a.run.outcome)
	}
	if what.outcome == "NOPERM" || what.outcome == "NOAUTH" {
		what.event, what.reason = "refused", string(bytes.TrimSpace(reply[1:]))
	}
	a.shift(s, p, 1, what)
}

// shift records the first n of the commands that are remembered, which are of one run.
func (a *auditor) shift(s *session, p *remembered, n uint32, what *auditRun) {
	run := &p.runs[p.at]
	what.s, what.who, what.cmd, what.db = s, run.who, run.cmd, int(run.db)
	p.next += int(n)
	end := p.ends[p.next-1]
	keys := p.keys[p.used:end]
	p.used = end
	run.seq += n
	if run.n -= n; run.n == 0 {
		p.at++
	}
	a.put(what, keys, int(n))
}

// isPlain reports whether a reply says nothing but that the command was run.
func isPlain(cmd *command.Command, reply []byte) bool {
	return reply[0] != '-' && (reply[0] != '+' || string(reply) != queued) && cmd.Handler != command.HandleExec
}

// outcomeOf is what a reply says: ok, or the code of an error. likely spares the making of a string.
func outcomeOf(cmd *command.Command, reply []byte, likely string) string {
	switch {
	case reply[0] == '-':
		code := reply[1:]
		if i := bytes.IndexAny(code, " \r"); i >= 0 {
			code = code[:i]
		}
		switch {
		case string(code) == likely:
			return likely
		case !isCode(code): // a script has made it up
			return "error"
		}
		return string(code)
	case reply[0] == '+' && string(reply) == queued:
		return outcomeQueued
	case cmd.Handler == command.HandleExec && (reply[0] == '_' || bytes.HasPrefix(reply, []byte("*-"))):
		return outcomeAborted
	}
	return outcomeOK
}

// failed is told of each error of the proxy's own. Refusals are recorded, whatever the level is; what is over a quota is
// counted by the tenant's counters, and only the reason is kept.
func (a *auditor) failed(s *session, text string) {
	switch {
	case strings.HasPrefix(text, "NOPERM ") || strings.HasPrefix(text, "NOAUTH "):
		a.refused(s, text)
	case strings.HasPrefix(text, "THROTTLED ") || strings.HasPrefix(text, "OOM ") || strings.HasPrefix(text, "ERR tenant "):
		s.stats.audited.reason = text
	}
}

// revoked records that a connection is closed since the client may not have it any more.
func (a *auditor) revoked(s *session) {
	if a != nil {
		a.record(&auditRun{s: s, who: s.who, event: "revoked", outcome: "closed"})
	}
}

// quotaSeen is what of a tenant's counters is recorded.
type quotaSeen struct {
	throttled, refused uint64
	reason             string // the last error
}

// quotas records what quotas have done since it was called last.
func (a *auditor) quotas() {
	for _, t := range a.w.stats {
		seen := &t.audited
		if t.throttled == seen.throttled && t.refused == seen.refused {
			continue
		}
		a.overQuota(t, t.throttled-seen.throttled, t.refused-seen.refused)
		*seen = quotaSeen{throttled: t.throttled, refused: t.refused}
	}
}
