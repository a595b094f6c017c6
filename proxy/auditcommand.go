package proxy

import (
	"bytes"
	"fmt"
	"strings"

	"riptide-proxy/audit"
	"riptide-proxy/command"
	"riptide-proxy/namespace"
)

// remembered are a session's commands that are recorded once they are answered.
type remembered struct {
	commands []auditedCommand
	first    int    // of commands
	keys     []byte // their names as they are written, one after the other
	used     uint32 // of keys, by those before first
}

// auditedCommand is one of them.
type auditedCommand struct {
	cmd *command.Command
	db  int32
	seq uint32 // the slot that its first answer fills
	end uint32 // of its part of keys
}

const (
	// As much of a command's keys as is recorded.
	auditedKeys    = 64
	auditedKeySize = 256
	// keptCommands is how many commands a place has room for that is small. So many places
	// are kept for the next session, and of larger ones.
	keptCommands = 64
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
	p := s.remembered
	if p == nil {
		p = a.take()
		s.remembered = p
	}
	if a.names {
		p.keys = a.appendKeys(p.keys, s, cmd, r)
	}
	p.commands = append(p.commands, auditedCommand{cmd: cmd, db: int32(s.db), seq: s.tail, end: uint32(len(p.keys))})
}

// forget forgets the command that was remembered last.
func (a *auditor) forget(s *session) {
	p := s.remembered
	if p == nil {
		return // the connection is gone
	}
	last := len(p.commands) - 1
	size := p.used
	if last > p.first {
		size = p.commands[last-1].end
	}
	p.commands, p.keys = p.commands[:last], p.keys[:size]
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
	switch left := len(p.commands) - p.first; {
	case left == 0:
		s.remembered = nil
		small := cap(p.commands) <= keptCommands && cap(p.keys) <= keptCommands*auditedKeySize
		if len(a.spare) < keptLarge || small && len(a.spare) < keptSmall {
			*p = remembered{commands: p.commands[:0], keys: p.keys[:0]}
			a.spare = append(a.spare, p)
		}
	case p.first > keptCommands && p.first > left:
		p.commands = append(p.commands[:0], p.commands[p.first:]...)
		p.keys = append(p.keys[:0], p.keys[p.used:]...)
		for i := range p.commands {
			p.commands[i].end -= p.used
		}
		p.first, p.used = 0, 0
	}
}

// appendKeys appends the names of a command's keys.
func (a *auditor) appendKeys(b []byte, s *session, cmd *command.Command, r *namespace.Request) []byte {
	a.indexes, _ = cmd.Prefixed(a.indexes[:0], r)
	for n, i := range a.indexes {
		if n > 0 {
			b = append(b, ',')
		}
		if n == auditedKeys {
			b = audit.AppendQuoted(b, fmt.Sprintf("... (%d more)", len(a.indexes)-n))
			break
		}
		key := r.At(int(i))
		switch {
		case a.hash != nil:
			b = append(b, '"')
			b = a.hash.Append(b, s.who.Tenant.ID, key)
			b = append(b, '"')
		case len(key) > auditedKeySize:
			b = audit.AppendQuoted(b, fmt.Sprintf("%s... (%d more bytes)", key[:auditedKeySize], len(key)-auditedKeySize))
		default:
			b = audit.AppendQuoted(b, key)
		}
	}
	if cap(a.indexes) > maxScratch {
		a.indexes = nil
	}
	return b
}

// answered records the commands that are answered with the one whose slot seq is.
func (a *auditor) answered(s *session, seq uint32, reply []byte) {
	p := s.remembered
	for p.first < len(p.commands) && int32(p.commands[p.first].seq-seq) <= 0 {
		a.ended(s, p, reply)
	}
	a.done(s, p)
}

// unanswered records what is not going to be answered any more.
func (a *auditor) unanswered(s *session) {
	if s.remembered == nil {
		return
	}
	for p := s.remembered; p.first < len(p.commands); {
		a.ended(s, p, nil)
	}
	a.done(s, s.remembered)
}

// ended records the first of the commands that are remembered. Without a reply it was not answered.
func (a *auditor) ended(s *session, p *remembered, reply []byte) {
	c := &p.commands[p.first]
	keys := p.keys[p.used:c.end]
	p.first, p.used = p.first+1, c.end
	if a.open && a.run.s == s && a.run.cmd == c.cmd && a.run.outcome == outcomeOK && a.run.who == s.who && a.run.db == int(c.db) &&
		reply != nil && outcomeOf(c.cmd, reply, outcomeOK) == outcomeOK && a.longer(keys) {
		return // as most of a pipeline's do
	}
	what := &auditRun{s: s, who: s.who, cmd: c.cmd, db: int(c.db), event: "command", outcome: outcomeUnanswered}
	if reply != nil {
		what.outcome = outcomeOf(c.cmd, reply, a.run.outcome)
	}
	if what.outcome == "NOPERM" || what.outcome == "NOAUTH" {
		what.event, what.reason = "refused", string(bytes.TrimSpace(reply[1:]))
	}
	a.record(what, keys)
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

func (a *auditor) refused(s *session, text string) {
	if p := s.remembered; p != nil && len(p.commands) > p.first && p.commands[len(p.commands)-1].seq == s.tail {
		return // it is recorded with its answer
	}
	if text == namespace.ErrSuspended.Error() {
		return // so is the login
	}
	cmd := a.cmd
	if cmd == nil {
		cmd = command.All()[s.last]
	}
	code, _, _ := strings.Cut(text, " ")
	a.record(&auditRun{s: s, who: s.who, cmd: cmd, db: s.db, event: "refused", outcome: code, reason: text}, nil)
}

// login records a login, or the attempt: who it would have been, if there is such a user.
func (a *auditor) login(s *session, who *namespace.Identity, err error) {
	if a == nil {
		return
	}
	outcome := outcomeOK
	if err != nil {
		outcome, _, _ = strings.Cut(err.Error(), " ")
	}
	a.record(&auditRun{s: s, who: who, event: "login", outcome: outcome}, nil)
}

// revoked records that a connection is closed since the client may not have it any more.
func (a *auditor) revoked(s *session) {
	if a != nil {
		a.record(&auditRun{s: s, who: s.who, event: "revoked", outcome: "closed"}, nil)
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
