package netloop

// piece is a part of the output. reused says that it lies in input that will
// be overwritten after this turn. full is a pooled buffer which nothing behind
// this piece lies in.
type piece struct {
	b      []byte
	reused bool
	full   []byte
}

// output is what a connection has to send: the pieces, then tail[mark:].
type output struct {
	pieces []piece
	tail   []byte // being filled
	mark   int    // tail[:mark] is in pieces, or sent
	size   int    // bytes not yet sent
}

// append copies p to the end.
func (o *output) append(pool *blocks, p []byte) {
	if cap(o.tail)-len(o.tail) < len(p) {
		o.roll(pool, len(p))
	}
	o.tail = append(o.tail, p...)
	o.size += len(p)
}

// roll begins a new buffer with room for n bytes.
func (o *output) roll(pool *blocks, n int) {
	o.seal()
	if o.tail != nil {
		if last := len(o.pieces) - 1; last < 0 {
			pool.put(o.tail)
		} else {
			o.pieces[last].full = o.tail
		}
		n = max(n, firstSize+1) // it is not a small answer any more
	}
	o.tail, o.mark = pool.get(n), 0
}

// seal makes what is in tail a piece, so that something can follow it.
func (o *output) seal() {
	if len(o.tail) > o.mark {
		o.pieces = append(o.pieces, piece{b: o.tail[o.mark:len(o.tail):len(o.tail)]})
		o.mark = len(o.tail)
	}
}

// refer puts p itself at the end.
func (o *output) refer(p []byte, reused bool) {
	o.seal()
	o.pieces = append(o.pieces, piece{b: p, reused: reused})
	o.size += len(p)
}

// keep copies what is about to be overwritten.
func (o *output) keep() {
	for i := range o.pieces {
		if p := &o.pieces[i]; p.reused {
			p.b = append([]byte(nil), p.b...)
			p.reused = false
		}
	}
}

// sent removes n bytes from the front.
func (o *output) sent(pool *blocks, n int) {
	o.size -= n
	if o.size == 0 {
		o.release(pool)
		return
	}
	i := 0
	for ; i < len(o.pieces) && n >= len(o.pieces[i].b); i++ {
		n -= len(o.pieces[i].b)
		pool.put(o.pieces[i].full)
	}
	if i > 0 {
		rest := copy(o.pieces, o.pieces[i:])
		clear(o.pieces[rest:])
		o.pieces = o.pieces[:rest]
	}
	if len(o.pieces) > 0 {
		o.pieces[0].b = o.pieces[0].b[n:]
	} else {
		o.mark += n
	}
}

// release drops everything.
func (o *output) release(pool *blocks) {
	if o.tail != nil {
		pool.put(o.tail)
	}
	for i := range o.pieces {
		pool.put(o.pieces[i].full)
	}
	clear(o.pieces)
	if cap(o.pieces) > 64 {
		o.pieces = nil
	}
	o.pieces = o.pieces[:0]
	o.tail, o.mark, o.size = nil, 0, 0
}

// gather lists up to len(iov) parts of what is to be sent.
func (o *output) gather(iov []iovec) (n int) {
	for _, p := range o.pieces {
		if n == len(iov) {
			return n
		}
		setIovec(&iov[n], p.b)
		n++
	}
	if len(o.tail) > o.mark && n < len(iov) {
		setIovec(&iov[n], o.tail[o.mark:])
		n++
	}
	return n
}

// bytes copies all that is unsent.
func (o *output) bytes() []byte {
	b := make([]byte, 0, o.size)
	for _, p := range o.pieces {
		b = append(b, p.b...)
	}
	return append(b, o.tail[o.mark:]...)
}
