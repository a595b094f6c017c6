package ledger

import "riptide-proxy/command"

// Figures are what a tenant has used, as one proxy has counted it. All are whole
// numbers, so that sums are exact in any order.
type Figures struct {
	// Operations, by the command's class.
	Read   int64 `json:"read,omitempty"`
	Write  int64 `json:"write,omitempty"`
	Script int64 `json:"script,omitempty"`
	PubSub int64 `json:"pubsub,omitempty"`
	Other  int64 `json:"other,omitempty"`

	In        int64 `json:"in,omitempty"`        // bytes of requests
	Out       int64 `json:"out,omitempty"`       // bytes of replies
	Throttled int64 `json:"throttled,omitempty"` // commands over a rate
	Refused   int64 `json:"refused,omitempty"`   // commands and connections over another quota

	ConnMillis int64 `json:"conn_ms,omitempty"`   // milliseconds that connections were open, of all together
	ConnPeak   int64 `json:"conn_peak,omitempty"` // most connections at once
}

// Ops is the counter of a class of commands.
func (f *Figures) Ops(c command.Class) *int64 {
	switch c {
	case command.ClassRead:
		return &f.Read
	case command.ClassWrite:
		return &f.Write
	case command.ClassScript:
		return &f.Script
	case command.ClassPubSub:
		return &f.PubSub
	}
	return &f.Other
}

// Operations are those of all classes.
func (f *Figures) Operations() int64 { return f.Read + f.Write + f.Script + f.PubSub + f.Other }

// totals are the figures that only grow. The peak is none.
func (f *Figures) totals() [10]*int64 {
	return [...]*int64{&f.Read, &f.Write, &f.Script, &f.PubSub, &f.Other, &f.In, &f.Out, &f.Throttled, &f.Refused, &f.ConnMillis}
}

// add adds what others have counted. Peaks are left alone.
func (f *Figures) add(o *Figures) {
	others := o.totals()
	for i, n := range f.totals() {
		*n += *others[i]
	}
}

// Accumulate adds another hour's. The peak is the higher of both.
func (f *Figures) Accumulate(o *Figures) {
	f.add(o)
	f.ConnPeak = max(f.ConnPeak, o.ConnPeak)
}

// beyond is by how much f has grown since it was base: never negative, and 0
// where base is the later one.
func (f *Figures) beyond(base *Figures) (d Figures) {
	from, grown := base.totals(), d.totals()
	for i, n := range f.totals() {
		*grown[i] = max(0, *n-*from[i])
	}
	return d
}

// zero reports whether nothing was used.
// Add adds what another loop of the same process has counted, at the same moment.
func (s *Sample) Add(o *Sample) {
	s.add(&o.Figures)
	s.ConnPeak += o.ConnPeak
}

func (f *Figures) zero() bool { return *f == Figures{} }

// Level is something that is there rather than happens: memory, keys, storage.
// It is looked at once a minute.
type Level struct {
	Sum  int64 `json:"sum,omitempty"`  // over the minutes that it was looked at: byte-minutes, key-minutes
	Peak int64 `json:"peak,omitempty"` // the most it was
}

func (l *Level) observe(now int64) {
	l.Sum += now
	l.Peak = max(l.Peak, now)
}

func (l *Level) merge(o Level) {
	l.Sum += o.Sum
	l.Peak = max(l.Peak, o.Peak)
}

// Average is over the minutes that it was looked at, rounded down.
func (l Level) Average(minutes int64) int64 {
	if minutes == 0 {
		return 0
	}
	return l.Sum / minutes
}
