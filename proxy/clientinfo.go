package proxy

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"riptide-proxy/command"
	"riptide-proxy/namespace"
	"riptide-proxy/resp"
)

// about is what a session remembers only to tell it to its tenant.
type about struct {
	libName, libVer string
	local           netip.AddrPort // the address it came to, once asked for
	noEvict         bool
	noTouch         bool
}

// localAddr is the address that the client has connected to. For one that came by the unix socket it has
// port 0.
func (s *session) localAddr() netip.AddrPort {
	if !s.about.local.IsValid() {
		if s.about.local = s.conn.Local(); s.socket() != "" {
			s.about.local = netip.AddrPortFrom(netip.IPv4Unspecified(), 0)
		}
	}
	return s.about.local
}

// clientLine is a client as CLIENT LIST shows it, copied so that it can be
// formatted off the loop.
type clientLine struct {
	id                  uint64
	addr, local         netip.AddrPort
	socket              string // in place of both
	name, user, flags   string
	age, idle           time.Duration
	db, sub, psub, ssub int
	multi, watch        int
	buffered, unsent    int
	cmd                 string
	redir               int64
	proto               int
	libName, libVer     string
	kind                clientKind
}

// clientKind is the type that CLIENT LIST and KILL can choose by.
type clientKind uint8

const (
	kindNormal clientKind = iota
	kindMaster            // no client of a tenant is one
	kindReplica
	kindPubSub
)

func parseKind(name []byte) (clientKind, bool) {
	for i, names := range [][]string{{"normal"}, {"master"}, {"replica", "slave"}, {"pubsub"}} {
		for _, n := range names {
			if fold(name, n) {
				return clientKind(i), true
			}
		}
	}
	return 0, false
}

func errKind(name []byte) string {
	return "ERR Unknown client type '" + string(quoted(name, 128)) + "'"
}

// line describes the session.
func (s *session) line() clientLine {
	now := s.w.loop.Now()
	line := clientLine{
		id: s.number, addr: s.conn.Peer(), local: s.localAddr(), socket: s.socket(),
		name: s.name, user: s.user(), flags: s.flags(), kind: s.kind(),
		age: time.Duration(now - s.born), idle: time.Duration(now - s.conn.LastInput()),
		db: s.db, multi: -1, buffered: s.conn.Buffered(), unsent: s.conn.Unsent(),
		cmd: lastCommand(s).Name, redir: -1, proto: s.proto, libName: s.about.libName, libVer: s.about.libVer,
	}
	if s.subs != nil {
		line.sub, line.psub, line.ssub = len(s.subs.names[channels]), len(s.subs.names[patterns]), len(s.subs.names[shards])
	}
	if s.tx != nil {
		line.multi = len(s.tx.queue)
	}
	if s.watching {
		line.watch = 1
	}
	if s.tracking {
		line.redir = s.redirect // 0: to itself
	}
	return line
}

// user is the name that the session could log in by.
func (s *session) user() string { return nameOf(s.who) }

// nameOf is the name that AUTH takes.
func nameOf(who *namespace.Identity) string {
	if who.User == "default" {
		return who.Tenant.ID
	}
	return who.Tenant.ID + "." + who.User
}

func (s *session) kind() clientKind {
	if s.subs != nil {
		return kindPubSub
	}
	return kindNormal
}

// waits reports whether the session waits for something that may take long:
// an element, or the end of a pause.
func (s *session) waits() bool {
	return s.blocked > 0 || s.mode&modePaused != 0 && s.held && s.wantIdle
}

// flags are the letters of CLIENT LIST, in Redis's order.
func (s *session) flags() string {
	var b []byte
	for _, f := range []struct {
		letter byte
		on     bool
	}{
		{'O', s.mode&modeMonitor != 0},
		{'P', s.subs != nil},
		{'x', s.tx != nil},
		{'b', s.waits()},
		{'t', s.tracking},
		{'c', s.leaving},
		{'U', s.socket() != ""},
		{'e', s.about.noEvict},
		{'T', s.about.noTouch},
	} {
		if f.on {
			b = append(b, f.letter)
		}
	}
	if b == nil {
		return "N"
	}
	return string(b)
}

func lastCommand(s *session) *command.Command { return command.All()[s.last] }

// append writes the line as the upstream's version of Redis does. What only a
// server knows is 0, and the descriptor, which would tell how many connections
// others have, is -1.
func (c *clientLine) append(b []byte, v command.Server) []byte {
	addr, local := c.socket, c.socket
	if c.socket == "" {
		addr, local = c.addr.String(), c.local.String()
	}
	b = fmt.Appendf(b, "id=%d addr=%s laddr=%s fd=-1 name=%s age=%d idle=%d flags=%s db=%d sub=%d psub=%d ssub=%d multi=%d",
		c.id, addr, local, c.name, int64(c.age.Seconds()), int64(c.idle.Seconds()), c.flags, c.db, c.sub, c.psub, c.ssub, c.multi)
	if v.AtLeast("redis", 7, 4) || v.AtLeast("valkey", 8, 0) {
		b = fmt.Appendf(b, " watch=%d", c.watch)
	}
	waits, events := 0, "r"
	if c.unsent > 0 {
		waits, events = 1, "rw"
	}
	b = fmt.Appendf(b, " qbuf=%d qbuf-free=0 argv-mem=0 multi-mem=0 rbs=0 rbp=0 obl=0 oll=%d omem=%d tot-mem=%d events=%s cmd=%s user=%s redir=%d resp=%d",
		c.buffered, waits, c.unsent, clientMemory+c.buffered+c.unsent, events, c.cmd, c.user, c.redir, c.proto)
	if v.AtLeast("redis", 7, 2) || v.AtLeast("valkey", 7, 2) {
		b = fmt.Appendf(b, " lib-name=%s lib-ver=%s", c.libName, c.libVer)
	}
	return b
}

// clientMemory is about what an idle session takes.
const clientMemory = 2 << 10

// version is the upstream's, for formats that depend on it.
func (s *Server) version() command.Server {
	product, text := s.self()
	v := command.Server{Product: product}
	fmt.Sscanf(text, "%d.%d", &v.Major, &v.Minor)
	return v
}

// maxClientArgs bounds how often a client can be asked for.
const maxClientArgs = 16 << 10

// clientInfo is CLIENT INFO.
func clientInfo(s *session, _ *command.Command, _ *namespace.Request) {
	line := s.line()
	b := append(line.append(nil, s.w.srv.version()), '\n')
	s.answer(resp.AppendVerbatim(nil, s.proto, "txt", string(b)))
}

// clientList is CLIENT LIST [TYPE type | ID id ...].
func clientList(s *session, _ *command.Command, r *namespace.Request) {
	var ids []int64
	kind, byKind := kindNormal, false
	switch n := len(r.Args); {
	case n == 4 && fold(r.At(2), "TYPE"):
		if kind, byKind = parseKind(r.At(3)); !byKind {
			s.answerError(errKind(r.At(3)))
			return
		}
	case n > maxClientArgs:
		s.answerError("ERR there are not that many clients")
		return
	case n > 3 && fold(r.At(2), "ID"):
		for i := 3; i < n; i++ {
			id, isInt := resp.ParseInt(r.At(i))
			if !isInt {
				s.answerError("ERR Invalid client ID")
				return
			}
			ids = append(ids, id)
		}
	case n != 2:
		s.answerError(errSyntax.Error())
		return
	}
	srv, tenant, proto := s.w.srv, s.tenantID(), s.proto
	s.async(func(ctx context.Context) func() {
		lines, err := srv.clientLines(ctx, tenant)
		if err != nil {
			return func() { s.answerError(errUnavailable) }
		}
		if ids != nil {
			lines = chosen(lines, ids)
		}
		var b []byte
		version := srv.version()
		for i := range lines {
			if !byKind || lines[i].kind == kind {
				b = append(lines[i].append(b, version), '\n')
			}
		}
		reply := resp.AppendVerbatim(nil, proto, "txt", string(b))
		return func() { s.answer(reply) }
	})
}

// clientLines describes a tenant's clients, the oldest first.
func (s *Server) clientLines(ctx context.Context, tenant string) ([]clientLine, error) {
	var lines []clientLine
	// One loop after the other, so that nobody else writes to lines.
	if err := eachClient(ctx, s, tenant, func(s *session) { lines = append(lines, s.line()) }); err != nil {
		return nil, err
	}
	slices.SortFunc(lines, func(a, b clientLine) int { return cmp.Compare(a.id, b.id) })
	return lines, nil
}

// chosen are the lines with these ids, in that order.
func chosen(lines []clientLine, ids []int64) (some []clientLine) {
	for _, id := range ids {
		i, found := slices.BinarySearchFunc(lines, id, func(c clientLine, id int64) int { return cmp.Compare(int64(c.id), id) })
		if found {
			some = append(some, lines[i])
		}
	}
	return some
}

// clientSetInfo is CLIENT SETINFO LIB-NAME name | LIB-VER version.
func clientSetInfo(s *session, _ *command.Command, r *namespace.Request) {
	option := r.At(2)
	var field *string
	switch {
	case fold(option, "LIB-NAME"):
		field = &s.about.libName
	case fold(option, "LIB-VER"):
		field = &s.about.libVer
	default:
		s.answerError("ERR Unrecognized option '" + string(quoted(option, len(option))) + "'")
		return
	}
	if !validName(r.At(3)) {
		s.answerError("ERR " + string(option) + " cannot contain spaces, newlines or special characters.")
		return
	}
	*field = string(bytes.Clone(r.At(3)))
	s.answer(ok)
}

// clientNoEvict is CLIENT NO-EVICT ON | OFF. The proxy evicts nobody.
func clientNoEvict(s *session, _ *command.Command, r *namespace.Request) {
	s.flag(&s.about.noEvict, r)
}

// clientNoTouch is CLIENT NO-TOUCH ON | OFF. It is shown, but has no effect on a
// connection that tenants share.
func clientNoTouch(s *session, _ *command.Command, r *namespace.Request) {
	s.flag(&s.about.noTouch, r)
}

func (s *session) flag(f *bool, r *namespace.Request) {
	on := fold(r.At(2), "ON")
	if !on && !fold(r.At(2), "OFF") {
		s.answerError(errSyntax.Error())
		return
	}
	*f = on
	s.answer(ok)
}

// clientCapa is CLIENT CAPA capability [capability ...], of which servers take
// what they know and ignore the rest.
func clientCapa(s *session, _ *command.Command, _ *namespace.Request) { s.answer(ok) }
