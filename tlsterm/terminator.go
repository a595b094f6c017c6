package tlsterm

import (
	"container/list"
	"context"
	"crypto/tls"
	"net"
	"os"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"riptide-proxy/config"
)

// Terminator takes clients' connections through their handshakes and then carries their bytes.
// Its methods may be called from any goroutine.
type Terminator struct {
	files     atomic.Pointer[Files]
	timeout   time.Duration // of a handshake
	most      int           // handshakes at a time
	computing chan struct{} // bounds the handshakes that keep a processor busy

	open conns // behind their handshakes

	mu      sync.Mutex
	shaking map[*shaking]struct{} // guarded by mu; all that are at their handshake
	waiting list.List             // guarded by mu; those of them that wait for their peer, the longest first
	closed  bool                  // guarded by mu
	running sync.WaitGroup        // goroutines of Take

	done, failed, crowded atomic.Uint64
}

// NewTerminator makes one with the files loaded.
func NewTerminator(c *config.TLS, files *Files) *Terminator {
	t := &Terminator{
		timeout: time.Duration(c.HandshakeTimeout), most: c.Handshakes, shaking: make(map[*shaking]struct{}),
		// Loops must not wait for strangers' arithmetic.
		computing: make(chan struct{}, max(1, runtime.GOMAXPROCS(0)/2)),
	}
	t.files.Store(files)
	return t
}

// Use has the files used from now on. What is open and was let in by an authority that
// is not there any more is closed.
func (t *Terminator) Use(files *Files) {
	t.files.Store(files)
	t.open.verify(files.Config(), time.Now())
}

// Run looks at the files, and at the certificates of those who are connected, until ctx
// ends.
func (t *Terminator) Run(ctx context.Context) {
	every(ctx, config.RefreshFiles, func() {
		files := t.files.Load()
		files.Refresh()
		t.open.verify(files.Config(), time.Now())
	})
}

// Take takes over an accepted, non-blocking socket. before, if not nil, may read from the
// connection what comes ahead of the handshake. done is called in another goroutine, once,
// with the descriptor that a loop is to adopt, or with an error.
func (t *Terminator) Take(fd int, before func(net.Conn) error, done func(fd int, c *Conn, err error)) {
	t.mu.Lock()
	if t.closed {
		t.mu.Unlock()
		unix.Close(fd)
		done(-1, nil, net.ErrClosed)
		return
	}
	t.running.Add(1)
	t.mu.Unlock()
	go func() {
		defer t.running.Done()
		c, loopEnd, err := t.shake(fd, before)
		if err != nil {
			t.failed.Add(1)
			done(-1, nil, err)
			return
		}
		t.done.Add(1)
		done(loopEnd, c, nil)
		c.bridge.run()
		t.open.remove(c)
	}()
}

// shake does the handshake.
func (t *Terminator) shake(fd int, before func(net.Conn) error) (*Conn, int, error) {
	f := os.NewFile(uintptr(fd), "client")
	raw, err := net.FileConn(f)
	f.Close()
	if err != nil {
		return nil, -1, err
	}
	place, err := t.enter(raw)
	if err != nil {
		raw.Close()
		return nil, -1, err
	}
	c, loopEnd, err := t.greet(place, before)
	if err = t.leave(place, err); err != nil {
		raw.Close()
		return nil, -1, err
	}
	if !t.open.add(c) {
		unix.Close(loopEnd)
		c.bridge.cut()
		return nil, -1, net.ErrClosed
	}
	return c, loopEnd, nil
}

func (t *Terminator) greet(place *shaking, before func(net.Conn) error) (*Conn, int, error) {
	raw := place.Conn
	raw.SetDeadline(time.Now().Add(t.timeout))
	if before != nil {
		if err := before(place); err != nil {
			return nil, -1, err
		}
		raw.SetDeadline(time.Now().Add(t.timeout))
	}
	asked := t.files.Load().Config()
	conn := tls.Server(place, asked)
	if err := place.during(conn.Handshake); err != nil {
		return nil, -1, err
	}
	raw.SetDeadline(time.Time{})
	b, loopEnd, err := newBridge(conn, raw, 0)
	if err != nil {
		return nil, -1, err
	}
	return newConn(b, conn.ConnectionState(), asked.ClientCAs), loopEnd, nil
}

// Drain ends the handshakes that are under way, and takes no more.
func (t *Terminator) Drain() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.closed = true
	for s := range t.shaking {
		s.Conn.Close()
	}
}

// Open is the number of connections behind their handshake, those included that are about to end.
func (t *Terminator) Open() int { return t.open.len() }

// Close waits for the connections to end, whose loops must have closed theirs; when ctx ends they are cut.
// Nothing is left when it returns.
func (t *Terminator) Close(ctx context.Context) {
	t.Drain()
	t.open.end(ctx)
	t.running.Wait()
}

// Stats are a terminator's counters.
type Stats struct {
	Done    uint64    // handshakes
	Failed  uint64    // handshakes, those included that have made room for others
	Crowded uint64    // handshakes that have made room for others
	Open    int       // connections behind their handshake, those included that are about to end
	Shaking int       // connections at their handshake
	Expiry  time.Time // of the certificate
}

// Stats are the counters as they are now.
func (t *Terminator) Stats() Stats {
	s := Stats{Done: t.done.Load(), Failed: t.failed.Load(), Crowded: t.crowded.Load(), Open: t.open.len(), Expiry: t.files.Load().Expiry()}
	t.mu.Lock()
	s.Shaking = len(t.shaking)
	t.mu.Unlock()
	return s
}
