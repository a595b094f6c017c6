package proxy

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"riptide-proxy/command"
	"riptide-proxy/namespace"
	"riptide-proxy/resp"
)

// killFilter says which of its clients a tenant wants closed. What is not given
// matches all.
type killFilter struct {
	old         bool // CLIENT KILL addr
	id          int64
	addr, local *string
	kind        clientKind
	byKind      bool
	user        *namespace.Identity
	age         time.Duration
	skipMe      bool
}

var errKilled = errors.New("killed by another client of the tenant")

// clientKill is CLIENT KILL addr | option value [option value ...].
func clientKill(s *session, _ *command.Command, r *namespace.Request) {
	f, err := parseKill(s, r)
	if err != "" {
		s.answerError(err)
		return
	}
	srv, tenant := s.w.srv, s.tenantID()
	s.async(func(ctx context.Context) func() {
		killed, me := int64(0), false
		var own []int64
		err := eachClient(ctx, srv, tenant, func(c *session) {
			switch {
			case !f.matches(c) || c == s && f.skipMe:
				return
			case c == s:
				me = true
			default:
				c.conn.Close(errKilled)
				if c.onHub {
					c.unsubscribed()
				}
				if c.pin != nil && c.pin.ID() > 0 {
					own = append(own, c.pin.ID())
				}
			}
			killed++
		})
		srv.disconnect(ctx, own)
		return func() {
			switch {
			case err != nil:
				s.answerError(errUnavailable)
			case !f.old:
				s.answer(resp.AppendInt(nil, killed))
			case killed == 0:
				s.answerError("ERR No such client")
			default:
				s.answer(ok)
			}
			if me {
				s.finish()
			}
		}
	})
}

// disconnect has the upstream end connections of its own accord. When they are
// just closed it may count them for another moment, and so a client that is told
// that others are gone could still find them subscribed or waiting for a key.
func (s *Server) disconnect(ctx context.Context, ids []int64) {
	if len(ids) == 0 {
		return
	}
	// Where the upstream does not allow it, or is gone, they end by being closed.
	s.client.Pipelined(ctx, func(p redis.Pipeliner) error {
		for _, id := range ids {
			p.Do(ctx, "CLIENT", "KILL", "ID", id)
		}
		return nil
	})
}

func (f *killFilter) matches(c *session) bool {
	return (f.addr == nil || *f.addr == c.conn.Peer().String()) &&
		(f.local == nil || *f.local == c.localAddr().String()) &&
		(f.id == 0 || f.id == int64(c.number)) &&
		(!f.byKind || f.kind == c.kind()) &&
		(f.user == nil || f.user == c.who) &&
		(f.age == 0 || time.Duration(c.w.loop.Now()-c.born) >= f.age) &&
		!c.conn.IsClosed()
}

// killOptions are the filters by name. Each returns an error's text.
var killOptions = map[string]func(s *session, f *killFilter, value []byte) string{
	"ID": func(_ *session, f *killFilter, value []byte) string {
		id, isInt := resp.ParseInt(value)
		if !isInt || id < 1 {
			return "ERR client-id should be greater than 0"
		}
		f.id = id
		return ""
	},
	"TYPE": func(_ *session, f *killFilter, value []byte) string {
		if f.kind, f.byKind = parseKind(value); !f.byKind {
			return errKind(value)
		}
		return ""
	},
	"ADDR":  func(_ *session, f *killFilter, value []byte) string { f.addr = text(value); return "" },
	"LADDR": func(_ *session, f *killFilter, value []byte) string { f.local = text(value); return "" },
	"USER": func(s *session, f *killFilter, value []byte) string {
		if f.user = s.w.conf.directory.Named(value); f.user == nil || f.user.Tenant != s.who.Tenant {
			return "ERR No such user '" + string(quoted(value, 128)) + "'"
		}
		return ""
	},
	"SKIPME": func(_ *session, f *killFilter, value []byte) string {
		if f.skipMe = fold(value, "YES"); !f.skipMe && !fold(value, "NO") {
			return errSyntax.Error()
		}
		return ""
	},
	"MAXAGE": func(s *session, f *killFilter, value []byte) string {
		seconds, isInt := resp.ParseInt(value)
		switch v := s.w.srv.version(); {
		case !v.AtLeast("redis", 7, 4) && !v.AtLeast("valkey", 8, 0):
			return errSyntax.Error()
		case !isInt:
			return "ERR maxage is not an integer or out of range"
		case seconds <= 0:
			return "ERR maxage should be greater than 0"
		}
		f.age = time.Duration(min(seconds, 1<<32)) * time.Second
		return ""
	},
}

func text(b []byte) *string {
	s := string(b)
	return &s
}

func parseKill(s *session, r *namespace.Request) (f killFilter, err string) {
	if len(r.Args) == 3 {
		return killFilter{old: true, addr: text(r.At(2))}, ""
	}
	if len(r.Args) > maxClientArgs {
		return f, errSyntax.Error()
	}
	f.skipMe = true
	for i := 2; i < len(r.Args); i += 2 {
		option := killOptions[strings.ToUpper(string(quoted(r.At(i), 16)))]
		if option == nil || i+1 == len(r.Args) {
			return f, errSyntax.Error()
		}
		if err := option(s, &f, r.At(i+1)); err != "" {
			return f, err
		}
	}
	return f, ""
}
