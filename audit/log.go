package audit

import (
	"fmt"
	"sync"
	"sync/atomic"
	"time"
)

// Options say where a log is kept and how.
type Options struct {
	Dir    string // folder; it is made if it is not there
	Secret []byte // for the chain; empty: it is of plain SHA-256
	Buffer int64  // bytes that may wait to be written
	Retention
	Now func() time.Time // nil: time.Now
}

// Retention says for how long what is kept. It may change while the log is written.
type Retention struct {
	Sync        time.Duration // how often what was written is forced to the disk; 0: never
	RotateSize  int64         // size in bytes at which another file is begun
	RotateEvery time.Duration // age at which another file is begun; 0: none
	KeepFiles   int           // files, the one that is written to included; 0: any number
	KeepFor     time.Duration // how long after it was written to last; 0: for ever
}

const (
	// ChunkSize is how many bytes of records an event loop gathers before it hands them over, more or less.
	ChunkSize = 32 << 10
	// ChunkTime is how long it gathers them at most.
	ChunkTime = 50 * time.Millisecond
	// waitingEvents is how many Events may wait to be written. Commands can not take their room.
	waitingEvents = 256
)

// chunk is what is handed over: records, each with a line feed behind it.
type chunk struct {
	lines   []byte
	records int
}

// Log is a log that is being written. Its methods may be called from any goroutine, and those that record also
// of a nil Log, which records nothing.
type Log struct {
	chunks chan chunk
	spare  chan []byte // emptied chunks
	events chan []byte
	hurry  chan struct{} // has the writer look at once

	dropped   atomic.Uint64 // records, all together
	records   atomic.Uint64
	bytes     atomic.Uint64
	failures  atomic.Uint64
	retention atomic.Pointer[Retention]

	closing sync.Once
	closed  chan struct{}
	done    chan struct{}
	err     error // of closing
}

// Open opens the log in a folder, going on where the last process has stopped, and records the event "start".
func Open(o Options) (*Log, error) {
	if o.Now == nil {
		o.Now = time.Now
	}
	s, err := openStream(o.Dir, o.Secret, o.Now)
	if err != nil {
		return nil, fmt.Errorf("audit.dir: %w", err)
	}
	room := max(2, int(o.Buffer/ChunkSize))
	l := &Log{
		chunks: make(chan chunk, room), spare: make(chan []byte, room), events: make(chan []byte, waitingEvents), hurry: make(chan struct{}, 1),
		closed: make(chan struct{}), done: make(chan struct{}),
	}
	l.SetRetention(o.Retention)
	w := &writer{log: l, stream: s, now: o.Now}
	start := Event{Event: "start"}
	if s.cut > 0 {
		start.Reason = fmt.Sprintf("%d bytes that had no seal were cut off: a process was killed while it wrote them", s.cut)
	}
	w.event(start)
	if err := w.flush(); err != nil {
		s.close()
		return nil, fmt.Errorf("audit.dir: %w", err)
	}
	go w.run()
	return l, nil
}

// SetRetention changes for how long what is kept.
func (l *Log) SetRetention(r Retention) {
	if l != nil {
		l.retention.Store(&r)
	}
}

// Event records something. It does not wait: where too many are waiting it is dropped and counted.
func (l *Log) Event(e Event) {
	if l == nil {
		return
	}
	select {
	case <-l.closed:
		return
	default:
	}
	select {
	case l.events <- AppendEvent(nil, time.Now(), e):
		l.soon(len(l.events), cap(l.events))
	default:
		l.dropped.Add(1)
	}
}

// soon has the writer take what waits where a quarter of the room is taken.
func (l *Log) soon(taken, room int) {
	if taken*4 < room {
		return
	}
	select {
	case l.hurry <- struct{}{}:
	default:
	}
}

// Hand takes over what an event loop has gathered: records, which are JSON objects that begin with their time, with a
// line feed behind each. It returns an empty buffer to go on with. Where there is no room the records are dropped and counted.
func (l *Log) Hand(lines []byte, records int) (empty []byte) {
	select {
	case l.chunks <- chunk{lines, records}:
		l.soon(len(l.chunks), cap(l.chunks))
	default:
		l.dropped.Add(uint64(records))
		return lines[:0]
	}
	select {
	case empty = <-l.spare:
		return empty[:0]
	default:
		return make([]byte, 0, 2*ChunkSize)
	}
}

// Crowded reports whether half of the room for chunks is taken, so that small ones should wait to become larger.
func (l *Log) Crowded() bool { return len(l.chunks) > cap(l.chunks)/2 }

// Stats are a log's counters since it was opened.
type Stats struct {
	Records  uint64 // written
	Bytes    uint64
	Dropped  uint64 // records that there was no room for, or that could not be written
	Failures uint64 // times that writing failed
}

// Stats returns the counters; nil for a nil Log.
func (l *Log) Stats() *Stats {
	if l == nil {
		return nil
	}
	return &Stats{Records: l.records.Load(), Bytes: l.bytes.Load(), Dropped: l.dropped.Load(), Failures: l.failures.Load()}
}

// Close writes what waits and the event "stop". Whoever hands chunks over must have stopped. The error is that of
// writing or closing the file.
func (l *Log) Close() error {
	if l == nil {
		return nil
	}
	l.closing.Do(func() { close(l.closed) })
	<-l.done
	return l.err
}
