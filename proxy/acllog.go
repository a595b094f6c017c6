package proxy

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"riptide-proxy/command"
	"riptide-proxy/namespace"
	"riptide-proxy/namespace/acl"
	"riptide-proxy/resp"
)

// ACL LOG is a tenant's own: what the rules of its users have refused, and logins of its users with a wrong secret. Each
// loop has a part of it, that of its own sessions; they are put together for whoever asks. What a script may not do the upstream
// refuses, and it is not in the log.

const (
	// aclEntries is how many a log has: acllog-max-len, as Redis has it by default.
	aclEntries = 128
	// aclObject is how much is kept of a key's name, and of what a client says of itself, in bytes.
	aclObject = 256
	// Entries that are alike are one if they are of aclAlike of each other. Only the newest aclLooked are looked at.
	aclAlike  = time.Minute
	aclLooked = 10
)

// aclEntry is what was refused, once or several times.
type aclEntry struct {
	id          int64 // of the first refusal: they are numbered
	order       int64 // of the last one
	count       int64
	what        aclRefusal
	first, last int64 // milliseconds since 1970
	client      clientLine
}

// aclRefusal is what makes entries alike.
type aclRefusal struct {
	reason  string // command, key, channel, auth
	context string // toplevel, multi
	object  string // what may not be run, or touched
	user    string // as it logs in
}

// aclLog is a tenant's on one loop, what has happened last first.
type aclLog []aclEntry

// add notes a refusal, to which next gives a number.
func (l *aclLog) add(what aclRefusal, client clientLine, now time.Time, next func() int64) {
	at := now.UnixMilli()
	for _, own := range []*string{&client.name, &client.libName, &client.libVer} {
		if len(*own) > aclObject {
			*own = strings.Clone((*own)[:aclObject])
		}
	}
	n := next()
	for i := range (*l)[:min(len(*l), aclLooked)] {
		if e := (*l)[i]; e.what == what && near(e.last, at) {
			e.count++
			e.order, e.last, e.client = n, at, client
			copy((*l)[1:i+1], (*l)[:i])
			(*l)[0] = e
			return
		}
	}
	if len(*l) >= aclEntries {
		*l = (*l)[:aclEntries-1]
	}
	*l = slices.Insert(*l, 0, aclEntry{id: n, order: n, count: 1, what: what, first: at, last: at, client: client})
}

func near(a, b int64) bool { return max(a-b, b-a) <= aclAlike.Milliseconds() }

// mergedACL is the log of all loops, what has happened last first.
func mergedACL(all []aclLog) (log aclLog) {
	list := slices.Concat(all...)
	slices.SortFunc(list, func(a, b aclEntry) int { return cmp.Compare(a.id, b.id) })
	for _, e := range list {
		i := slices.IndexFunc(log, func(have aclEntry) bool {
			return have.what == e.what && near(have.last, e.first)
		})
		if i < 0 {
			log = append(log, e)
			continue
		}
		have := &log[i]
		have.count += e.count
		have.first = min(have.first, e.first)
		if e.order > have.order {
			have.order, have.last, have.client = e.order, e.last, e.client
		}
	}
	slices.SortFunc(log, func(a, b aclEntry) int { return cmp.Compare(b.order, a.order) })
	return log[:min(len(log), aclEntries)]
}

// noteDenied notes that the user's rules do not allow a command, for the sake of argument at.
func (s *session) noteDenied(v acl.Verdict, cmd *command.Command, r *namespace.Request, at int) {
	what := aclRefusal{reason: "command", context: "toplevel", object: cmd.Name, user: s.user()}
	if v != acl.NoCommand {
		what.reason = "key"
		if v == acl.NoChannel {
			what.reason = "channel"
		}
		name := r.At(at)
		if what.object = string(name[:min(len(name), aclObject)]); len(name) > aclObject {
			what.object += fmt.Sprintf("... (%d more bytes)", len(name)-aclObject)
		}
	}
	if s.tx != nil {
		what.context = "multi"
	}
	client := s.line()
	client.cmd = cmd.Name
	s.stats.denials.add(what, client, time.Now(), s.own().nextDenial)
}

// noteWrongSecret notes a login as this user that was refused with WRONGPASS: the secret is wrong, or the client is where
// the user may not be. Whoever that is, if it is not one of the tenant's clients, no more is told of it than the address.
func (s *session) noteWrongSecret(who *namespace.Identity) {
	t := who.Tenant
	own := s.w.conf.own[t.ID]
	if own == nil {
		return
	}
	cmd := lastCommand(s)
	client := clientLine{addr: s.conn.Peer(), local: s.localAddr(), socket: s.socket(), user: "default", flags: "N", multi: -1, redir: -1, proto: s.proto}
	if s.who != nil && s.who.Tenant.ID == t.ID {
		client = s.line()
	}
	client.cmd = cmd.Name
	what := aclRefusal{reason: "auth", context: "toplevel", object: strings.ToUpper(cmd.Name), user: nameOf(who)}
	s.w.tenantStats(t.ID).denials.add(what, client, time.Now(), own.nextDenial)
}

// nextDenial is the id of the next entry in the tenant's log.
func (t *tenantLife) nextDenial() int64 { return t.denialID.Add(1) - 1 }

// aclLogGet is ACL LOG [count | RESET].
func aclLogGet(s *session, cmd *command.Command, r *namespace.Request) {
	count := int64(10)
	switch {
	case len(r.Args) > 3:
		s.answerError(wrongSubcommand(cmd, r))
		return
	case len(r.Args) == 3 && fold(r.At(2), "RESET"):
		s.onAll(func(_ *worker, t *tenantStats) { t.denials = nil })
		return
	case len(r.Args) == 3:
		var isInt bool
		if count, isInt = resp.ParseInt(r.At(2)); !isInt {
			s.answerError(errNotInteger.Error())
			return
		}
	}
	proto, version := s.proto, s.w.srv.version()
	_, text := s.w.srv.self()
	since72 := !before72(text)
	survey(s, func(_ *worker, t *tenantStats) aclLog { return slices.Clone(t.denials) }, func(all []aclLog) []byte {
		log := mergedACL(all)
		log = log[:min(int64(len(log)), max(0, count))]
		now := time.Now().UnixMilli()
		b := resp.AppendArray(nil, len(log))
		for i := range log {
			b = log[i].append(b, proto, version, since72, now)
		}
		return b
	})
}

func (e *aclEntry) append(b []byte, proto int, version command.Server, since72 bool, now int64) []byte {
	fields := 7
	if since72 {
		fields = 10
	}
	b = resp.AppendMap(b, proto, fields)
	b = resp.AppendInt(resp.AppendBulkString(b, "count"), e.count)
	for _, pair := range [][2]string{{"reason", e.what.reason}, {"context", e.what.context}, {"object", e.what.object}, {"username", e.what.user}} {
		b = resp.AppendBulkString(resp.AppendBulkString(b, pair[0]), pair[1])
	}
	b = resp.AppendDouble(resp.AppendBulkString(b, "age-seconds"), proto, math.Max(0, float64(now-e.last)/1000))
	b = resp.AppendBulk(resp.AppendBulkString(b, "client-info"), e.client.append(nil, version))
	if !since72 {
		return b
	}
	b = resp.AppendInt(resp.AppendBulkString(b, "entry-id"), e.id)
	b = resp.AppendInt(resp.AppendBulkString(b, "timestamp-created"), e.first)
	return resp.AppendInt(resp.AppendBulkString(b, "timestamp-last-updated"), e.last)
}
