package proxy

// parked is a reply that came before its turn.
type parked struct {
	seq   uint32
	reply []byte
	free  bool // costs the tenant nothing
}

func (s *session) park(seq uint32, reply []byte) {
	i := len(s.parked)
	for i > 0 && int32(s.parked[i-1].seq-seq) > 0 {
		i--
	}
	s.parked = append(s.parked, parked{})
	copy(s.parked[i+1:], s.parked[i:])
	s.parked[i] = parked{seq, append([]byte(nil), reply...), s.w.refusing}
	s.parkedBytes += len(reply)
}

func (s *session) unpark() {
	n := 0
	for ; n < len(s.parked) && s.parked[n].seq == s.head; n++ {
		s.head++
		s.parkedBytes -= len(s.parked[n].reply)
		if p := &s.parked[n]; p.free {
			s.forFree(func() { s.emit(p.reply, false) })
		} else {
			s.emit(p.reply, false)
		}
		s.parked[n] = parked{}
	}
	if n == len(s.parked) {
		s.parked = nil
		return
	}
	s.parked = append(s.parked[:0], s.parked[n:]...)
}
