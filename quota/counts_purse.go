package quota

import "sync/atomic"

// purse is what a process has of one counted resource of a tenant: the allowance
// that it holds, and how much of it is in use. Loops take and give back, the
// manager sets what is held. Both numbers are in one word, so that no more is ever
// taken than is held.
type purse struct {
	word atomic.Uint64 // held in the upper half, used in the lower
	peak atomic.Uint32 // most in use since shrink
}

func pack(held, used uint32) uint64 { return uint64(held)<<32 | uint64(used) }

func (p *purse) get() (held, used uint32) {
	w := p.word.Load()
	return uint32(w >> 32), uint32(w)
}

// take uses n more, if the allowance suffices.
func (p *purse) take(n uint32) bool {
	for {
		w := p.word.Load()
		held, used := uint32(w>>32), uint32(w)
		if uint64(used)+uint64(n) > uint64(held) {
			return false
		}
		if p.word.CompareAndSwap(w, pack(held, used+n)) {
			p.note(used + n)
			return true
		}
	}
}

// force uses n more, be there an allowance or not.
func (p *purse) force(n uint32) {
	_, used := unpack(p.word.Add(uint64(n)))
	p.note(used)
}

// give uses n less.
func (p *purse) give(n uint32) { p.word.Add(-uint64(n)) }

func unpack(w uint64) (held, used uint32) { return uint32(w >> 32), uint32(w) }

func (p *purse) note(used uint32) {
	for {
		peak := p.peak.Load()
		if used <= peak || p.peak.CompareAndSwap(peak, used) {
			return
		}
	}
}

// hold sets the allowance.
func (p *purse) hold(held uint32) {
	for {
		w := p.word.Load()
		if p.word.CompareAndSwap(w, pack(held, uint32(w))) {
			return
		}
	}
}

// shrink lets go of what was not used in this period, and begins a new one. It reports whether there was anything.
func (p *purse) shrink() bool {
	_, used := p.get()
	keep := p.peak.Swap(used)
	for {
		w := p.word.Load()
		held, used := unpack(w)
		keep = max(keep, used)
		if held <= keep {
			return false
		}
		if p.word.CompareAndSwap(w, pack(keep, used)) {
			return true
		}
	}
}
