package proxy

import (
	"riptide-proxy/command"
	"riptide-proxy/resp"
)

// standIn sends a PING in place of which the client gets an answer of the
// proxy's: so it comes behind the messages that commands before it have caused.
func (s *session) standIn(reply []byte) {
	s.standing = append(s.standing, append([]byte(nil), reply...))
	s.parkedBytes += len(reply)
	s.pin.End(resp.AppendRequest(s.pin.Begin(32), "PING"), s.noted(pingRow, noteStand))
}

// stood takes the next answer that a PING stands for.
func (s *session) stood() []byte {
	own := s.standing[0]
	s.standing[0] = nil
	if s.standing = s.standing[1:]; len(s.standing) == 0 {
		s.standing = nil
	}
	s.parkedBytes -= len(own)
	return own
}

var pingRow = command.Lookup([]byte("ping"))
