package proxy

import (
	"bytes"
	"log/slog"

	"riptide-proxy/command"
	"riptide-proxy/namespace"
	"riptide-proxy/resp"
)

// COMMAND and its subcommands are answered by the upstream, which knows best
// what its commands are like. The tenant asks for those it may use, and for
// nothing else.

// usable reports whether tenants may use a command. A container is there when
// one of its subcommands is.
func usable(cmd *command.Command) bool {
	if cmd.Container() {
		for _, sub := range cmd.Subs {
			if usable(sub) {
				return true
			}
		}
		return false
	}
	return !cmd.Later && cmd.Run != command.Refused
}

// visible is usable for a name in COMMAND's spelling.
func visible(name []byte) bool {
	container, sub, isSub := bytes.Cut(name, []byte("|"))
	cmd := command.Lookup(container)
	if cmd != nil && isSub {
		cmd = cmd.Sub(sub)
	}
	return cmd != nil && usable(cmd)
}

// usableRows are the commands, without subcommands, that the tenant may use
// and the upstream has.
func (w *worker) usableRows() (rows []*command.Command) {
	for _, cmd := range command.All() {
		if cmd.Parent == nil && usable(cmd) && (w.known == nil || w.known[cmd.ID]) {
			rows = append(rows, cmd)
		}
	}
	return rows
}

// commandAll is COMMAND.
func commandAll(s *session, cmd *command.Command, _ *namespace.Request) {
	s.askFor(cmd, []byte("COMMAND"), []byte("INFO"))
}

// commandSome is COMMAND INFO or DOCS [command-name ...]: without names all
// that there are.
func commandSome(s *session, cmd *command.Command, r *namespace.Request) {
	if len(r.Args) == 2 {
		s.askFor(cmd, r.At(0), r.At(1))
		return
	}
	if len(r.Args) > 2+command.Count() {
		s.answerError("ERR there are not that many commands") // a name asked for again and again is answered as often
		return
	}
	args := make([][]byte, len(r.Args))
	for i := range args {
		args[i] = r.At(i)
		if i >= 2 && !visible(args[i]) {
			args[i] = []byte("-") // which is no command's name
		}
	}
	s.compose(cmd, args...)
}

func (s *session) askFor(cmd *command.Command, args ...[]byte) {
	for _, row := range s.w.usableRows() {
		args = append(args, []byte(row.Name))
	}
	s.compose(cmd, args...)
}

// commandCount is COMMAND COUNT.
func commandCount(s *session, _ *command.Command, _ *namespace.Request) {
	s.answer(resp.AppendInt(nil, int64(len(s.w.usableRows()))))
}

// hideNames filters what COMMAND LIST says.
func hideNames(s *session, cmd *command.Command, reply []byte) []byte {
	if reply[0] == '-' {
		return reply
	}
	var err error
	s.w.reply, err = resp.Filter(s.w.reply[:0], reply, func(_ int, name []byte) bool {
		return visible(resp.First(name))
	})
	if err != nil {
		return s.garbled(cmd, err)
	}
	return s.w.reply
}

// garbled is the answer when the upstream's reply is not what it can be: rather
// nothing than something that may not be the tenant's.
func (s *session) garbled(cmd *command.Command, err error) []byte {
	slog.Error("unexpected reply from the upstream", "command", cmd.Name, "tenant", s.who.Tenant.ID, "error", err)
	s.w.reply = resp.AppendError(s.w.reply[:0], "ERR unexpected reply from the upstream")
	return s.w.reply
}

// onlyDocs answers nothing for a server that does not have COMMAND DOCS and
// says something else: redis-cli would end over it.
func onlyDocs(s *session, _ *command.Command, reply []byte) []byte {
	if reply[0] == '-' || reply[0] == '%' {
		return reply
	}
	if fields, ok := resp.Fields(nil, reply); ok && len(fields) > 0 && fields[0][0] != '*' {
		return reply
	}
	s.w.reply = resp.AppendMap(s.w.reply[:0], s.proto, 0)
	return s.w.reply
}
