package netloop

import (
	"errors"
	"fmt"
	"log/slog"
	"math/bits"
	"runtime"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// ErrStopped is what is reported for work handed to a loop that has ended.
var ErrStopped = errors.New("the event loop has stopped")

// descriptor is anything in the loop's set.
type descriptor interface {
	ready(ev event)
	abort(err error) // a panic while it was being served
}

// Loop is one event loop. Unless said otherwise its methods, and those of what
// it owns, are to be called on its own goroutine: from handlers, timers and
// posted functions.
type Loop struct {
	poll  *poller
	fds   []descriptor // by descriptor number
	conns int          // open connections

	now     int64 // nanoseconds since start, taken when a turn begins
	yielded int64 // when the loop last let the scheduler run
	start   time.Time
	timers  timerHeap

	dirty   []*Conn // have output from this turn
	trunks  []*Conn // likewise, and go first
	again   []*Conn // have input to be handled in the next turn
	again2  []*Conn // those of this turn that were not handled yet; then spare
	closing []*Conn // closed in this turn, not yet reaped

	in   input
	pool blocks
	iov  [64]iovec

	beforeWrite func()
	current     descriptor // being served, for the handling of panics
	turns       Histogram
	stopped     bool

	wakeR, wakeW int
	awake        atomic.Bool // a wake-up is under way, or not needed
	mu           sync.Mutex
	mail         []func() // guarded by mu
	mailSpare    []func()
	dead         bool // guarded by mu: Run has ended
}

// yieldPeriod is how often the loop passes through the scheduler. To the
// runtime a goroutine that never does so is one to be preempted: from the tenth
// millisecond on its monitor would take the processor away at every wait that
// blocks, and poll every 20 microseconds for that purpose, which costs more
// than a tenth of a small command.
const yieldPeriod = int64(8 * time.Millisecond)

// Histogram counts durations by powers of two: bucket i holds those below
// 2^i microseconds that are not in a lower bucket, the last one all others.
type Histogram struct {
	Buckets [24]uint64
	Sum     time.Duration
}

// Observe counts one duration.
func (h *Histogram) Observe(d time.Duration) {
	h.Buckets[min(bits.Len64(uint64(d/time.Microsecond)), len(h.Buckets)-1)]++
	h.Sum += d
}

// New makes a loop; Run runs it.
func New() (*Loop, error) {
	p, err := newPoller()
	if err != nil {
		return nil, fmt.Errorf("event loop: %w", err)
	}
	l := &Loop{poll: p, start: time.Now()}
	l.in.arena = make([]byte, arenaSize)
	var fds [2]int
	if err := unix.Pipe(fds[:]); err != nil {
		p.close()
		return nil, fmt.Errorf("event loop: %w", err)
	}
	l.wakeR, l.wakeW = fds[0], fds[1]
	for _, fd := range fds {
		unix.CloseOnExec(fd)
		if err := unix.SetNonblock(fd, true); err != nil {
			return nil, fmt.Errorf("event loop: %w", err)
		}
	}
	l.register(l.wakeR, waker{l})
	if err := p.add(l.wakeR, true, false); err != nil {
		return nil, fmt.Errorf("event loop: %w", err)
	}
	return l, nil
}

// BeforeWrite names a function to run once a turn, after all input and before
// any output is written. To be called before Run.
func (l *Loop) BeforeWrite(f func()) { l.beforeWrite = f }

// Now is the loop's clock: nanoseconds since it was made, as of the beginning
// of the turn.
func (l *Loop) Now() int64 { return l.now }

// Turns is how long the loop's turns took, waiting excluded.
func (l *Loop) Turns() *Histogram { return &l.turns }

// Conns is the number of open connections.
func (l *Loop) Conns() int { return l.conns }

// Post has f run on the loop, soon. It may be called from any goroutine and
// reports whether the loop still takes work.
func (l *Loop) Post(f func()) bool {
	l.mu.Lock()
	if l.dead {
		l.mu.Unlock()
		return false
	}
	l.mail = append(l.mail, f)
	// Under the lock, since the loop may end as soon as it is released, and
	// the number of its pipe then be that of somebody's connection.
	if !l.awake.Swap(true) {
		unix.Write(l.wakeW, []byte{0}) // a full pipe wakes the loop as well
	}
	l.mu.Unlock()
	return true
}

// StopRun ends the loop after this turn; connections still open are closed.
func (l *Loop) StopRun() { l.stopped = true }

// Run serves until StopRun. A handler that panics loses its connection, and
// nobody else theirs.
func (l *Loop) Run() error {
	defer l.end()
	var err error
	for !l.stopped && err == nil {
		err = l.runTurns()
	}
	return err
}

// runTurns returns nil after StopRun or after a panic that was dealt with.
func (l *Loop) runTurns() (err error) {
	defer func() {
		if p := recover(); p != nil {
			slog.Error("panic in the event loop", "panic", p, "stack", string(debug.Stack()))
			if d := l.current; d != nil {
				l.current = nil
				d.abort(fmt.Errorf("internal error: %v", p))
			}
			// The turn was cut short; the next one takes the rest of it.
			l.again = append(l.again, l.again2...)
			l.again2 = l.again2[:0]
		}
	}()
	busy := true // a turn that was cut short is finished without waiting
	for !l.stopped {
		if l.now-l.yielded > yieldPeriod {
			l.yielded = l.now
			runtime.Gosched()
		}
		wait := 0
		if !busy && len(l.again) == 0 && len(l.dirty) == 0 && len(l.trunks) == 0 {
			wait = l.timeout()
		}
		events, err := l.poll.wait(wait)
		if err != nil {
			return fmt.Errorf("event loop: %w", err)
		}
		// After a turn with work, look once without blocking: a call that
		// may block costs more, and under load there is always something.
		busy = len(events) > 0
		l.turn(events)
	}
	return nil
}

func (l *Loop) turn(events []event) {
	l.now = int64(time.Since(l.start))
	l.again, l.again2 = l.again2[:0], l.again
	again := len(l.again2)
	for _, ev := range events {
		if ev.fd < len(l.fds) {
			if d := l.fds[ev.fd]; d != nil {
				l.current = d
				d.ready(ev)
			}
		}
	}
	for i, c := range l.again2 {
		if c == nil {
			continue // handled in a turn that was cut short
		}
		l.again2[i] = nil
		l.current = c
		c.redeliver()
	}
	l.again2 = l.again2[:0]
	l.current = nil
	if len(l.timers) > 0 {
		l.runTimers()
	}
	if l.beforeWrite != nil {
		guard(l.beforeWrite)
	}
	l.flush()
	l.reap()
	if len(events) > 0 || again > 0 {
		l.turns.Observe(time.Since(l.start) - time.Duration(l.now))
	}
}

// flush writes what connections have to send, and lets go of this turn's input.
func (l *Loop) flush() {
	served := l.current // when it happens in the middle of a turn
	for len(l.trunks) > 0 || len(l.dirty) > 0 {
		l.writeAll(&l.trunks)
		l.writeAll(&l.dirty)
	}
	l.current = served
	l.in.pos = 0
	for i, b := range l.in.retired {
		l.pool.put(b)
		l.in.retired[i] = nil
	}
	l.in.retired = l.in.retired[:0]
}

// writeAll writes each connection of a list and empties it. Handlers may add to
// it meanwhile.
func (l *Loop) writeAll(list *[]*Conn) {
	for i := 0; i < len(*list); i++ {
		c := (*list)[i]
		if c == nil {
			continue // written in a turn that was cut short
		}
		(*list)[i] = nil
		c.dirty = false
		l.current = c
		c.write()
		c.out.keep()
	}
	*list = (*list)[:0]
}

// reap closes what was marked as closed. Handlers may close others meanwhile.
func (l *Loop) reap() {
	for i := 0; i < len(l.closing); i++ {
		c := l.closing[i]
		l.closing[i] = nil
		c.reap()
	}
	l.closing = l.closing[:0]
}

func (l *Loop) register(fd int, d descriptor) {
	for fd >= len(l.fds) {
		l.fds = append(l.fds, nil)
	}
	l.fds[fd] = d
}

func (l *Loop) unregister(fd int) { l.fds[fd] = nil }

// closeAll closes every connection and listener.
func (l *Loop) closeAll() {
	for _, d := range l.fds {
		if d != nil {
			d.abort(ErrStopped)
		}
	}
	l.reap()
}

// end closes whatever is left, and refuses further mail.
func (l *Loop) end() {
	l.closeAll()
	l.mu.Lock()
	l.dead = true
	mail := l.mail
	l.mail = nil
	l.mu.Unlock()
	for _, f := range mail {
		guard(f) // what was posted is done, so that nobody waits for it in vain
	}
	l.closeAll() // the mail may have brought connections
	l.poll.close()
	unix.Close(l.wakeR)
	unix.Close(l.wakeW)
}

// waker is the reading end of the pipe that wakes the loop for its mail.
type waker struct{ l *Loop }

func (w waker) abort(error) {}

func (w waker) ready(event) {
	l := w.l
	var b [64]byte
	unix.Read(l.wakeR, b[:])
	l.awake.Store(false) // before the mail is taken: what comes later wakes again
	l.mu.Lock()
	mail := l.mail
	l.mail = l.mailSpare[:0]
	l.mailSpare = nil
	l.mu.Unlock()
	for i, f := range mail {
		mail[i] = nil
		guard(f)
	}
	l.mailSpare = mail[:0]
}

// guard keeps a panic of one letter, or of one connection that is told of its
// end, from losing the ones behind it.
func guard(f func()) {
	defer func() {
		if p := recover(); p != nil {
			slog.Error("panic in the event loop", "panic", p, "stack", string(debug.Stack()))
		}
	}()
	f()
}
