package tlsterm

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"time"
)

// Conn is a connection whose handshake is done.
type Conn struct {
	bridge *bridge
	chain  []*x509.Certificate // that the peer has given; none for a client without a certificate
	leaf   *x509.Certificate   // of those, verified; nil: none
	end    time.Time           // of the first of those to end
	by     *x509.CertPool      // the authorities it was verified by
}

func newConn(b *bridge, state tls.ConnectionState, by *x509.CertPool) *Conn {
	c := &Conn{bridge: b, chain: state.PeerCertificates, by: by}
	if len(state.VerifiedChains) > 0 {
		c.leaf = state.VerifiedChains[0][0]
		for _, one := range state.VerifiedChains[0] {
			if c.end.IsZero() || one.NotAfter.Before(c.end) {
				c.end = one.NotAfter
			}
		}
	}
	return c
}

// Names are those of the client's certificate, which was verified; none if it has given
// none.
func (c *Conn) Names() []string {
	if c.leaf == nil {
		return nil
	}
	return Names(c.leaf)
}

// Local is the address that the client has connected to.
func (c *Conn) Local() netip.AddrPort {
	if a, ok := c.bridge.raw.LocalAddr().(*net.TCPAddr); ok {
		return netip.AddrPortFrom(a.AddrPort().Addr().Unmap(), a.AddrPort().Port())
	}
	return netip.AddrPort{}
}

// Leave tells that the loop has closed its end. It does not block.
func (c *Conn) Leave() { c.bridge.leave() }

// OnHangUp has f called, in another goroutine, when the peer will send no more and the loop takes nothing of what it has sent
// before: once a second as long as that is so. It may also be called for the last bytes of a peer that was silent for
// a second before them, though the loop does take them; so f must do no harm then. What has come before is still given to
// the loop.
func (c *Conn) OnHangUp(f func()) { c.bridge.hungUp.Store(&f) }

var (
	errNoAuthorities = errors.New("clients' certificates are not verified any more")
	errNoCertificate = errors.New("it has none, and clients must have one by now")
)

// check tells what is wrong with the client's certificate by now. Its authority is only looked
// at when there are others than before. It is called by one goroutine at a time.
func (c *Conn) check(by *tls.Config, now time.Time) error {
	authorities := by.ClientCAs
	switch {
	case len(c.chain) == 0 && by.ClientAuth == tls.RequireAndVerifyClientCert:
		return errNoCertificate
	case len(c.chain) == 0:
		return nil
	case authorities == nil:
		return errNoAuthorities
	case now.After(c.end):
		return fmt.Errorf("it has ended at %v", c.end)
	case authorities == c.by:
		return nil
	}
	o := x509.VerifyOptions{
		Roots: authorities, Intermediates: x509.NewCertPool(), CurrentTime: now,
		KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}
	for _, between := range c.chain[1:] {
		o.Intermediates.AddCert(between)
	}
	if _, err := c.chain[0].Verify(o); err != nil {
		return err
	}
	c.by = authorities
	return nil
}

// conns are connections that are open.
type conns struct {
	mu       sync.Mutex
	all      map[*Conn]struct{} // guarded by mu
	closed   bool               // guarded by mu
	running  sync.WaitGroup     // one for each of them
	checking sync.Mutex
}

// add reports whether it is not over yet.
func (o *conns) add(c *Conn) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.closed {
		return false
	}
	if o.all == nil {
		o.all = make(map[*Conn]struct{})
	}
	o.all[c] = struct{}{}
	o.running.Add(1)
	return true
}

func (o *conns) remove(c *Conn) {
	o.mu.Lock()
	defer o.mu.Unlock()
	delete(o.all, c)
	o.running.Done()
}

func (o *conns) len() int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return len(o.all)
}

func (o *conns) list() []*Conn {
	o.mu.Lock()
	defer o.mu.Unlock()
	list := make([]*Conn, 0, len(o.all))
	for c := range o.all {
		list = append(list, c)
	}
	return list
}

// verify closes those whose certificates are not good any more: they have ended, or their authority
// is not one of ours now, or there has to be one and is none.
func (o *conns) verify(by *tls.Config, now time.Time) {
	o.checking.Lock()
	defer o.checking.Unlock()
	for _, c := range o.list() {
		if err := c.check(by, now); err != nil {
			slog.Info("a client's certificate is not good any more", "client", c.bridge.raw.RemoteAddr().String(), "error", err)
			c.bridge.cut()
		}
	}
}

// end takes no more and waits until all are removed; when ctx ends they are cut.
func (o *conns) end(ctx context.Context) {
	o.mu.Lock()
	o.closed = true
	o.mu.Unlock()
	ended := make(chan struct{})
	go func() {
		o.running.Wait()
		close(ended)
	}()
	select {
	case <-ended:
		return
	case <-ctx.Done():
	}
	for _, c := range o.list() {
		c.bridge.cut()
	}
	<-ended
}
