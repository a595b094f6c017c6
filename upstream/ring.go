package upstream

// entry is a command that was given to a connection and not answered yet.
type entry[T any] struct {
	t     T
	start uint64 // where it begins in the connection's output
	due   int32  // what it counts beside its bytes
}

// ring is a queue in an array whose length is a power of two.
type ring[T any] struct {
	a    []entry[T]
	head uint32 // of the oldest
	n    uint32
}

func (r *ring[T]) push(e entry[T]) {
	if int(r.n) == len(r.a) {
		r.grow()
	}
	r.a[(r.head+r.n)&uint32(len(r.a)-1)] = e
	r.n++
}

// front is the oldest entry; it stays valid until the next push.
func (r *ring[T]) front() *entry[T] { return &r.a[r.head] }

func (r *ring[T]) pop() {
	var none entry[T]
	r.a[r.head] = none // so that what it refers to can be collected
	r.head = (r.head + 1) & uint32(len(r.a)-1)
	r.n--
}

func (r *ring[T]) at(i uint32) *entry[T] { return &r.a[(r.head+i)&uint32(len(r.a)-1)] }

func (r *ring[T]) grow() {
	a := make([]entry[T], max(64, 2*len(r.a)))
	for i := range r.n {
		a[i] = *r.at(i)
	}
	r.a, r.head = a, 0
}
