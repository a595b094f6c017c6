package proxy

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"riptide-proxy/command"
	"riptide-proxy/namespace"
	"riptide-proxy/resp"
	"riptide-proxy/value"
)

// The slow log and the latency monitor see what took long from the client's
// point of view: from the moment the proxy had the command to the moment it had
// the reply, by the loop's clock.

const (
	// slowCommand is how long a command takes that is noted.
	slowCommand = 10 * time.Millisecond
	// slowEntries is how many a tenant's log has.
	slowEntries = 128
	// As much of a command as the log keeps.
	slowArgs    = 32
	slowArgSize = 128
)

// slowEntry is a command that took long.
type slowEntry struct {
	id   int64
	at   int64 // seconds since 1970
	took time.Duration
	args []string
	addr string
	name string // of the client
}

// slowLog is a tenant's on one loop: the newest entries, in a ring.
type slowLog struct {
	entries []slowEntry
	next    int
}

func (l *slowLog) add(e slowEntry) {
	if len(l.entries) < slowEntries {
		l.entries = append(l.entries, e)
		return
	}
	l.entries[l.next] = e
	l.next = (l.next + 1) % slowEntries
}

// slowReply notes a command whose reply took long to come. sent is what it was
// sent as, if that is still there.
func (w *worker) slowReply(t *slot, took time.Duration, sent []byte) {
	s := t.s
	if took > slowReply && s.pin == nil && s.window > slowWindow {
		s.window -= s.window / 4
	}
	if s.gone || s.who == nil {
		return
	}
	args := []string{t.cmd.Name}
	if t.note == noteGuard {
		sent = w.withoutGuard(sent)
	}
	if sent != nil {
		args = s.unprefixed(t.cmd, sent)
	}
	s.noteSlow(t.cmd, args, took)
}

// slowDone notes a slow operation that deserves its name.
func (s *session) slowDone(cmd *command.Command, args [][]byte, took time.Duration) {
	s.stats.row(cmd).latency.Observe(took)
	if took >= slowCommand {
		s.noteSlow(cmd, shorten(len(args), func(i int) []byte { return args[i] }), took)
	}
}

func (s *session) noteSlow(cmd *command.Command, args []string, took time.Duration) {
	if cmd.Has(command.SkipSlowlog) {
		return
	}
	now := time.Now().Unix()
	s.stats.slow.add(slowEntry{
		id: s.own().slowID.Add(1) - 1, at: now, took: took, args: args, addr: s.peer(), name: s.name,
	})
	s.stats.spikes.add(now, took)
}

// unprefixed is what the slow log shows of a request as it was sent. Where that
// is not the client's own but one that a handler made, it is the name alone.
func (s *session) unprefixed(cmd *command.Command, sent []byte) []string {
	var req resp.Request
	limits := resp.DefaultLimits()
	if n, err := req.Scan(sent, &limits); err != nil || n == 0 || handlers[cmd.Handler].run != nil {
		return []string{cmd.Name}
	}
	view := namespace.Request{Raw: req.Bytes(sent), Args: req.Args}
	prefixed, _ := cmd.Prefixed(nil, &view)
	return shorten(view.Len(), func(i int) []byte {
		arg := view.At(i)
		if slices.Contains(prefixed, int32(i)) {
			// What has no prefix was not meant to be seen with one.
			return arg[min(len(s.prefix), len(arg)):]
		}
		if s.mode&modeValues != 0 && value.IsSealed(arg) {
			return s.shownValue(cmd, &view, prefixed, int32(i))
		}
		return arg
	})
}

// shownValue is argument i as the client gave it, as far as it fits into the slow log. It has been
// sealed since, if it is a value.
func (s *session) shownValue(cmd *command.Command, r *namespace.Request, prefixed []int32, i int32) []byte {
	stored := r.At(int(i))
	if n, _ := value.Length(stored); n > asideValue {
		return fmt.Appendf(nil, "(%d bytes)", n)
	}
	name := r.At(int(cmd.KeyOfValue(prefixed, i)))
	var n value.Counters // it is no read of the client's
	plain, err := s.stats.values.codec.Open(&n, nil, stored, value.Name{Prefix: s.prefix, Key: name[min(len(s.prefix), len(name)):], Stream: inStream(cmd)})
	if err != nil {
		return stored // as the client sent it
	}
	return plain
}

// shorten is as much of a command as the slow log keeps.
func shorten(n int, at func(i int) []byte) []string {
	args := make([]string, 0, min(n, slowArgs))
	for i := range min(n, slowArgs) {
		if i == slowArgs-1 && n > slowArgs {
			args = append(args, fmt.Sprintf("... (%d more arguments)", n-slowArgs+1))
			break
		}
		arg := at(i)
		if len(arg) > slowArgSize {
			args = append(args, fmt.Sprintf("%s... (%d more bytes)", arg[:slowArgSize], len(arg)-slowArgSize))
			continue
		}
		args = append(args, string(arg))
	}
	return args
}

// slowLogGet is SLOWLOG GET [count].
func slowLogGet(s *session, cmd *command.Command, r *namespace.Request) {
	count := int64(10)
	if len(r.Args) > 3 {
		s.answerError(wrongSubcommand(cmd, r))
		return
	}
	if len(r.Args) == 3 {
		var isInt bool
		if count, isInt = resp.ParseInt(r.At(2)); !isInt || count < -1 {
			s.answerError("ERR count should be greater than or equal to -1")
			return
		}
	}
	s.showSlow(count)
}

func (s *session) showSlow(count int64) {
	survey(s, copyOfSlow, func(all [][]slowEntry) []byte {
		list := mergedSlow(all)
		if count >= 0 && count < int64(len(list)) {
			list = list[:count]
		}
		b := resp.AppendArray(nil, len(list))
		for _, e := range list {
			b = resp.AppendArray(b, 6)
			b = resp.AppendInt(b, e.id)
			b = resp.AppendInt(b, e.at)
			b = resp.AppendInt(b, e.took.Microseconds())
			b = resp.AppendArray(b, len(e.args))
			for _, a := range e.args {
				b = resp.AppendBulkString(b, a)
			}
			b = resp.AppendBulkString(b, e.addr)
			b = resp.AppendBulkString(b, e.name)
		}
		return b
	})
}

func copyOfSlow(_ *worker, t *tenantStats) []slowEntry { return slices.Clone(t.slow.entries) }

// mergedSlow is the log of all loops, the newest first.
func mergedSlow(all [][]slowEntry) []slowEntry {
	list := slices.Concat(all...)
	slices.SortFunc(list, func(a, b slowEntry) int { return cmp.Compare(b.id, a.id) })
	return list[:min(len(list), slowEntries)]
}

// slowLogLen is SLOWLOG LEN.
func slowLogLen(s *session, _ *command.Command, _ *namespace.Request) {
	survey(s, func(_ *worker, t *tenantStats) int { return len(t.slow.entries) }, func(all []int) []byte {
		n := 0
		for _, k := range all {
			n += k
		}
		return resp.AppendInt(nil, int64(min(n, slowEntries)))
	})
}

// slowLogReset is SLOWLOG RESET.
func slowLogReset(s *session, _ *command.Command, _ *namespace.Request) {
	s.onAll(func(_ *worker, t *tenantStats) { t.slow = slowLog{} })
}

// Of Valkey's three logs the proxy keeps the first: what was slow. The ones for
// large requests and replies are empty.

const errLogType = "ERR type should be one of the following: slow, large-request, large-reply"

// isSlowType reads the type of a log, which is argument i.
func (s *session) isSlowType(r *namespace.Request, i int) (slow, known bool) {
	slow = fold(r.At(i), "slow")
	known = slow || fold(r.At(i), "large-request") || fold(r.At(i), "large-reply")
	if !known {
		s.answerError(errLogType)
	}
	return slow, known
}

// commandLogGet is COMMANDLOG GET count type.
func commandLogGet(s *session, cmd *command.Command, r *namespace.Request) {
	if len(r.Args) > 4 {
		s.answerError(wrongSubcommand(cmd, r))
		return
	}
	count, isInt := resp.ParseInt(r.At(2))
	if !isInt || count < -1 {
		s.answerError("ERR count should be greater than or equal to -1")
		return
	}
	if slow, known := s.isSlowType(r, 3); slow {
		s.showSlow(count)
	} else if known {
		s.answer([]byte("*0\r\n"))
	}
}

// commandLogLen is COMMANDLOG LEN type.
func commandLogLen(s *session, cmd *command.Command, r *namespace.Request) {
	if slow, known := s.isSlowType(r, 2); slow {
		slowLogLen(s, cmd, r)
	} else if known {
		s.answer(resp.AppendInt(nil, 0))
	}
}

// commandLogReset is COMMANDLOG RESET type.
func commandLogReset(s *session, cmd *command.Command, r *namespace.Request) {
	if slow, known := s.isSlowType(r, 2); slow {
		slowLogReset(s, cmd, r)
	} else if known {
		s.answer(ok)
	}
}

// wrongSubcommand is Redis's error where a subcommand takes fewer arguments.
func wrongSubcommand(cmd *command.Command, r *namespace.Request) string {
	return "ERR unknown subcommand or wrong number of arguments for '" + string(quoted(r.At(1), 128)) + "'. Try " + strings.ToUpper(cmd.Parent.Name) + " HELP."
}
