package proxy

import (
	"errors"

	"riptide-proxy/command"
	"riptide-proxy/config"
	"riptide-proxy/namespace"
	"riptide-proxy/netloop"
	"riptide-proxy/resp"
)

// shape is what a tenant's requests and replies may be like, with the errors for
// those that are not. 0: no limit. Sessions of tenants without such quotas have none.
type shape struct {
	pipeline int64 // commands without an answer when one arrives
	value    int64 // bytes of an argument of a command that stores
	reply    int64 // bytes of a reply, as it is written to the client
	keys     int64 // of one command

	errPipeline, errValue, errReply, errKeys error
}

func newShape(t *namespace.Tenant, q *config.Quotas) *shape {
	x := &shape{pipeline: q.Pipeline, value: int64(q.Value), reply: int64(q.Reply), keys: q.KeysPerCommand}
	if x.pipeline+x.value+x.reply+x.keys == 0 {
		return nil
	}
	over := func(what string, limit int64) error { return errors.New(overQuota(t, what, limit)) }
	x.errPipeline = over("commands in a pipeline", x.pipeline)
	x.errValue = over("bytes in a value", x.value)
	x.errReply = over("bytes in a reply", x.reply)
	x.errKeys = over("keys in a command", x.keys)
	return x
}

// misshapen refuses a command that is not as the tenant's may be, and reports
// whether it did.
func (s *session) misshapen(cmd *command.Command, r *namespace.Request) bool {
	q := s.shape
	var err error
	switch {
	// What is about the connection itself never reaches the upstream.
	case q.pipeline > 0 && int64(s.tail-s.arrived) >= q.pipeline && !cmd.Has(command.NoAuth):
		err = q.errPipeline
	case q.value > 0 && stores(cmd) && q.tooLarge(cmd, r):
		err = q.errValue
	case q.keys > 0 && int64(len(r.Args)) > q.keys && s.keysOf(cmd, r) > q.keys:
		err = q.errKeys
	default:
		return false
	}
	s.stats.refused++
	s.reject(cmd, err.Error())
	return true
}

// stores reports whether arguments of a command may become a value, or part of
// one: of scripts too, whose text may hold what they store.
func stores(cmd *command.Command) bool {
	return cmd.Has(command.Write) || cmd.Cats&command.CatScripting != 0 && !cmd.Has(command.ReadOnly)
}

func (q *shape) tooLarge(cmd *command.Command, r *namespace.Request) bool {
	if int64(len(r.Raw)) > q.value {
		for _, a := range r.Args {
			if int64(a.End-a.Beg) > q.value {
				return true
			}
		}
	}
	return cmd.Reach != nil && cmd.Reach(r) > q.value
}

// keysOf is how many keys a command names.
func (s *session) keysOf(cmd *command.Command, r *namespace.Request) int64 {
	if cmd.Channels || cmd.Shape.Kind == command.ShapeNone {
		return 0
	}
	var verdict command.Verdict
	s.w.indexes, verdict = cmd.Prefixed(s.w.indexes[:0], r)
	if verdict&command.Unparsed != 0 {
		return 0 // the upstream says what is wrong
	}
	return int64(len(s.w.indexes))
}

// skipped is a request of which nothing is kept any more, since one of its
// arguments is too long.
type skipped struct {
	rest resp.Rest
	cmd  *command.Command
}

// tooLargeAhead begins to drop a request that is incomplete, b so far, if the
// argument that is arriving is going to be too long. So it takes no memory.
func (s *session) tooLargeAhead(req *resp.Request, b []byte) bool {
	q, n := s.shape, len(req.Args)
	if q.value == 0 || n < 2 || !req.InArgument() || int64(req.Args[n-1].End-req.Args[n-1].Beg) <= q.value {
		return false
	}
	at := func(i int) []byte { return b[req.Args[i].Beg:req.Args[i].End] }
	cmd := command.Lookup(at(0))
	if cmd != nil && cmd.Subs != nil && n > 2 {
		cmd = cmd.Sub(at(1))
	}
	if cmd == nil || !stores(cmd) {
		return false
	}
	s.skipped = &skipped{req.Rest(b), cmd}
	return true
}

// skip goes on dropping a request, and refuses it when it is over.
func (s *session) skip(b []byte) (int, netloop.Next) {
	n, done, err := s.skipped.rest.Skip(b, s.limits)
	switch {
	case err != nil:
		s.skipped = nil
		s.answerError("ERR " + err.Error())
		s.finish()
		return len(b), netloop.Hold
	case !done:
		return n, netloop.More
	}
	cmd := s.skipped.cmd
	s.skipped = nil
	s.stats.refused++
	s.reject(cmd, s.shape.errValue.Error())
	return n, netloop.Again
}

// longestReply is how long the upstream's reply to a command may be. Where what
// the client gets is shorter, as names lose their prefix, there is room for more, and
// the rest is seen once it is changed.
func longestReply(t *slot) int {
	s := t.s
	if s == nil || s.shape == nil || s.shape.reply == 0 {
		return maxReply
	}
	switch t.note {
	case noteNone, noteBlocks, noteScript:
		if t.cmd.ReplyKeys == command.NoKeys && s.mode&modeValues == 0 {
			return int(min(s.shape.reply, maxReply))
		}
	case noteExec:
	default:
		return maxReply // it is the proxy's own
	}
	return int(min(replyFactor*s.shape.reply+softOutput, maxReply))
}

// replyFactor is how much longer a reply may be before it is changed.
const replyFactor = 4

// oversized fills a slot whose reply was dropped since it was too long.
func (s *session) oversized(seq uint32) {
	err := errOversized
	if q := s.shape; q != nil && q.reply > 0 {
		s.stats.refused++
		err = q.errReply
	}
	s.completeError(seq, err.Error())
}

// tooLongReply is what takes the place of a reply that is too long.
func (s *session) tooLongReply() []byte {
	w := s.w
	s.stats.refused++
	w.reply = resp.AppendError(w.reply[:0], s.shape.errReply.Error())
	s.stats.countError(w.reply)
	return w.reply
}
