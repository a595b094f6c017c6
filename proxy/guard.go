package proxy

import (
	"bytes"
	"context"
	"crypto/sha1"
	"encoding/hex"
	"log/slog"
	"strconv"

	"riptide-proxy/command"
	"riptide-proxy/namespace"
	"riptide-proxy/resp"
	"riptide-proxy/upstream"
)

// Most values that commands look inside of are plain: those that are short, or that such
// commands have made. So a command is tried first, by a script that runs it unless one of its
// keys has a sealed value. That takes one round trip, on the shared connection.

const (
	guardWord = "RIPTIDEGUARD" // what the script answers if there is a sealed value
	// A longer command, or one with more arguments than Lua can pass on, is not tried.
	guardArgs = 1000
	guardSize = largeRequest
)

// guardScript is such a script: for commands that write, what begins with a sealed
// value's first bytes afterwards gets a header.
type guardScript struct {
	text, sha string
}

func newGuard(proto int, write bool) guardScript {
	text := "for i=1,#KEYS do if redis.pcall('GETRANGE',KEYS[i],0,2)=='\\252R\\158' then return {err='" + guardWord + " sealed'} end end "
	if proto == 3 {
		text = "redis.setresp(3) " + text
	}
	if write {
		text += "local r=redis.pcall(unpack(ARGV)) if type(r)=='table' and r.err then return r end " + wrapLines + "return r"
	} else {
		text += "return redis.pcall(unpack(ARGV))"
	}
	sum := sha1.Sum([]byte(text))
	return guardScript{text, hex.EncodeToString(sum[:])}
}

// guards are by the version of the protocol less two, and by whether the command writes.
var guards = [2][2]guardScript{
	{newGuard(2, false), newGuard(2, true)},
	{newGuard(3, false), newGuard(3, true)},
}

func guardOf(cmd *command.Command, proto int) *guardScript {
	if cmd.Has(command.Write) {
		return &guards[proto-2][1]
	}
	return &guards[proto-2][0]
}

// mayGuard reports whether a command that looks inside values can be tried.
func (s *session) mayGuard(cmd *command.Command, r *namespace.Request) bool {
	return s.pin == nil && s.tx == nil && cmd.Handler == command.NoHandler && !cmd.Moves && !cmd.Dumps && !cmd.Restores &&
		!cmd.Encoding && !cmd.Unscripted && cmd.InsideField == 0 && !sorts(cmd) && cmd.Values.None() &&
		len(r.Raw) <= guardSize && r.Len() <= guardArgs && !s.stats.values.codec.Encrypts()
}

// guard tries a command. Until it is answered the session takes no other, as this one may
// have to run again.
func (s *session) guard(cmd *command.Command, r *namespace.Request) {
	w, k := s.w, s.link
	if k.Down() {
		s.unavailable(cmd)
		return
	}
	w.indexes, _ = cmd.Prefixed(w.indexes[:0], r)
	b := k.Begin(len(r.Raw) + len(w.indexes)*2*(len(s.prefix)+24) + 128)
	b = resp.AppendArray(b, 3+len(w.indexes)+r.Len())
	b = resp.AppendBulkString(b, "EVALSHA")
	b = resp.AppendBulkString(b, guardOf(cmd, s.proto).sha)
	b = resp.AppendBulkString(b, strconv.Itoa(len(w.indexes)))
	for _, i := range w.indexes {
		w.scratch = append(append(w.scratch[:0], s.prefix...), r.At(int(i))...)
		b = resp.AppendBulk(b, w.scratch)
	}
	t := s.slot(cmd)
	t.note = noteGuard
	k.End(r.AppendRestPrefixed(b, 0, w.indexes, s.prefix), t)
	s.mode |= modeAwait
}

// tried takes the reply to a command that was tried. It returns false when that is the
// command's own.
func (w *worker) tried(t *slot, reply []byte) bool {
	if reply[0] != '-' {
		return false
	}
	switch code := reply[1:]; {
	case bytes.HasPrefix(code, []byte("NOSCRIPT")):
		w.srv.loadGuards()
	case !bytes.HasPrefix(code, []byte(guardWord)) && !bytes.HasPrefix(code, []byte("NOPERM")):
		return false
	}
	s := t.s
	defer s.caught(t.cmd)
	own := w.withoutGuard(s.link.Request())
	if own == nil || s.stats.values == nil {
		s.failed(t, upstream.ErrUnavailable)
		return true
	}
	tx := &transaction{holds: true, db: s.db}
	before := s.tx
	s.tx = tx
	s.hold(t.cmd, own, false)
	tx.add(queuedCommand{cmd: t.cmd})
	s.tx = before
	seq := t.seq
	w.loop.After(0, func() { // not from within the link's own replies
		if !s.gone {
			s.runSingle(t.cmd, tx, func(reply []byte) { s.complete(seq, reply, false) })
		}
	})
	return true
}

// withoutGuard is the command that a script was to try, given the request for that; nil if it is
// no such request.
func (w *worker) withoutGuard(sent []byte) []byte {
	args, err := parseRequest(sent, &w.srv.internal)
	if err != nil || len(args) < 4 {
		return nil
	}
	keys, ok := resp.ParseInt(sent[args[2].Beg:args[2].End])
	if !ok || keys < 0 || keys >= int64(len(args)-3) {
		return nil
	}
	own := args[3+int(keys):]
	return append(resp.AppendArray(make([]byte, 0, len(sent)), len(own)), sent[own[0].Head:]...)
}

// loadGuards has the upstream load the scripts, unless that is under way.
func (s *Server) loadGuards() {
	if !s.loading.CompareAndSwap(false, true) {
		return
	}
	s.slow.Add(1)
	go func() {
		defer s.slow.Done()
		defer s.loading.Store(false)
		s.codecs.loadGuards(s.ctx)
	}()
}

func (c *codecs) loadGuards(ctx context.Context) {
	for _, byProto := range guards {
		for _, g := range byProto {
			if err := c.srv.client.ScriptLoad(ctx, g.text).Err(); err != nil {
				slog.Debug("a script of the proxy's own could not be loaded", "error", err)
				return
			}
		}
	}
}
