package proxy

import (
	"time"

	"riptide-proxy/audit"
	"riptide-proxy/command"
	"riptide-proxy/config"
	"riptide-proxy/namespace"
)

// What loops tell the audit log. A loop has an auditor only where there is such a log, so that without one
// a command costs a comparison with nil. The auditor gathers records in the loop's own memory and hands them over at the end of a
// turn, when there are many or when they have waited long enough.
//
// A command is remembered from when it is taken until it is answered, since a record tells its outcome. Commands of
// one session that follow each other with the same name and the same outcome share a record if they are answered in
// the same turn, and where there are many commands within alikeTime: with most of them there is little more to do than to keep the
// name of the key, and a record is larger than what it tells.

// auditLevels are what commands are compared with.
var auditLevels = map[config.AuditLevel]command.Audit{
	config.AuditNone: command.AuditNone, config.AuditAdmin: command.AuditAdmin, config.AuditWrite: command.AuditWrite, config.AuditAll: command.AuditAll,
}

// openAudit opens the audit log of a configuration; nil if it has none.
func openAudit(c *config.Audit) (*audit.Log, error) {
	if c.Dir == "" {
		return nil, nil
	}
	return audit.Open(audit.Options{Dir: c.Dir, Secret: []byte(c.Secret.Reveal()), Buffer: int64(c.Buffer), Retention: retentionOf(c)})
}

func retentionOf(c *config.Audit) audit.Retention {
	return audit.Retention{
		Sync: time.Duration(c.Sync), RotateSize: int64(c.RotateSize), RotateEvery: time.Duration(c.RotateEvery), KeepFiles: c.KeepFiles, KeepFor: time.Duration(c.KeepFor),
	}
}

// Audit is the audit log, nil if there is none, for those who have something else to record. It is open until it is
// closed, by whoever has shut the server down and has nothing more to record.
func (s *Server) Audit() *audit.Log { return s.audit }

// auditor is a loop's part in the audit log.
type auditor struct {
	w     *worker
	log   *audit.Log
	level command.Audit  // commands up to it are recorded
	names bool           // of keys are
	hash  *audit.KeyHash // nil: they are recorded as they are

	buf     []byte // records, but for their numbers
	records int
	began   int64 // loop's clock when the first came into buf

	run    auditRun // the record at the end of buf, while it may become longer
	open   bool     // there is one
	listed bool     // it has a list of keys
	count  int      // of commands that it is about
	start  int      // where it begins

	stamp    audit.Stamp
	time     []byte // of this turn
	stamped  int64  // loop's clock at which it was made
	indexes  []int32
	spare    []*remembered
	settling []*session // some of whose commands are answered that are not recorded yet
	since    int64      // loop's clock when the first came there
	waits    bool       // there is a timer for them

	busy   bool             // there are so many commands that those of several turns share records
	made   int              // commands that were recorded
	window int64            // since the loop's clock was this
	cmd    *command.Command // that is being rejected

	refusals audit.Refusals // of strangers
}

// auditRun is what the commands of one record have in common.
type auditRun struct {
	s       *session
	who     *namespace.Identity
	cmd     *command.Command
	db      int
	event   string
	outcome string
	reason  string
}

// Outcomes that are not an error's code.
const (
	outcomeOK         = "ok"
	outcomeQueued     = "queued"     // between MULTI and EXEC
	outcomeAborted    = "aborted"    // EXEC, since a watched key has changed
	outcomeUnanswered = "unanswered" // the connection was closed before
)

func newAuditor(w *worker) *auditor {
	if w.srv.audit == nil {
		return nil
	}
	a := &auditor{w: w, log: w.srv.audit, buf: make([]byte, 0, 2*audit.ChunkSize), stamped: -1}
	a.apply(&w.srv.conf().cfg.Audit)
	return a
}

// apply goes by a configuration: by all of it but where the log is, with which secret and how much may wait, which
// only a start can change.
func (a *auditor) apply(c *config.Audit) {
	if a == nil {
		return
	}
	a.settleAll()
	a.level, a.names, a.hash = auditLevels[c.Level], c.Keys != config.NoKeys, nil
	if c.Keys != config.HashedKeys {
		return
	}
	if secret := a.w.srv.auditSecret; len(secret) > 0 {
		a.hash = audit.NewKeyHash(secret)
	} else {
		a.names = false // rather than in plain
	}
}

// flush is for the end of a turn.
func (a *auditor) flush() {
	if len(a.settling) > 0 {
		switch waited := time.Duration(a.w.loop.Now() - a.since); {
		case !a.busy, waited >= alikeTime:
			a.settleAll()
		case !a.waits:
			a.waits = true
			a.w.loop.After(alikeTime-waited, func() {}) // has the loop take a turn, if it would sleep
		}
	}
	if a.open {
		a.endRun()
	}
	switch waited := time.Duration(a.w.loop.Now() - a.began); {
	case len(a.buf) == 0:
	case len(a.buf) >= audit.ChunkSize, waited >= audit.ChunkTime && (waited >= 10*audit.ChunkTime || !a.log.Crowded()):
		a.hand()
	}
}

func (a *auditor) hand() {
	a.buf = a.log.Hand(a.buf, a.records)
	a.records = 0
}

// close is for the end of the loop.
func (a *auditor) close() {
	if a == nil {
		return
	}
	a.settleAll()
	a.counted()
	if a.open {
		a.endRun()
	}
	if len(a.buf) > 0 {
		a.hand()
	}
}
