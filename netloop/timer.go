package netloop

import (
	"container/heap"
	"time"
)

// Timer is a function that a loop calls once, some time later.
type Timer struct {
	when  int64 // on the loop's clock
	index int   // in the heap; -1 when not in it
	f     func()
}

type timerHeap []*Timer

func (h timerHeap) Len() int           { return len(h) }
func (h timerHeap) Less(i, j int) bool { return h[i].when < h[j].when }
func (h timerHeap) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].index, h[j].index = i, j
}
func (h *timerHeap) Push(x any) {
	t := x.(*Timer)
	t.index = len(*h)
	*h = append(*h, t)
}
func (h *timerHeap) Pop() any {
	old := *h
	t := old[len(old)-1]
	old[len(old)-1] = nil
	*h = old[:len(old)-1]
	t.index = -1
	return t
}

// After calls f on the loop once d has passed, in a later turn even if d is
// nothing. To be called on the loop.
func (l *Loop) After(d time.Duration, f func()) *Timer {
	t := &Timer{when: l.now + max(1, int64(d)), f: f}
	heap.Push(&l.timers, t)
	return t
}

// Stop takes a timer of this loop back. It does nothing for one that has run.
func (l *Loop) Stop(t *Timer) {
	if t != nil && t.index >= 0 {
		heap.Remove(&l.timers, t.index)
	}
}

// Every calls f on the loop every d until the loop ends.
func (l *Loop) Every(d time.Duration, f func()) {
	l.After(d, func() {
		l.Every(d, f) // first, so that a panic in f does not end the series
		f()
	})
}

func (l *Loop) runTimers() {
	for len(l.timers) > 0 && l.timers[0].when <= l.now {
		heap.Pop(&l.timers).(*Timer).f()
	}
}

// timeout is how long the loop may wait for readiness, in milliseconds; below
// zero for as long as it takes.
func (l *Loop) timeout() int {
	if len(l.timers) == 0 {
		return -1
	}
	d := time.Duration(l.timers[0].when - l.now)
	if d <= 0 {
		return 0
	}
	return int((d + time.Millisecond - 1) / time.Millisecond)
}
