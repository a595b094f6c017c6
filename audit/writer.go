package audit

import (
	"errors"
	"log/slog"
	"time"
)

// writer is the goroutine that writes a log.
type writer struct {
	log    *Log
	stream *stream
	now    func() time.Time

	out     []byte // records that are not written yet
	from    link   // the chain's end before them
	waiting int    // how many they are
	block   int    // where in out those begin that have no seal
	records int    // how many they are

	told     uint64    // dropped records that are recorded as such
	unsynced bool      // something was written since the last sync
	failed   time.Time // when a failure was logged last
	retained time.Time // when old files were looked for last
}

const (
	// writeSize is how much is written at once, more or less.
	writeSize = 256 << 10
	// rest is how long the writer lets more come together after it has written something, so that a busy
	// log does not wake it for every chunk.
	rest = 50 * time.Millisecond
	// retainEvery is how often files are looked for that are too old.
	retainEvery = time.Minute
	// failureEvery is how often a failure that lasts is logged.
	failureEvery = time.Minute
	// idle is how long the writer waits for something to record before it looks whether
	// there is something else to do.
	idle = 250 * time.Millisecond
	// maxSpare is how large a buffer may be to be used again.
	maxSpare = 8 * ChunkSize
)

func (w *writer) run() {
	defer close(w.log.done)
	w.retain()
	tick := time.NewTicker(idle)
	defer tick.Stop()
	pause := time.NewTimer(rest)
	defer pause.Stop()
	synced := w.now()
	for {
		busy := false
		select {
		case c := <-w.log.chunks:
			w.chunk(c)
			busy = true
		case e := <-w.log.events:
			w.add(e, 1)
		case <-tick.C:
		case <-w.log.closed:
			w.end()
			return
		}
		w.gather()
		r, now := w.log.retention.Load(), w.now()
		if w.unsynced && r.Sync > 0 && now.Sub(synced) >= r.Sync {
			w.sync()
			synced = now
		}
		if now.Sub(w.retained) >= retainEvery {
			w.retain()
		}
		if !busy {
			continue
		}
		pause.Reset(rest)
		select {
		case <-pause.C:
		case <-w.log.hurry:
		case <-w.log.closed:
		}
	}
}

// gather takes all that waits and writes it.
func (w *writer) gather() {
	for {
		select {
		case c := <-w.log.chunks:
			w.chunk(c)
		case e := <-w.log.events:
			w.add(e, 1)
		default:
			w.write()
			w.drops()
			return
		}
	}
}

// end is for a log that is closed.
func (w *writer) end() {
	w.gather()
	w.event(Event{Event: "stop"})
	w.log.err = errors.Join(w.flush(), w.stream.close())
}

// chunk takes what a loop has gathered. A large one is sealed and written where it is: copying it would take
// longer than anything else but the hash.
func (w *writer) chunk(c chunk) {
	if len(c.lines) < blockSize {
		w.add(c.lines, c.records)
	} else {
		w.write()
		own := w.out
		w.out, w.from, w.waiting, w.records = c.lines, w.stream.sealer.link, c.records, c.records
		w.write()
		c.lines, w.out = w.out, own
	}
	if cap(c.lines) > maxSpare {
		return
	}
	select {
	case w.log.spare <- c.lines:
	default:
	}
}

// event takes one of the writer's own.
func (w *writer) event(e Event) { w.add(AppendEvent(nil, w.now(), e), 1) }

// add adds records.
func (w *writer) add(lines []byte, records int) {
	if len(w.out) == 0 {
		w.from = w.stream.sealer.link
	}
	w.out = append(w.out, lines...)
	w.waiting += records
	w.records += records
	if len(w.out)-w.block >= blockSize {
		w.seal()
	}
	if len(w.out) >= writeSize {
		w.write()
	}
}

// seal ends a block.
func (w *writer) seal() {
	if w.records > 0 {
		w.out = w.stream.sealer.seal(w.out, w.block, w.records, w.now())
		w.block, w.records = len(w.out), 0
	}
}

// drops records how many records were dropped since it was recorded last.
func (w *writer) drops() {
	n := w.log.dropped.Load()
	if n == w.told {
		return
	}
	fields, _ := marshal(struct {
		Event string `json:"event"`
		Count uint64 `json:"count"`
	}{"dropped", n - w.told})
	w.add(appendRecord(nil, w.now(), fields), 1)
	w.waiting-- // it is not dropped itself, but tried again
	if w.flush() != nil {
		return
	}
	w.log.records.Add(1)
	slog.Warn("the audit log has dropped records", "count", n-w.told)
	w.told = n
}

// write writes what was sealed, and says so if it can not.
func (w *writer) write() {
	if err := w.flush(); err != nil {
		w.log.failures.Add(1)
		if now := w.now(); now.Sub(w.failed) >= failureEvery {
			w.failed = now
			slog.Error("the audit log can not be written", "error", err)
		}
	}
}

// flush writes what was sealed. What can not be written is dropped.
func (w *writer) flush() error {
	if len(w.out) == 0 {
		return nil
	}
	w.seal()
	n, size := w.waiting, len(w.out)
	err := w.stream.write(w.out, w.from)
	w.out, w.waiting, w.block = w.out[:0], 0, 0
	if err != nil {
		w.log.dropped.Add(uint64(n))
		return err
	}
	w.unsynced = true
	w.log.records.Add(uint64(n))
	w.log.bytes.Add(uint64(size))
	return w.rotate()
}

// rotate begins another file if it is time.
func (w *writer) rotate() error {
	r := w.log.retention.Load()
	age := w.now().Sub(w.stream.born)
	if w.stream.size < r.RotateSize && (r.RotateEvery <= 0 || age < r.RotateEvery) {
		return nil
	}
	w.sync()
	if err := w.stream.begin(""); err != nil {
		return err
	}
	w.retained = time.Time{} // there may be one too many
	return nil
}

func (w *writer) sync() {
	w.unsynced = false
	if err := w.stream.sync(); err != nil {
		slog.Error("the audit log can not be forced to the disk", "error", err)
	}
}
