package proxy

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"runtime/debug"

	"riptide-proxy/command"
	"riptide-proxy/namespace"
	"riptide-proxy/resp"
	"riptide-proxy/value"
)

// opening is the reply whose values are being opened.
type opening struct {
	codec    *value.Codec
	counters *value.Counters
	prefix   []byte
	note     *valueNote
	stream   bool  // they are values of a stream's entries
	total    int64 // bytes of the originals so far
	limit    int64 // of them
}

// inStream reports whether a command's values are in the entries of streams.
func inStream(cmd *command.Command) bool { return cmd.Cats&command.CatStream != 0 }

var errAside = errors.New("too long for the loop")

// open implements what namespace.OpenValues asks for.
func (x *opening) open(dst, stored []byte, at namespace.ValueAt) ([]byte, error) {
	if x.note != nil && len(x.note.plain) > 0 && x.note.plain[min(at.Index, len(x.note.plain)-1)] {
		return append(dst, stored...), nil
	}
	n, _ := value.Length(stored)
	if x.total += n; x.total > x.limit {
		return dst, errAside
	}
	name := value.Name{Prefix: x.prefix, Key: at.Key, Stream: x.stream}
	if name.Key == nil && x.note != nil && len(x.note.keys) > 0 {
		name.Key = x.note.keys[min(at.Index, len(x.note.keys)-1)]
	}
	return x.codec.Open(x.counters, dst, stored, name)
}

// specOf is which parts of the reply are values.
func specOf(cmd *command.Command, note *valueNote) command.ReplySpec {
	if note != nil {
		return note.spec
	}
	return replyOf(cmd)
}

// finishReply completes a slot with a reply that names no keys any more, once
// the values in it are opened.
func (s *session) finishReply(t *slot, reply []byte, input bool) {
	if s.mode&modeValues == 0 || replyOf(t.cmd).None() || reply[0] == '-' {
		s.complete(t.seq, reply, input)
		return
	}
	w := s.w
	out, changed, err := s.openHere(t.cmd, t.vals, reply, asideValue)
	switch {
	case beside(err):
		s.openAside(t, reply)
	case err != nil:
		s.completeError(t.seq, openError(err))
	case changed:
		s.complete(t.seq, out, false)
		if cap(w.opened) > maxScratch {
			w.opened = nil
		}
	default:
		s.complete(t.seq, reply, input)
	}
}

// openHere opens the values of a reply on the loop, unless they are longer than limit. The
// result is valid until the next one.
func (s *session) openHere(cmd *command.Command, note *valueNote, reply []byte, limit int64) (out []byte, changed bool, err error) {
	w := s.w
	v := s.stats.values
	spec := specOf(cmd, note)
	w.opening = opening{codec: v.codec, counters: &v.counters, prefix: s.prefix, note: note, stream: inStream(cmd), limit: limit}
	out, changed, err = namespace.OpenValues(w.opened[:0], reply, spec, value.IsSealed, w.open)
	if changed {
		w.opened = out
	}
	w.opening.note = nil
	return out, changed, err
}

// beside reports whether values are to be opened beside the loop: they are long,
// or need a dictionary that has to be asked for.
func beside(err error) bool {
	if err == nil || err == errAside {
		return err != nil
	}
	var missing *value.MissingDictError // which is allocated, and not for each reply
	return errors.As(err, &missing)
}

// asideReply is a reply whose values are to be opened beside the loop.
type asideReply struct {
	seq   uint32
	bytes int
	work  func(ctx context.Context) ([]byte, *value.Counters)
}

// openedAtOnce is how many of a session's replies are opened at once: originals may be much
// longer, and are kept until those before them are there.
const openedAtOnce = 2

// openAside opens a reply's values beside the loop. What the session asked after
// it goes on meanwhile, and is answered after it.
func (s *session) openAside(t *slot, reply []byte) {
	s.parkedBytes += len(reply)
	if s.parkedBytes > hardOutput*s.w.output {
		s.giveUp()
		return
	}
	s.aside = append(s.aside, asideReply{t.seq, len(reply), s.openWork(t.cmd, t.vals, bytes.Clone(reply))})
	s.openNext()
}

// openNext goes on with the replies that are to be opened.
func (s *session) openNext() {
	w := s.w
	for s.opening < openedAtOnce && len(s.aside) > 0 {
		a := s.aside[0]
		s.aside[0] = asideReply{}
		s.aside = s.aside[1:]
		s.opening++
		w.srv.slow.Add(1)
		go func() {
			defer w.srv.slow.Done()
			out, n := a.work(w.srv.ctx)
			w.loop.Post(func() {
				s.opening--
				s.parkedBytes -= a.bytes
				s.stats.addValues(n)
				if s.gone {
					s.aside = nil
					return
				}
				if out[0] == '-' {
					s.stats.countError(out)
				}
				s.complete(a.seq, out, false)
				s.openNext()
				s.tryResume()
			})
		}()
	}
}

// openWork returns what opens a reply's values in a goroutine.
func (s *session) openWork(cmd *command.Command, note *valueNote, reply []byte) func(ctx context.Context) ([]byte, *value.Counters) {
	v, prefix, tenant, srv := s.stats.values, s.prefix, s.who.Tenant, s.w.srv
	return func(ctx context.Context) (out []byte, n *value.Counters) {
		n = new(value.Counters)
		defer func() {
			if p := recover(); p != nil {
				slog.Error("panic while opening values", "panic", p, "stack", string(debug.Stack()))
				out = resp.AppendError(nil, "ERR internal error")
			}
		}()
		select {
		case v.turns <- struct{}{}:
			defer func() { <-v.turns }()
		case <-ctx.Done():
			return resp.AppendError(nil, errUnavailable), n
		}
		spec := specOf(cmd, note)
		for tries := 0; ; tries++ {
			x := opening{codec: v.codec, counters: n, prefix: prefix, note: note, stream: inStream(cmd), limit: maxReply}
			out, changed, err := namespace.OpenValues(make([]byte, 0, len(reply)), reply, spec, value.IsSealed, x.open)
			var missing *value.MissingDictError
			if errors.As(err, &missing) && tries < maxDictionaries {
				if err = srv.fetchDictionary(ctx, tenant, missing.ID); err == nil {
					continue
				}
			}
			switch {
			case err == errAside:
				return resp.AppendError(nil, errOversized.Error()), n
			case err != nil:
				return resp.AppendError(nil, openError(err)), n
			case !changed:
				return reply, n
			}
			return out, n
		}
	}
}

// maxDictionaries is how many dictionaries one reply may need that are not
// known yet.
const maxDictionaries = 64

// openError is what a client is told of a value that can not be opened.
func openError(err error) string { return "ERR " + err.Error() }

// addValues adds what was counted beside the loop.
func (t *tenantStats) addValues(n *value.Counters) {
	if t.values != nil {
		t.values.counters.Add(n)
	}
}
