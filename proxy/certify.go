package proxy

import (
	"log/slog"

	"riptide-proxy/namespace"
)

// peer is the client's address as it is told.
func (s *session) peer() string {
	if path := s.socket(); path != "" {
		return path
	}
	return s.conn.Peer().String()
}

// local is the address that the client has connected to, as it is told.
func (s *session) local() string {
	if path := s.socket(); path != "" {
		return path
	}
	return s.localAddr().String()
}

// socket is what Redis calls a client of a unix socket; empty: it came another way.
func (s *session) socket() string {
	if s.entry == nil || s.entry.socket == "" {
		return ""
	}
	return socketPeer(s.entry.socket)
}

func socketPeer(path string) string { return path + ":0" }

// source is where the client is, for the directory.
func (s *session) source() namespace.Source {
	from := namespace.Source{Addr: s.conn.Peer().Addr()}
	if s.entry != nil {
		from.Unix, from.Names = s.entry.socket != "", s.entry.names
	}
	return from
}

// elsewhere notes a login that was refused for where the client is. Anybody can have that happen as often as they
// like, so the log has it at the level debug only.
func (s *session) elsewhere(err error) {
	if err == namespace.ErrElsewhere {
		s.w.srv.doors.elsewhere.Add(1)
		slog.Debug("login refused: not from there, or not with that certificate", "client", s.peer())
	}
}

// certify makes the session whom its certificate is for, if it has one that is for somebody. Who
// may not be that is told so, and its connection ends.
func (s *session) certify() {
	if s.entry == nil || len(s.entry.names) == 0 {
		return
	}
	refuse := func(text string) {
		s.answerError(text)
		s.finish()
	}
	dir := s.w.conf.directory
	who, proof, err := dir.Certified(s.entry.names)
	if err == nil && who != nil {
		err = dir.Admits(who, s.source())
	}
	switch {
	case err != nil:
		s.elsewhere(err)
		s.w.audit.login(s, who, err)
		slog.Info("login by certificate refused", "client", s.peer(), "names", s.entry.names, "error", err)
		refuse(err.Error())
	case who != nil:
		s.loggedIn(who, credential{proof: proof}, func() {}, refuse)
	default:
		slog.Debug("nobody has this certificate", "client", s.peer(), "names", s.entry.names)
	}
}

// certifyAgain closes the connections whose certificates are for somebody else now.
func (w *worker) certifyAgain() {
	for _, s := range w.sessions {
		if s.who == nil || s.entry == nil || len(s.entry.names) == 0 {
			continue
		}
		if w.conf.directory.Admits(s.who, s.source()) != nil {
			s.w.audit.revoked(s)
			s.conn.Close(errRevoked)
		}
	}
}
