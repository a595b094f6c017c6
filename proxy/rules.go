package proxy

import (
	"errors"
	"strconv"
	"strings"

	"riptide-proxy/command"
	"riptide-proxy/namespace"
	"riptide-proxy/namespace/acl"
	"riptide-proxy/resp"
)

// A user with rules has each of its commands checked when it comes, before anything else is done about it: whichever way
// it takes from there, and however often it runs again. What is not known then is checked elsewhere: what a script calls
// by the upstream, see wall.go; what SORT looks at besides its keys, which is an error of the command's own in Redis; and
// whether the rules are still the same at EXEC.

// denied answers a command that the user's rules do not allow.
func (s *session) denied(cmd *command.Command, r *namespace.Request) bool {
	verdict, at, scratch := s.rules.Check(cmd, r, s.w.indexes)
	s.w.indexes = scratch
	if verdict != acl.Allowed {
		s.noteDenied(verdict, cmd, r, at)
		s.reject(cmd, s.w.srv.noPermission(verdict, s.user(), cmd))
		return true
	}
	if s.tx != nil || !cmd.Patterns {
		return false
	}
	text := s.deniedSort(cmd, r)
	if text != "" {
		s.count(cmd)
		s.answerError(text)
	}
	return text != ""
}

// deniedSort is why SORT may not look at the keys whose names it is to make; "" if it may.
func (s *session) deniedSort(cmd *command.Command, r *namespace.Request) string {
	option := command.SortPattern(r)
	if option == "" {
		return ""
	}
	may, scratch := s.rules.ReadsAnyKey(cmd, r, s.w.indexes)
	if s.w.indexes = scratch; may {
		return ""
	}
	return "ERR " + option + " option of SORT denied due to insufficient ACL permissions."
}

// queueSort has SORT fail at EXEC, if it does.
func (s *session) queueSort(cmd *command.Command, r *namespace.Request) bool {
	text := s.deniedSort(cmd, r)
	if text != "" {
		s.stand(queuedCommand{cmd: cmd, reply: resp.AppendError(nil, text)})
	}
	return text != ""
}

// noPermission is a refusal in the words that the upstream's version has for it.
func (srv *Server) noPermission(v acl.Verdict, user string, cmd *command.Command) string {
	if _, version := srv.self(); before72(version) {
		switch v {
		case acl.NoKey:
			return "NOPERM this user has no permissions to access one of the keys used as arguments"
		case acl.NoChannel:
			return "NOPERM this user has no permissions to access one of the channels used as arguments"
		}
		return "NOPERM this user has no permissions to run the '" + cmd.Name + "' command"
	}
	switch v {
	case acl.NoKey:
		return "NOPERM No permissions to access a key"
	case acl.NoChannel:
		return "NOPERM No permissions to access a channel"
	}
	return "NOPERM User " + user + " has no permissions to run the '" + cmd.Name + "' command"
}

// before72 reports whether a server of that version has the older words.
func before72(version string) bool {
	major, minor, _ := strings.Cut(version, ".")
	n, err := strconv.Atoi(major)
	return err == nil && (n < 7 || n == 7 && strings.HasPrefix(minor, "0."))
}

// reruled has other rules be in effect for a session that is somebody already. What is queued in a transaction was checked
// by the old ones, so it does not run; and who hears what the new ones do not allow is closed, as Redis does it with
// subscribers. It is true for one that waits in a command which was checked by the old ones: that is to end.
func (s *session) reruled(rules *acl.Rules) (waits bool) {
	if rules == s.rules {
		return false
	}
	s.rules = rules
	if s.tx != nil {
		s.tx.aborted = true
	}
	if rules == nil {
		return false
	}
	if s.subs != nil && !s.mayHear() || s.mode&modeMonitor != 0 && !rules.MayRun(monitorRow) || s.tracking && !rules.MayRun(trackingRow) {
		s.w.audit.revoked(s)
		s.conn.Close(errDeaf)
		return false
	}
	return s.blocked > 0
}

var (
	errDeaf     = errors.New("the user's rules do not allow what it hears any more")
	monitorRow  = command.Lookup([]byte("monitor"))
	trackingRow = command.Named("client|tracking")
)

// mayHear reports whether the rules allow all subscriptions.
func (s *session) mayHear() bool {
	for kind := range kinds {
		for name := range s.subs.names[kind] {
			if !s.rules.MayHear(name, kind == patterns) {
				return false
			}
		}
	}
	return true
}
