package proxy

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"

	"github.com/redis/go-redis/v9"

	"riptide-proxy/resp"
	"riptide-proxy/upstream"
)

// talk is requests of a plan that ride the session's own connection.
type talk struct {
	want    int
	replies [][]byte
	err     error
	done    chan struct{}
}

func (t *talk) reply(b []byte) {
	if t == nil || t.want == 0 {
		return
	}
	t.replies = append(t.replies, bytes.Clone(b))
	t.settle()
}

func (t *talk) fail(err error) {
	if t == nil || t.want == 0 {
		return
	}
	// Worse than one that was not sent is one whose fate is unknown.
	if t.err == nil || err == upstream.ErrUnknown {
		t.err = err
	}
	t.settle()
}

func (t *talk) settle() {
	if t.want--; t.want == 0 {
		close(t.done)
	}
}

// talkOnPin is a talker for the session's own connection.
func (s *session) talkOnPin(ctx context.Context, requests [][]byte) ([][]byte, error) {
	t := &talk{want: len(requests), done: make(chan struct{})}
	posted := s.w.loop.Post(func() {
		if s.gone || s.pin == nil {
			t.err = upstream.ErrUnavailable
			close(t.done)
			return
		}
		s.talk = t
		for _, b := range requests {
			own := s.unasked(pingRow)
			own.note = noteTalk
			s.pin.End(b, own)
		}
	})
	if !posted {
		return nil, upstream.ErrUnavailable
	}
	select {
	case <-t.done:
	case <-ctx.Done():
		return nil, upstream.ErrUnknown
	}
	if t.err != nil {
		return nil, t.err
	}
	return t.replies, nil
}

// talkAlone returns a talker for a connection that nobody else uses until end is
// called.
func (s *Server) talkAlone(proto int) (t talker, end func()) {
	conn := s.plans[proto-2].Conn()
	return func(ctx context.Context, requests [][]byte) ([][]byte, error) {
		cmds := make([]*redis.RawCmd, len(requests))
		pipe := conn.Pipeline()
		for i, b := range requests {
			args, err := arguments(b)
			if err != nil {
				return nil, err
			}
			cmds[i] = redis.NewRawCmd(ctx, args...)
			pipe.Process(ctx, cmds[i])
		}
		pipe.Exec(ctx) // each has its own error
		replies := make([][]byte, len(requests))
		for i, c := range cmds {
			b, err := c.Result()
			switch {
			case err != nil:
				return nil, lost(err)
			case len(b) == 0:
				return nil, errBadReply
			}
			replies[i] = b
		}
		return replies, nil
	}, func() { conn.Close() }
}

// lost is what an error of a connection means for what was to be sent on it.
func lost(err error) error {
	var e redis.Error
	if errors.As(err, &e) {
		return errors.New(e.Error()) // the greeting was refused
	}
	if isDial(err) {
		return upstream.ErrUnavailable
	}
	return upstream.ErrUnknown
}

// isDial reports whether an error says that there was no connection to send
// anything on.
func isDial(err error) bool {
	var op *net.OpError
	return errors.As(err, &op) && op.Op == "dial" || errors.Is(err, redis.ErrPoolTimeout)
}

// arguments takes a request apart, for a client that puts it together again.
func arguments(b []byte) ([]any, error) {
	var scan resp.Request
	limits := resp.Limits{Bulk: maxReply, Request: 2 * maxReply, Args: 1 << 30}
	n, err := scan.Scan(b, &limits)
	if err == nil && n != len(b) {
		err = io.ErrUnexpectedEOF
	}
	if err != nil {
		return nil, err
	}
	raw := scan.Bytes(b)
	args := make([]any, len(scan.Args))
	for i, a := range scan.Args {
		args[i] = raw[a.Beg:a.End]
	}
	return args, nil
}
