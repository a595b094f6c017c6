package tracing

import (
	"math"
	"math/rand/v2"
	"time"
)

// Sampler chooses which commands are traced. It belongs to one goroutine.
type Sampler struct {
	recorder *Recorder
	left     int64 // until the next one
}

// Sampler returns a new one; nil of no recorder.
func (r *Recorder) Sampler() *Sampler {
	if r == nil {
		return nil
	}
	s := &Sampler{recorder: r}
	s.draw()
	return s
}

// Takes reports whether a command that took so long is to be given to Record.
func (s *Sampler) Takes(took time.Duration) bool {
	chosen := s.recorder.slow > 0 && took >= s.recorder.slow
	if s.left--; s.left <= 0 {
		s.draw()
		chosen = true
	}
	return chosen && !s.recorder.Full()
}

// Record takes a span of a command that was chosen.
func (s *Sampler) Record(span Span) { s.recorder.Record(span) }

// draw sets how many commands there are until the next one that is chosen, so that each is with the
// same probability.
func (s *Sampler) draw() {
	p := s.recorder.sample
	gap := math.Log(1-rand.Float64()) / math.Log1p(-p) // 0 if p is 1, infinite or not a number if it is 0
	if p == 0 || !(gap < 1<<62) {
		s.left = math.MaxInt64
		return
	}
	s.left = 1 + int64(gap)
}
