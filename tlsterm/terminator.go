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
	waiting list.List      // guarded by mu; net.Conn at their handshakes, the oldest first
	closed  bool           // guarded by mu
	running sync.WaitGroup // goroutines of Take

	done, failed, crowded atomic.Uint64
}

// NewTerminator makes one with the files loaded.
func NewTerminator(c *config.TLS, files *Files) *Terminator {
	t := &Terminator{
		timeout: time.Duration(c.HandshakeTimeout), most: c.Handshakes,
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
	t.open.verify(files.Config().ClientCAs, time.Now())
}

// Run looks at the files, and at the certificates of those who are connected, until ctx
// ends.
func (t *Terminator) Run(ctx context.Context) {
	every(ctx, config.RefreshFiles, func() {
		files := t.files.Load()
		files.Refresh()
		t.open.verify(files.Config().ClientCAs, time.Now())
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
	place, ok := t.enter(raw)
	if !ok {
		raw.Close()
		return nil, -1, net.ErrClosed
	}
	c, loopEnd, err := t.greet(raw, before)
	t.leave(place)
	if err != nil {
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

func (t *Terminator) greet(raw net.Conn, before func(net.Conn) error) (*Conn, int, error) {
	raw.SetDeadline(time.Now().Add(t.timeout))
	if before != nil {
		if err := before(raw); err != nil {
			return nil, -1, err
		}
	}
	turns := &inTurns{Conn: raw, turns: t.computing}
	asked := t.files.Load().Config()
	conn := tls.Server(turns, asked)
	if err := turns.during(conn.Handshake); err != nil {
		return nil, -1, err
	}
	raw.SetDeadline(time.Time{})
	b, loopEnd, err := newBridge(conn, raw, 0)
	if err != nil {
		return nil, -1, err
	}
	return newConn(b, conn.ConnectionState(), asked.ClientCAs), loopEnd, nil
}

// enter notes a connection that begins its handshake. When there are too many the one that has been at it
// longest makes room: those who mean to connect are done in a moment.
func (t *Terminator) enter(raw net.Conn) (place *list.Element, ok bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed {
		return nil, false
	}
	if t.waiting.Len() >= t.most {
		t.crowded.Add(1)
		oldest := t.waiting.Front()
		oldest.Value.(net.Conn).Close()
		t.waiting.Remove(oldest)
	}
	return t.waiting.PushBack(raw), true
}

// leave notes the end of a handshake.
func (t *Terminator) leave(place *list.Element) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.waiting.Remove(place) // does nothing if it has made room
}

// Drain ends the handshakes that are under way, and takes no more.
func (t *Terminator) Drain() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.closed = true
	for e := t.waiting.Front(); e != nil; e = e.Next() {
		e.Value.(net.Conn).Close()
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
	Waiting int       // connections at their handshake
	Expiry  time.Time // of the certificate
}

// Stats are the counters as they are now.
func (t *Terminator) Stats() Stats {
	s := Stats{Done: t.done.Load(), Failed: t.failed.Load(), Crowded: t.crowded.Load(), Open: t.open.len(), Expiry: t.files.Load().Expiry()}
	t.mu.Lock()
	s.Waiting = t.waiting.Len()
	t.mu.Unlock()
	return s
}

// inTurns is a connection whose handshake computes only while it has a turn, which it gives
// back while it waits for the peer.
type inTurns struct {
	net.Conn
	turns   chan struct{}
	shaking bool
}

func (c *inTurns) during(handshake func() error) error {
	c.shaking = true
	c.turns <- struct{}{}
	defer func() {
		<-c.turns
		c.shaking = false
	}()
	return handshake()
}

func (c *inTurns) pause() (resume func()) {
	if !c.shaking {
		return func() {}
	}
	<-c.turns
	return func() { c.turns <- struct{}{} }
}

func (c *inTurns) Read(b []byte) (int, error) {
	defer c.pause()()
	return c.Conn.Read(b)
}

func (c *inTurns) Write(b []byte) (int, error) {
	defer c.pause()()
	return c.Conn.Write(b)
}
