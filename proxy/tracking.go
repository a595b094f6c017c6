package proxy

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"strconv"
	"time"

	"riptide-proxy/command"
	"riptide-proxy/namespace"
	"riptide-proxy/quota"
	"riptide-proxy/resp"
)

// Client-side caching works on the session's own upstream connection: the
// upstream remembers what was read there and says what has changed. Redis does
// not tell databases apart in it, so a prefix stands for one in each of the tenant's.

// trackingRequest is CLIENT TRACKING ON | OFF with its options, as far as the
// proxy has to look at them. Whatever is wrong the upstream finds.
type trackingRequest struct {
	on       bool
	bcast    bool
	redirect int   // argument with the client's id; 0: none
	others   []int // further ones, which are an error
	prefixes []int
}

func parseTracking(r *namespace.Request) (q trackingRequest) {
	q.on = fold(r.At(2), "ON")
	for i := 3; i < r.Len(); i++ {
		switch last := i+1 == r.Len(); {
		case fold(r.At(i), "REDIRECT") && !last:
			i++
			if q.redirect == 0 {
				q.redirect = i
			} else {
				q.others = append(q.others, i)
			}
		case fold(r.At(i), "PREFIX") && !last:
			i++
			q.prefixes = append(q.prefixes, i)
		case fold(r.At(i), "BCAST"):
			q.bcast = true
		}
	}
	return q
}

// clientTracking is CLIENT TRACKING ON | OFF [REDIRECT client-id] [PREFIX
// prefix ...] [BCAST] [OPTIN] [OPTOUT] [NOLOOP].
func clientTracking(s *session, cmd *command.Command, r *namespace.Request) {
	q := parseTracking(r)
	if q.redirect == 0 {
		s.track(cmd, r, q, 0, 0)
		return
	}
	id, isInt := resp.ParseInt(r.At(q.redirect))
	if !isInt {
		s.track(cmd, r, q, 0, 0)
		return
	}
	own := cloneRequest(r)
	tenant := s.who.Tenant
	s.async(func(ctx context.Context) func() {
		up := s.w.srv.redirectTo(ctx, tenant, id)
		return func() {
			if s.pin == nil {
				if _, refused := s.reserve(quota.Pinned, 1, false); refused {
					return
				}
				if ok, answered := s.pinned(); !ok || answered {
					if !ok {
						s.answerError(errUnavailable)
					}
					return
				}
			}
			s.track(cmd, own, q, id, up)
			s.unpin()
		}
	})
}

// track sends CLIENT TRACKING. up is the upstream's number for the client that
// messages are to go to.
func (s *session) track(cmd *command.Command, r *namespace.Request, q trackingRequest, id, up int64) {
	if q.on && len(s.prefixes)+len(q.prefixes)+s.extra >= maxPrefixes {
		s.answerError("ERR too many prefixes are tracked")
		return
	}
	var args [][]byte
	var prefixes []string
	for i := range r.Len() {
		arg := r.At(i)
		switch {
		case i == q.redirect && i > 0 && up != 0:
			args = append(args, strconv.AppendInt(nil, up, 10))
		case i == q.redirect && i > 0 && id != 0, slices.Contains(q.others, i):
			args = append(args, []byte("-1")) // which is nobody's; the upstream's numbers are everybody's
		case slices.Contains(q.prefixes, i):
			prefixes = append(prefixes, string(arg))
			for db := range s.who.Tenant.Databases {
				if db > 0 {
					args = append(args, []byte("PREFIX"))
				}
				args = append(args, join(s.who.Tenant.Prefix(db), arg))
			}
		default:
			args = append(args, arg)
		}
	}
	s.asked = trackingAsked{on: q.on, redirect: id, prefixes: prefixes}
	if q.on && q.bcast && prefixes == nil {
		// BCAST without a prefix means all keys, here all of the tenant's. Redis
		// has no objection to it beside other prefixes, but one prefix that is
		// given must not begin with another.
		s.asked.prefixes = []string{""}
		every := append(slices.Clone(args), []byte("PREFIX"), s.who.Tenant.Root())
		if len(s.prefixes) == 0 {
			args = every
		} else {
			// So it is asked first whether the rest is right.
			s.extra++
			args = append(args, []byte("PREFIX"), fmt.Appendf(nil, "riptide:nothing:%d:", s.extra))
			if !slices.Contains(s.prefixes, "") {
				for i := range every {
					every[i] = bytes.Clone(every[i]) // the request is gone by then
				}
				s.asked.every = every
				s.mode |= modeAwait
			}
		}
	}
	s.compose(cmd, args...)
}

// maxPrefixes bounds the prefixes of one client. The upstream looks at each of
// them, in each of the tenant's databases, whenever anybody writes.
const maxPrefixes = 128

// trackingAsked is what CLIENT TRACKING comes to if the upstream agrees.
type trackingAsked struct {
	on       bool
	redirect int64
	prefixes []string
	every    [][]byte // the request that replaces prefixes by all keys
}

// tracked brings the reply of CLIENT TRACKING.
func tracked(s *session, cmd *command.Command, reply []byte) []byte {
	if string(reply) == "+OK\r\n" {
		if s.asked.every != nil {
			s.pin.End(resp.AppendRequest(s.pin.Begin(64), "CLIENT", "TRACKING", "OFF"), s.unasked(cmd))
			s.pin.End(resp.AppendRequest(s.pin.Begin(256), s.asked.every...), s.unasked(cmd))
			s.asked.every, s.extra = nil, 0
		}
		s.tracking, s.redirect = s.asked.on, s.asked.redirect
		if s.tracking {
			for _, p := range s.asked.prefixes {
				if !slices.Contains(s.prefixes, p) {
					s.prefixes = append(s.prefixes, p)
				}
			}
			slices.Sort(s.prefixes)
		} else {
			s.prefixes, s.extra = nil, 0
		}
		return reply
	}
	// An error may quote prefixes.
	s.w.reply = append(s.w.reply[:0], bytes.ReplaceAll(bytes.ReplaceAll(reply, s.who.Tenant.Prefix(0), nil), s.who.Tenant.Root(), nil)...)
	return s.w.reply
}

// redirectTo finds the tenant's client with that id, has it have an upstream
// connection of its own and returns the upstream's number for it; 0 if there is no
// such client.
func (srv *Server) redirectTo(ctx context.Context, t *namespace.Tenant, id int64) (up int64) {
	for end := time.Now().Add(redirectTime); time.Now().Before(end); {
		found := false
		err := srv.each(ctx, func(w *worker) {
			target := w.client(t, id)
			if target == nil || target.leaving {
				return
			}
			found = true
			up = target.receiveRedirected()
		})
		if err != nil || !found || up != 0 {
			return up
		}
		select {
		case <-time.After(time.Millisecond):
		case <-ctx.Done():
			return 0
		}
	}
	return 0
}

// redirectTime bounds the waiting for a connection to the upstream.
const redirectTime = 3 * time.Second

// receiveRedirected makes the session one that another's messages can go to.
// It returns 0 while there is no connection.
func (s *session) receiveRedirected() int64 {
	if s.pin == nil {
		if !s.takePin() {
			return 0
		}
		// What is under way on the shared connection comes first.
		s.mode |= modePinned | modeAwait
	}
	if !s.redirected {
		s.redirected = true
		s.hearInvalidations(s.onHub)
	}
	return s.pin.ID()
}

// hearInvalidations has the session's own connection be, or not be any more,
// one of a subscriber: to others that speak RESP2 Redis sends no invalidations. It is
// for a session whose subscriptions are on the hub.
func (s *session) hearInvalidations(on bool) {
	if s.pin == nil || !s.redirected || on == s.hearing {
		return
	}
	s.hearing = on
	word := "UNSUBSCRIBE"
	if on {
		word = "SUBSCRIBE"
	}
	t := s.unasked(unsubscribeRow)
	t.note = noteQuiet
	s.pin.End(resp.AppendRequest(s.pin.Begin(64), word, "riptide:nothing"), t)
}

// clientGetRedir is CLIENT GETREDIR.
func clientGetRedir(s *session, _ *command.Command, _ *namespace.Request) {
	id := s.redirect
	if !s.tracking {
		id = -1
	}
	s.answer(resp.AppendInt(nil, id))
}

// clientTrackingInfo is CLIENT TRACKINGINFO.
func clientTrackingInfo(s *session, cmd *command.Command, r *namespace.Request) {
	if !s.tracking {
		s.answer(s.trackingInfo([]string{"off"}, -1))
		return
	}
	s.send(cmd, r)
}

// trackingInformed makes the upstream's reply the tenant's own.
func trackingInformed(s *session, cmd *command.Command, reply []byte) []byte {
	if reply[0] == '-' {
		return reply
	}
	var flags []string
	_, err := resp.Rewrite(nil, reply, func(path []int, _ byte, data []byte) ([]byte, bool) {
		if len(path) == 2 && path[0] == 1 {
			flags = append(flags, string(data))
		}
		return nil, false
	})
	if err != nil {
		return s.garbled(cmd, err)
	}
	return s.trackingInfo(flags, s.redirect)
}

func (s *session) trackingInfo(flags []string, redirect int64) []byte {
	b := resp.AppendMap(nil, s.proto, 3)
	b = resp.AppendBulkString(b, "flags")
	b = resp.AppendSet(b, s.proto, len(flags))
	for _, f := range flags {
		b = resp.AppendBulkString(b, f)
	}
	b = resp.AppendBulkString(b, "redirect")
	b = resp.AppendInt(b, redirect)
	b = resp.AppendBulkString(b, "prefixes")
	b = resp.AppendArray(b, len(s.prefixes))
	for _, p := range s.prefixes {
		b = resp.AppendBulkString(b, p)
	}
	return b
}

func cloneRequest(r *namespace.Request) *namespace.Request {
	return &namespace.Request{Raw: bytes.Clone(r.Raw), Args: slices.Clone(r.Args)}
}

// clientCaching is CLIENT CACHING YES | NO. It is about the next command, or transaction.
func clientCaching(s *session, cmd *command.Command, r *namespace.Request) {
	s.caching = ""
	if s.mode&modeValues != 0 && (fold(r.At(2), "YES") || fold(r.At(2), "NO")) {
		s.caching = string(r.At(2)) // before which a plan may have something to look at
	}
	s.toPin(cmd, r, noteNone)
}
