package proxy

import (
	"fmt"

	"riptide-proxy/command"
	"riptide-proxy/namespace"
	"riptide-proxy/namespace/acl"
	"riptide-proxy/resp"
)

// aclUser finds the user that a client asks about: itself, or, if it may do everything itself, any of its tenant's. name is
// what AUTH takes. ok is false for all others, be they there or not.
func (s *session) aclUser(name []byte) (rules *acl.Rules, ok bool) {
	if string(name) == s.user() {
		return s.rules, true
	}
	who := s.w.conf.directory.Named(name)
	if s.rules != nil || who == nil || who.Tenant != s.who.Tenant {
		return nil, false
	}
	return who.Rules, true
}

// aclGetUser is ACL GETUSER username. Nobody is told of secrets, not even hashes.
func aclGetUser(s *session, _ *command.Command, r *namespace.Request) {
	rules, known := s.aclUser(r.At(2))
	if !known {
		s.answer(resp.AppendNull(nil, s.proto))
		return
	}
	own, others := acl.Selector{Commands: "+@all", Keys: "~*", Channels: "&*"}, []acl.Selector(nil)
	if rules != nil {
		all := rules.Selectors()
		own, others = all[0], all[1:]
	}
	b := resp.AppendMap(nil, s.proto, 6)
	b = resp.AppendBulkString(b, "flags")
	b = resp.AppendSet(b, s.proto, 1)
	b = resp.AppendBulkString(b, "on")
	b = resp.AppendBulkString(b, "passwords")
	b = resp.AppendArray(b, 0)
	b = appendSelector(b, own)
	b = resp.AppendBulkString(b, "selectors")
	b = resp.AppendArray(b, len(others))
	for _, o := range others {
		b = appendSelector(resp.AppendMap(b, s.proto, 3), o)
	}
	s.answer(b)
}

func appendSelector(b []byte, d acl.Selector) []byte {
	for _, pair := range [][2]string{{"commands", d.Commands}, {"keys", d.Keys}, {"channels", d.Channels}} {
		b = resp.AppendBulkString(resp.AppendBulkString(b, pair[0]), pair[1])
	}
	return b
}

// aclDryRun is ACL DRYRUN username command [arg ...].
func aclDryRun(s *session, _ *command.Command, r *namespace.Request) {
	rules, known := s.aclUser(r.At(2))
	if !known {
		s.answerError("ERR User '" + string(quoted(r.At(2), 128)) + "' not found")
		return
	}
	asked := &namespace.Request{Raw: r.Raw, Args: r.Args[3:]}
	cmd := command.Lookup(asked.At(0))
	if cmd != nil && cmd.Subs != nil && asked.Len() > 1 {
		cmd = cmd.Sub(asked.At(1))
	}
	switch {
	case cmd == nil || !s.w.knows(cmd):
		s.answerError("ERR Command '" + string(quoted(asked.At(0), 128)) + "' not found")
		return
	case !cmd.AcceptsArity(asked.Len()):
		s.answerError("ERR wrong number of arguments for '" + cmd.Name + "' command")
		return
	case rules == nil:
		s.answer(ok)
		return
	}
	verdict, at, scratch := rules.Check(cmd, asked, s.w.indexes)
	s.w.indexes = scratch
	if verdict == acl.Allowed {
		s.answer(ok)
		return
	}
	who := "User " + string(r.At(2))
	if _, version := s.w.srv.self(); before72(version) {
		who = "This user"
	}
	var text []byte
	switch verdict {
	case acl.NoKey:
		text = fmt.Appendf(nil, "%s has no permissions to access the '%s' key", who, asked.At(at))
	case acl.NoChannel:
		text = fmt.Appendf(nil, "%s has no permissions to access the '%s' channel", who, asked.At(at))
	default:
		text = fmt.Appendf(nil, "%s has no permissions to run the '%s' command", who, cmd.Name)
	}
	s.answer(resp.AppendBulk(nil, text))
}
