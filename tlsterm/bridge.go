package tlsterm

import (
	"crypto/tls"
	"errors"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// smallBuffer is what a connection always has to read into, and recordSize what it borrows
	// while more arrives at a time: as much as a record of TLS can have.
	smallBuffer = 1 << 10
	recordSize  = 16 << 10
	// lingerTime is how long the peer of a connection that the loop has closed may do without
	// taking anything of the last answer, and partingTime how long it may then take to close.
	lingerTime  = 3 * time.Second
	partingTime = time.Second
	// lookTime is how often it is looked whether the peer has gone away, while the loop takes nothing.
	lookTime = time.Second
)

var records = sync.Pool{New: func() any { return new([recordSize]byte) }}

// bridge carries bytes between an encrypted connection and a loop's end of a socket pair.
type bridge struct {
	tls      *tls.Conn
	raw      net.Conn // below tls
	pair     *net.UnixConn
	patience time.Duration // that the peer may take nothing for; 0: for ever
	left     atomic.Bool   // the loop has closed its end
	hungUp   atomic.Pointer[func()]
}

// newBridge makes the socket pair and returns the loop's end, which is non-blocking.
func newBridge(t *tls.Conn, raw net.Conn, patience time.Duration) (*bridge, int, error) {
	fds, err := socketPair()
	if err != nil {
		return nil, -1, err
	}
	f := os.NewFile(uintptr(fds[1]), "tls")
	defer f.Close()
	conn, err := net.FileConn(f)
	if err != nil {
		unix.Close(fds[0])
		return nil, -1, err
	}
	return &bridge{tls: t, raw: raw, pair: conn.(*net.UnixConn), patience: patience}, fds[0], nil
}

func socketPair() (fds [2]int, err error) {
	// Not to be inherited by a program that is started at this moment.
	syscall.ForkLock.RLock()
	defer syscall.ForkLock.RUnlock()
	if fds, err = unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM, 0); err != nil {
		return fds, os.NewSyscallError("socketpair", err)
	}
	for _, fd := range fds {
		unix.CloseOnExec(fd)
		if err = unix.SetNonblock(fd, true); err != nil {
			unix.Close(fds[0])
			unix.Close(fds[1])
			return fds, os.NewSyscallError("socketpair", err)
		}
	}
	return fds, nil
}

// run returns when both directions have ended.
func (b *bridge) run() {
	var in sync.WaitGroup
	in.Go(b.in)
	b.out()
	in.Wait()
	b.raw.Close()
	b.pair.Close()
}

// in carries what the peer sends. When the loop has closed its end the rest is thrown away, since
// to close a socket with unread input could cost the peer the last answer.
func (b *bridge) in() {
	small := make([]byte, smallBuffer)
	var record *[recordSize]byte
	buf, closed := small, false
	b.pair.SetWriteDeadline(time.Now().Add(lookTime))
	for {
		n, err := b.tls.Read(buf)
		if n > 0 && !closed {
			closed = b.pass(buf[:n]) != nil
		}
		if err != nil {
			break
		}
		switch full := n == len(buf); {
		case full && record == nil:
			record = records.Get().(*[recordSize]byte)
			buf = record[:]
		case !full && record != nil:
			records.Put(record)
			record, buf = nil, small
		}
	}
	if record != nil {
		records.Put(record)
	}
	b.pair.CloseWrite()
}

// pass gives the loop what has come. While it waits for the loop to take it, nobody reads what comes next, so
// that the peer's end would be noticed by nobody.
func (b *bridge) pass(p []byte) error {
	for {
		n, err := b.pair.Write(p)
		if p = p[n:]; !errors.Is(err, os.ErrDeadlineExceeded) {
			return err
		}
		if f := b.hungUp.Load(); f != nil && ended(b.raw) {
			(*f)()
		}
		b.pair.SetWriteDeadline(time.Now().Add(lookTime))
	}
}

// out carries what the loop sends.
func (b *bridge) out() {
	way, err := b.pair.SyscallConn()
	if err != nil {
		b.raw.Close()
		return
	}
	for {
		record, n, err := receive(way)
		if n > 0 {
			switch {
			case b.left.Load():
				b.raw.SetWriteDeadline(time.Now().Add(lingerTime))
			case b.patience > 0:
				b.raw.SetWriteDeadline(time.Now().Add(b.patience))
			}
			_, err = b.tls.Write(record[:n])
			records.Put(record)
			if b.patience > 0 {
				b.raw.SetWriteDeadline(time.Time{}) // to read may take writing: new keys
			}
			if err != nil {
				b.pair.Close() // tells the loop
				b.raw.Close()
				return
			}
			continue
		}
		if err == nil { // the loop's end was closed
			b.tls.CloseWrite()
			if half, ok := b.raw.(interface{ CloseWrite() error }); ok {
				half.CloseWrite()
			}
		}
		b.raw.SetReadDeadline(time.Now().Add(partingTime))
		return
	}
}

// receive waits for input and only then takes a buffer for it, which is to be given back. n is 0 at
// the end of input and with an error; then there is none.
func receive(way syscall.RawConn) (record *[recordSize]byte, n int, err error) {
	failed := way.Read(func(fd uintptr) bool {
		record = records.Get().(*[recordSize]byte)
		for {
			if n, err = unix.Read(int(fd), record[:]); err != unix.EINTR {
				break
			}
		}
		if n <= 0 {
			records.Put(record)
			record, n = nil, 0
		}
		return err != unix.EAGAIN
	})
	return record, n, errors.Join(err, failed)
}

// leave tells that the loop has closed its end: a peer that takes nothing is given up soon.
func (b *bridge) leave() {
	b.left.Store(true)
	b.raw.SetWriteDeadline(time.Now().Add(lingerTime))
}

// cut ends the connection at once.
func (b *bridge) cut() {
	b.raw.Close()
	b.pair.Close()
}
