package proxy

import (
	"strconv"
	"time"

	"riptide-proxy/audit"
	"riptide-proxy/command"
	"riptide-proxy/namespace"
)

const (
	// maxRun is how many commands share a record, and runSize how long it may be, in bytes, to become longer.
	maxRun  = 1000
	runSize = 8 << 10
)

// record records something that is not about keys.
func (a *auditor) record(what *auditRun) {
	a.settleAll()
	a.put(what, nil, 1)
}

// put records that n commands had an outcome. keys are the names of theirs, as they are to be
// written, each with a comma before it.
func (a *auditor) put(what *auditRun, keys []byte, n int) {
	a.made += n
	now := a.w.loop.Now()
	if d := time.Duration(now - a.window); d >= busyTime {
		a.busy = a.made >= busyCommands && d < 2*busyTime
		a.made, a.window = 0, now
	}
	if a.open && a.run == *what && a.longer(keys, n) {
		return
	}
	a.begin(what)
	a.run, a.open, a.count = *what, true, n
	if a.listed = len(keys) > 0; a.listed {
		if what.cmd.Channels {
			a.buf = append(a.buf, `,"channels":[`...)
		} else {
			a.buf = append(a.buf, `,"keys":[`...)
		}
		a.buf = append(a.buf, keys[1:]...)
	}
}

// longer makes the record at the end of the buffer be about n commands more, and reports whether it has room for that.
func (a *auditor) longer(keys []byte, n int) bool {
	if len(keys) > 0 && !a.listed || a.count+n > maxRun || len(a.buf)-a.start >= runSize {
		return false
	}
	a.count += n
	a.buf = append(a.buf, keys...)
	return true
}

// room ends the record at the end of the buffer, and makes room for another one.
func (a *auditor) room() {
	if a.open {
		a.endRun()
	}
	if len(a.buf) >= audit.ChunkSize {
		a.hand()
	}
	if len(a.buf) == 0 {
		a.began = a.w.loop.Now()
		a.w.loop.After(audit.ChunkTime, func() {}) // has the loop take a turn, if it would sleep
	}
}

// begin begins a record.
func (a *auditor) begin(what *auditRun) {
	a.room()
	now := a.w.loop.Now()
	if a.stamped != now {
		a.time, a.stamped = a.stamp.Of(time.Now()), now
	}
	a.start = len(a.buf)
	b := append(a.buf, `{"time":"`...)
	b = append(b, a.time...)
	if what.s != nil {
		b = append(b, what.s.subject(what)...)
	} else {
		b = what.appendSubject(b, nil)
	}
	a.buf = b
}

// endRun ends the record at the end of the buffer.
func (a *auditor) endRun() {
	b := a.buf
	if a.listed {
		b = append(b, ']')
	}
	if a.count > 1 {
		b = append(b, `,"count":`...)
		b = strconv.AppendInt(b, int64(a.count), 10)
	}
	b = append(b, `,"outcome":"`...)
	b = append(b, a.run.outcome...)
	b = append(b, '"')
	if a.run.reason != "" {
		b = append(b, `,"reason":`...)
		b = audit.AppendQuoted(b, a.run.reason)
	}
	a.buf = append(b, "}\n"...)
	a.records++
	a.open, a.run = false, auditRun{}
}

// overQuota records what became of a tenant's commands and connections because of its quotas.
func (a *auditor) overQuota(t *tenantStats, throttled, refused uint64) {
	a.settleAll()
	if a.open {
		a.endRun()
	}
	a.begin(&auditRun{event: "quota"})
	b := append(a.buf, `,"tenant":"`...)
	b = append(b, t.id...)
	b = append(b, `","throttled":`...)
	b = strconv.AppendUint(b, throttled, 10)
	b = append(b, `,"refused":`...)
	b = strconv.AppendUint(b, refused, 10)
	if t.audited.reason != "" {
		b = append(b, `,"reason":`...)
		b = audit.AppendQuoted(b, t.audited.reason)
	}
	a.buf = append(b, "}\n"...)
	a.records++
}

// subject is what a session's records say first, as it is written: those of the same command follow each other.
type subject struct {
	event  string
	who    *namespace.Identity
	cmd    *command.Command
	db     int
	text   []byte
	client []byte // address

	network string // that refusals are counted by; empty: none were
}

func (s *session) subjectOf() *subject {
	if s.audited == nil {
		s.audited = &subject{client: audit.AppendQuoted(nil, s.peer())}
	}
	return s.audited
}

// subject returns the fields that tell what happened, who the session is, or would have been, and the command.
func (s *session) subject(what *auditRun) []byte {
	last := s.subjectOf()
	if last.text == nil || last.who != what.who || last.cmd != what.cmd || last.db != what.db || last.event != what.event {
		last.event, last.who, last.cmd, last.db = what.event, what.who, what.cmd, what.db
		last.text = what.appendSubject(last.text[:0], last.client)
	}
	return last.text
}

func (what *auditRun) appendSubject(b, client []byte) []byte {
	b = append(b, `","event":"`...)
	b = append(b, what.event...)
	b = append(b, '"')
	if what.who != nil {
		b = append(b, `,"tenant":`...)
		b = audit.AppendQuoted(b, what.who.Tenant.ID)
		b = append(b, `,"user":`...)
		b = audit.AppendQuoted(b, what.who.User)
	}
	if client != nil {
		b = append(b, `,"client":`...)
		b = append(b, client...)
	}
	if what.cmd != nil {
		if what.who != nil {
			b = append(b, `,"db":`...)
			b = strconv.AppendInt(b, int64(what.db), 10)
		}
		b = append(b, `,"command":"`...)
		b = append(b, what.cmd.Name...)
		b = append(b, '"')
	}
	return b
}
