package proxy

import (
	"errors"
	"math"

	"riptide-proxy/command"
	"riptide-proxy/namespace"
	"riptide-proxy/resp"
)

// ping is PING [message].
func ping(s *session, cmd *command.Command, r *namespace.Request) {
	if s.mode&modeSubscriber != 0 && len(r.Args) <= 2 {
		b := resp.AppendBulkString(resp.AppendArray(nil, 2), "pong")
		if len(r.Args) == 2 {
			s.answer(resp.AppendBulk(b, r.At(1)))
		} else {
			s.answer(resp.AppendBulkString(b, ""))
		}
		return
	}
	switch len(r.Args) {
	case 1:
		s.answer([]byte("+PONG\r\n"))
	case 2:
		s.answer(resp.AppendBulk(nil, r.At(1)))
	default:
		s.answerError("ERR wrong number of arguments for '" + cmd.Name + "' command")
	}
}

// echo is ECHO message.
func echo(s *session, _ *command.Command, r *namespace.Request) {
	s.answer(resp.AppendBulk(nil, r.At(1)))
}

// quit is QUIT.
func quit(s *session, _ *command.Command, _ *namespace.Request) {
	s.answer(ok)
	s.finish()
}

// clientID is CLIENT ID.
func clientID(s *session, _ *command.Command, _ *namespace.Request) {
	s.answer(resp.AppendInt(nil, int64(s.number)))
}

//lint:ignore ST1005 the words are Redis's
var errClientName = errors.New("ERR Client names cannot contain spaces, newlines or special characters.")

// validName admits what CLIENT LIST can show without ambiguity.
func validName(b []byte) bool {
	for _, c := range b {
		if c < '!' || c > '~' {
			return false
		}
	}
	return true
}

// clientSetName is CLIENT SETNAME name; an empty name takes it away.
func clientSetName(s *session, _ *command.Command, r *namespace.Request) {
	if !validName(r.At(2)) {
		s.answerError(errClientName.Error())
		return
	}
	s.name = string(r.At(2))
	s.answer(ok)
}

// clientGetName is CLIENT GETNAME.
func clientGetName(s *session, _ *command.Command, _ *namespace.Request) {
	if s.name == "" {
		s.answer(resp.AppendNull(nil, s.proto))
		return
	}
	s.answer(resp.AppendBulkString(nil, s.name))
}

// database reads the number of a database as the servers do.
func (s *session) database(arg []byte) (int, error) {
	n, isInt := resp.ParseInt(arg)
	switch {
	case !isInt:
		return 0, errors.New("ERR value is not an integer or out of range")
	case n < math.MinInt32 || n > math.MaxInt32:
		return 0, errors.New("ERR value is out of range, value must between -2147483648 and 2147483647")
	case n < 0 || n >= int64(s.who.Tenant.Databases):
		return 0, errors.New("ERR DB index is out of range")
	}
	return int(n), nil
}

// selectDB is SELECT index.
func selectDB(s *session, _ *command.Command, r *namespace.Request) {
	db, err := s.database(r.At(1))
	if err != nil {
		s.answerError(err.Error())
		return
	}
	s.use(db)
	s.answer(ok)
}

// copyKey is COPY source destination [DB destination-db] [REPLACE]. The
// tenant's databases are prefixes, so the copy stays in the upstream's one.
func copyKey(s *session, cmd *command.Command, r *namespace.Request) {
	to := s.prefix
	replace := false
	for i := 3; i < len(r.Args); i++ {
		switch {
		case fold(r.At(i), "REPLACE"):
			replace = true
		case fold(r.At(i), "DB") && i+1 < len(r.Args):
			i++
			db, err := s.database(r.At(i))
			if err != nil {
				s.answerError(err.Error())
				return
			}
			to = s.who.Tenant.Prefix(db)
		default:
			s.answerError("ERR syntax error")
			return
		}
	}
	args := [][]byte{r.At(0), join(s.prefix, r.At(1)), join(to, r.At(2))}
	if replace {
		args = append(args, []byte("REPLACE"))
	}
	s.compose(cmd, args...)
}

// moveKey is MOVE key db: a rename that does not replace.
func moveKey(s *session, cmd *command.Command, r *namespace.Request) {
	db, err := s.database(r.At(2))
	switch {
	case err != nil:
		s.answerError(err.Error())
	case db == s.db:
		s.answerError("ERR source and destination objects are the same")
	default:
		s.compose(cmd, []byte("RENAMENX"), join(s.prefix, r.At(1)), join(s.who.Tenant.Prefix(db), r.At(1)))
	}
}

// moved answers like MOVE where RENAMENX has an error for a key that is missing.
func moved(_ *session, _ *command.Command, reply []byte) []byte {
	if string(reply) == "-ERR no such key\r\n" {
		return []byte(":0\r\n")
	}
	return reply
}

// lolwut is LOLWUT. Its arguments make it draw as large a picture as one likes,
// for which everybody would have to wait.
func lolwut(s *session, cmd *command.Command, r *namespace.Request) { s.compose(cmd, r.At(0)) }

// restoreKey is RESTORE. A server that does not check the value it is to
// restore can be crashed with one that was made up.
func restoreKey(s *session, cmd *command.Command, r *namespace.Request) {
	if !s.w.sanitizes {
		s.answerError("NOPERM 'restore' is not available: the upstream does not check what it restores (sanitize-dump-payload)")
		return
	}
	s.send(cmd, r)
}

// compose sends a request that a handler made.
func (s *session) compose(cmd *command.Command, args ...[]byte) {
	if s.pin == nil && !s.holds() && s.link.Down() {
		s.unavailable(cmd)
		return
	}
	size := 32
	for _, a := range args {
		if len(a) > s.w.maxBulk {
			s.answerError(errTooLong)
			return
		}
		size += len(a) + 24
	}
	guard := s.copyGuard()
	if guard != nil && !s.holds() {
		b := guard.request(args[1:3], args)
		if s.pin != nil {
			s.give(cmd, b)
		} else if !s.sendMeasured(cmd, b, args[1:3], nil) {
			s.link.End(append(s.link.Begin(len(b)), b...), s.slot(cmd))
		}
		return
	}
	if s.pin != nil || s.holds() {
		s.give(cmd, resp.AppendRequest(s.room(size), args...))
		return
	}
	if s.measuring() && s.sendMeasured(cmd, resp.AppendRequest(nil, args...), args[1:3], nil) {
		return
	}
	s.link.End(resp.AppendRequest(s.link.Begin(size), args...), s.slot(cmd))
}

func join(a, b []byte) []byte { return append(append(make([]byte, 0, len(a)+len(b)), a...), b...) }
