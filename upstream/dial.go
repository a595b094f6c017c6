package upstream

import (
	"context"
	"crypto/tls"
	"net"
	"strings"
	"syscall"
	"time"

	"riptide-proxy/config"
	"riptide-proxy/netloop"
	"riptide-proxy/tlsterm"
)

// NewTarget is the target of a configuration whose upstream is not embedded. Errors name the key and
// the file.
func NewTarget(c *config.Upstream) (*Target, error) {
	t := &Target{
		Address:        c.Addresses[0],
		Username:       c.Username,
		Password:       c.Password.Reveal(),
		ConnectTimeout: time.Duration(c.ConnectTimeout),
		Timeout:        time.Duration(c.Timeout),
	}
	if c.TLS != nil {
		host := ""
		if network, address := t.way(); network == "tcp" {
			host, _, _ = net.SplitHostPort(address)
		}
		var err error
		if t.TLS, err = tlsterm.NewDialer(c.TLS, host); err != nil {
			return nil, err
		}
	}
	return t, nil
}

// way is how package net names where the server listens.
func (t *Target) way() (network, address string) {
	if path, ok := strings.CutPrefix(t.Address, "unix:"); ok {
		return "unix", path
	}
	return "tcp", t.Address
}

// connect connects, with the handshake of TLS if there is one, within ConnectTimeout.
func (t *Target) connect(ctx context.Context) (net.Conn, error) {
	if t.ConnectTimeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, t.ConnectTimeout)
		defer cancel()
	}
	network, address := t.way()
	conn, err := new(net.Dialer).DialContext(ctx, network, address)
	if err != nil {
		return nil, err
	}
	if t.TLS == nil {
		return conn, nil
	}
	secure, err := t.TLS.Client(ctx, conn)
	if err != nil {
		return nil, err
	}
	return secure, nil
}

// dial is go-redis's way to the server.
func (t *Target) dial(ctx context.Context, _, _ string) (net.Conn, error) {
	conn, err := t.connect(ctx)
	if err != nil {
		return nil, err
	}
	return &guard{Conn: conn}, nil
}

// descriptor connects for a loop, which gets the descriptor.
func (t *Target) descriptor() (fd int, err error) {
	conn, err := t.connect(context.Background())
	if err != nil {
		return -1, err
	}
	if secure, ok := conn.(*tls.Conn); ok {
		return t.TLS.Descriptor(secure, t.Timeout)
	}
	defer conn.Close()
	return netloop.Detach(conn.(syscall.Conn))
}

// Run keeps what belongs to the target up to date, until ctx ends.
func (t *Target) Run(ctx context.Context) {
	if t.TLS != nil {
		t.TLS.Run(ctx)
	}
}

// Close waits until nothing is left of the loops' connections, all of which must be closed; when ctx ends
// they are cut.
func (t *Target) Close(ctx context.Context) {
	if t.TLS != nil {
		t.TLS.Close(ctx)
	}
}
