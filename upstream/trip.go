package upstream

// trip estimates how long a command takes there and back by itself. One command at a
// time is looked at. One that was sent while others were unanswered takes longer
// than that, so it can only show that the estimate is too high.
type trip struct {
	time  int64 // the estimate, in nanoseconds
	under bool  // a command is being looked at
	idle  bool  // it is the only one
	start uint64
	at    int64
}

// begin looks at the command that starts at a position of the output.
func (r *trip) begin(start uint64, now int64, idle bool) {
	r.start, r.at, r.idle, r.under = start, now, idle, true
}

// end tells that its reply has come. A longer time counts little, since it is the server's or the
// machine's being busy more often than it is the way's having become longer.
func (r *trip) end(now int64) {
	r.under = false
	switch took := now - r.at; {
	case r.time == 0 || took < r.time:
		r.time = max(took, 1)
	case r.idle:
		r.time += min(took-r.time, r.time) / 64
	}
}
