package proxy

// drain has every session end once its commands are answered.
func (w *worker) drain() {
	w.draining = true
	w.dropHeaders()
	var blocked []waiter
	for _, s := range w.sessions {
		if s.blocked > 0 {
			blocked = append(blocked, waiter{s, s.tail})
		}
		s.drain()
	}
	w.release(blocked)
}
