package proxy

import (
	"errors"
	"io"
	"net"
	"net/netip"
	"strings"
	"syscall"
	"time"

	"riptide-proxy/audit"
	"riptide-proxy/command"
	"riptide-proxy/namespace"
	"riptide-proxy/tlsterm"
)

// What strangers are refused. They can try as often as they like, so only the first of what is alike gets a record of its own, and
// what follows is counted by address and reason, once a second. Who is somebody is recorded as often as it is refused.

// Outcomes of connections that were rejected: they have ended before anybody had logged in.
const (
	rejectedFull        = "full"        // there are limits.clients
	rejectedHandshake   = "handshake"   // of TLS, which has failed or taken too long
	rejectedCertificate = "certificate" // the client's is missing, or not good
	rejectedCrowded     = "crowded"     // its handshake has made room for another one
	rejectedHeader      = "header"      // who has to send a PROXY header has not
	rejectedProtocol    = "protocol"    // what was sent is no request, or one that strangers may not send
	rejectedTimeout     = "timeout"     // nobody has logged in within limits.auth_timeout
)

// stranger records what a session was refused that may be anybody's.
func (a *auditor) stranger(what *auditRun) {
	e := audit.Event{Event: what.event, Client: what.s.network(), Outcome: what.outcome, Reason: what.reason}
	if what.who != nil {
		e.Tenant, e.User = what.who.Tenant.ID, what.who.User
	}
	if a.refusals.Add(e) {
		a.record(what)
	}
}

// network is the client's address as refusals are counted by.
func (s *session) network() string {
	last := s.subjectOf()
	if last.network == "" {
		if last.network = s.socket(); last.network == "" {
			last.network = audit.Network(s.conn.Peer().Addr())
		}
	}
	return last.network
}

// rejected records that a connection has ended which never was a session. One that has no address came by the
// unix socket.
func (a *auditor) rejected(from netip.AddrPort, outcome, reason string) {
	if a == nil {
		return
	}
	e := audit.Event{Event: "rejected", Client: audit.Network(from.Addr()), Outcome: outcome}
	client := from.String()
	if !from.IsValid() {
		e.Client = socketPeer(a.w.srv.doors.socket)
		client = e.Client
	}
	if a.refusals.Add(e) {
		e.Client, e.Reason = client, reason
		a.event(e)
	}
}

// rejectedSession is rejected for a session, unless somebody has logged in there.
func (a *auditor) rejectedSession(s *session, outcome, reason string) {
	if a != nil && s.who == nil {
		a.stranger(&auditRun{s: s, event: "rejected", outcome: outcome, reason: reason})
	}
}

// counted records how many refusals were like those that were recorded. It is to be called once a second.
func (a *auditor) counted() { a.refusals.Take(a.event) }

// event records something that comes from no session.
func (a *auditor) event(e audit.Event) {
	a.settleAll()
	a.room()
	a.buf = audit.AppendEvent(a.buf, time.Now(), e)
	a.records++
}

func (a *auditor) refused(s *session, text string) {
	if p := s.remembered; p != nil {
		if last := p.runs[len(p.runs)-1]; last.seq+last.n-1 == s.tail {
			return // it is recorded with its answer
		}
	}
	if text == namespace.ErrSuspended.Error() {
		return // so is the login
	}
	cmd := a.cmd
	if cmd == nil {
		cmd = command.All()[s.last]
	}
	code, _, _ := strings.Cut(text, " ")
	what := &auditRun{s: s, who: s.who, cmd: cmd, db: s.db, event: "refused", outcome: code, reason: text}
	if s.who == nil {
		a.stranger(what)
	} else {
		a.record(what)
	}
}

// elsewhereReason tells what nobody is told who is refused for it.
const elsewhereReason = "the client is not where the tenant's may be, or has another one's certificate"

// login records a login, or the attempt: who it would have been, if there is such a user.
func (a *auditor) login(s *session, who *namespace.Identity, err error) {
	switch {
	case a == nil:
	case err == nil:
		a.record(&auditRun{s: s, who: who, event: "login", outcome: outcomeOK})
	default:
		outcome, reason, _ := strings.Cut(err.Error(), " ")
		switch err {
		case namespace.ErrWrongPass:
			reason = ""
		case namespace.ErrElsewhere:
			reason = elsewhereReason
		}
		a.stranger(&auditRun{s: s, who: who, event: "login", outcome: outcome, reason: reason})
	}
}

// turnedAway records a handshake that has failed. It is called by the goroutine of that one. Who has gone by
// itself was not refused anything, as those who only look whether the port is open.
func (s *Server) turnedAway(a arrival, noHeader bool, err error) {
	if s.audit == nil || errors.Is(err, net.ErrClosed) || errors.Is(err, io.EOF) || errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE) {
		return
	}
	outcome := rejectedHandshake
	switch {
	case noHeader:
		outcome = rejectedHeader
	case errors.Is(err, tlsterm.ErrCrowded):
		outcome = rejectedCrowded
	case tlsterm.OfCertificate(err):
		outcome = rejectedCertificate
	}
	w := s.workers[0]
	w.loop.Post(func() { w.audit.rejected(a.peer, outcome, err.Error()) })
}
