// Package upstream is the server behind the proxy: how to reach it, what it
// is, and connections to it. A Link is the multiplexed connection that an
// event loop's sessions share; Client returns a go-redis client for everything
// that is not the hot path.
package upstream

import (
	"context"
	"errors"
	"net"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"

	"riptide-proxy/resp"
	"riptide-proxy/tlsterm"
)

// Target is a standalone server.
type Target struct {
	Address  string // host:port, or unix: and the path of a socket
	Username string // empty: the default user
	Password string // empty: no AUTH
	// TLS encrypts the connections; nil: they are not.
	TLS            *tlsterm.Dialer
	ConnectTimeout time.Duration
	// Timeout is how long a connection that owes replies may send nothing
	// before it counts as lost.
	Timeout time.Duration
	// MaxReply is the longest reply, in bytes, that is held in memory. A longer
	// one is read and dropped, and an error takes its place.
	MaxReply int
	// OnlyEcho tells that the user may run ECHO and nothing else.
	OnlyEcho bool
}

// ErrUnavailable is the fate of a command for which no connection was there.
var ErrUnavailable = errors.New("UNAVAILABLE the upstream does not answer")

// ErrUnknown is the fate of a command that was sent when the connection broke.
var ErrUnknown = errors.New("UNKNOWN connection to the upstream was lost, the command may have run")

// greeting is what a new connection says first, and the number of replies to
// expect. The last one comes from a command that a server which wants a password
// refuses.
func (t *Target) greeting(proto int) (b []byte, replies int) {
	b, replies = t.login(proto)
	if t.OnlyEcho {
		return resp.AppendRequest(b, "ECHO", "hello"), replies + 1
	}
	return resp.AppendRequest(b, "PING"), replies + 1
}

func (t *Target) login(proto int) (b []byte, replies int) {
	user := t.Username
	if user == "" {
		user = "default"
	}
	switch {
	case proto == 3 && t.Password != "":
		b = resp.AppendRequest(b, "HELLO", "3", "AUTH", user, t.Password)
		replies++
	case proto == 3:
		b = resp.AppendRequest(b, "HELLO", "3")
		replies++
	case t.Password != "" && t.Username == "":
		b = resp.AppendRequest(b, "AUTH", t.Password)
		replies++
	case t.Password != "":
		b = resp.AppendRequest(b, "AUTH", user, t.Password)
		replies++
	}
	return b, replies
}

// AppendReset appends what brings a connection back to where it was after its
// greeting, in RESP2, and tells the number of replies.
func (t *Target) AppendReset(b []byte) (_ []byte, replies int) {
	login, replies := t.login(2)
	return append(resp.AppendRequest(b, "RESET"), login...), replies + 1
}

// AppendLogin appends an AUTH as the target's user. A user without a password is
// logged in by any.
func (t *Target) AppendLogin(b []byte) []byte {
	user, password := t.Username, t.Password
	if user == "" {
		user = "default"
	}
	return resp.AppendRequest(b, "AUTH", user, password)
}

// Client returns a go-redis client to the target with up to conns connections.
// It never retries, since a write that has been sent must not be sent twice.
func (t *Target) Client(conns int) *redis.Client { return t.ClientOf(conns, 2) }

// ClientOf is Client for a version of the protocol, 2 or 3.
func (t *Target) ClientOf(conns, proto int) *redis.Client {
	return t.client(conns, proto, t.dial)
}

// ClientUntil is Client, whose connections are closed when ctx ends, also those that go-redis has not got through their
// greeting: closing the client leaves these alone, and a server that is silent would have them waited for.
func (t *Target) ClientUntil(ctx context.Context, conns int) *redis.Client {
	return t.client(conns, 2, func(dialing context.Context, network, address string) (net.Conn, error) {
		conn, err := t.dial(dialing, network, address)
		if err != nil {
			return nil, err
		}
		return &bounded{conn, context.AfterFunc(ctx, func() { conn.Close() })}, nil
	})
}

// bounded is a connection that something else closes as well, unless it is closed before.
type bounded struct {
	net.Conn
	release func() bool
}

// Close implements net.Conn.
func (b *bounded) Close() error {
	b.release()
	return b.Conn.Close()
}

func (t *Target) client(conns, proto int, dial func(ctx context.Context, network, address string) (net.Conn, error)) *redis.Client {
	return redis.NewClient(&redis.Options{
		Addr:                     t.Address,
		Dialer:                   dial,
		Username:                 t.Username,
		Password:                 t.Password,
		Protocol:                 proto,
		MaintNotificationsConfig: &maintnotifications.Config{Mode: maintnotifications.ModeDisabled},
		DisableIdentity:          true,
		MaxRetries:               -1,
		PoolSize:                 conns,
		DialTimeout:              t.ConnectTimeout,
		ReadTimeout:              t.Timeout,
		WriteTimeout:             t.Timeout,
		PoolTimeout:              t.Timeout,
		ContextTimeoutEnabled:    true,
	})
}
