package tlsterm

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"time"

	"golang.org/x/sys/unix"

	"riptide-proxy/config"
)

// Dialer makes encrypted connections to one server, whose certificate is verified. Its methods may be
// called from any goroutine.
type Dialer struct {
	files *Files
	open  conns
}

// NewDialer loads the files. The server's certificate has to be of the configured name, or else
// of host. Errors name the key and the file.
func NewDialer(c *config.UpstreamTLS, host string) (*Dialer, error) {
	name := c.ServerName
	if name == "" {
		name = host
	}
	files, err := clientFiles(c, name)
	if err != nil {
		return nil, err
	}
	return &Dialer{files: files}, nil
}

// Run looks at the files until ctx ends.
func (d *Dialer) Run(ctx context.Context) {
	every(ctx, config.RefreshFiles, func() { d.files.Refresh() })
}

// Client does the handshake on a connection, which it closes on an error. ctx bounds it.
func (d *Dialer) Client(ctx context.Context, raw net.Conn) (*tls.Conn, error) {
	conn := tls.Client(raw, d.files.Config())
	if err := conn.HandshakeContext(ctx); err != nil {
		raw.Close()
		if errors.Is(err, context.DeadlineExceeded) { // a server without TLS waits for more of what it takes for a request
			return nil, fmt.Errorf("no answer to the handshake of TLS (does the server speak it there?): %w", err)
		}
		return nil, err
	}
	return conn, nil
}

// Descriptor returns what a loop is to adopt in place of an encrypted connection. A server that
// takes nothing for as long as patience counts as lost.
func (d *Dialer) Descriptor(conn *tls.Conn, patience time.Duration) (fd int, err error) {
	b, fd, err := newBridge(conn, conn.NetConn(), patience)
	if err != nil {
		conn.NetConn().Close()
		return -1, err
	}
	c := &Conn{bridge: b}
	if !d.open.add(c) {
		unix.Close(fd)
		b.cut()
		return -1, net.ErrClosed
	}
	go func() {
		b.run()
		d.open.remove(c)
	}()
	return fd, nil
}

// Close waits for the connections of Descriptor to end, whose loops must have closed theirs; when ctx
// ends they are cut.
func (d *Dialer) Close(ctx context.Context) { d.open.end(ctx) }
