package upstream

import (
	"sync/atomic"
	"time"

	"riptide-proxy/netloop"
)

// Pins is one loop's pool of pins. Whoever gives one back vouches that nothing
// of his is left on the connection.
type Pins[T any] struct {
	// Limit is how many connections there may be. To be set on the loop.
	Limit int
	// Total, if not nil, counts the connections of several pools, and Room, if
	// not nil, tells whether there may be one more.
	Total *atomic.Int64
	Room  func() bool
	// Longest, if not nil, tells how long the reply to a command may be, in bytes,
	// where that is less than Target.MaxReply.
	Longest func(t *T) int

	loop    *netloop.Loop
	target  *Target
	open    int
	idle    [2][]*Pin[T] // by version of the protocol, the one used last at the end
	dialing int
	queue   []*Pin[T] // to be connected
	buf     []byte
}

const (
	// maxDialing is how many connections are being opened at a time: servers
	// have room for some hundreds that they have not accepted.
	maxDialing = 64
	// idleTime is how long a connection that nobody needs is kept, and spareTime
	// if there are more than fewIdle of them: thousands may become idle at once,
	// and others of the upstream's clients need them.
	idleTime  = 30 * time.Second
	spareTime = 4 * time.Second
	fewIdle   = 16
)

// NewPins makes an empty pool.
func NewPins[T any](loop *netloop.Loop, target *Target, limit int) *Pins[T] {
	p := &Pins[T]{Limit: limit, loop: loop, target: target}
	loop.Every(spareTime/2, p.expire)
	return p
}

// Open is the number of connections, those in the pool included.
func (ps *Pins[T]) Open() int { return ps.open }

// InUse is the number of those that belong to somebody.
func (ps *Pins[T]) InUse() int { return ps.open - len(ps.idle[0]) - len(ps.idle[1]) }

// Take returns a connection that nobody else has, in a state as after the
// login, or nil if there are as many as there may be.
func (ps *Pins[T]) Take(proto int, owner PinOwner[T]) *Pin[T] {
	idle := &ps.idle[proto-2]
	for n := len(*idle); n > 0; n-- {
		p := (*idle)[n-1]
		(*idle)[n-1] = nil
		*idle = (*idle)[:n-1]
		if p.conn.IsClosed() {
			continue // by the server, in this turn
		}
		p.owner = owner
		return p
	}
	if ps.open >= ps.Limit || ps.Room != nil && !ps.Room() {
		other := ps.idle[3-proto]
		if len(other) == 0 {
			return nil
		}
		other[0].Close()
	}
	ps.count(1)
	p := &Pin[T]{pool: ps, owner: owner, proto: proto, state: stateOpening}
	p.limit = p.replyLimit
	p.opening = ps.loop.After(ps.target.ConnectTimeout+ps.target.Timeout, p.late)
	if ps.dialing < maxDialing {
		ps.dial(p)
	} else {
		ps.queue = append(ps.queue, p)
	}
	return p
}

func (ps *Pins[T]) count(n int) {
	ps.open += n
	if ps.Total != nil {
		ps.Total.Add(int64(n))
	}
}

func (ps *Pins[T]) dial(p *Pin[T]) {
	ps.dialing++
	ps.loop.Dial(ps.target.descriptor, func(fd int, err error) {
		ps.dialing--
		p.dialed(fd, err)
		for ps.dialing < maxDialing && len(ps.queue) > 0 {
			next := ps.queue[0]
			ps.queue[0] = nil
			ps.queue = ps.queue[1:]
			if next.state == stateOpening {
				ps.dial(next)
			}
		}
	})
}

// Give takes a connection back. It is closed if something may be left on it.
func (ps *Pins[T]) Give(p *Pin[T]) {
	if p.dirty || p.state != stateUp || p.flight.n > 0 || p.conn.IsClosed() {
		p.Close()
		return
	}
	p.owner = nil
	p.since = ps.loop.Now()
	idle := &ps.idle[p.proto-2]
	*idle = append(*idle, p)
}

// left takes a connection that is closed out of the accounts.
func (ps *Pins[T]) left(p *Pin[T]) {
	ps.count(-1)
	idle := ps.idle[p.proto-2]
	for i := range idle {
		if idle[i] == p {
			ps.idle[p.proto-2] = append(idle[:i], idle[i+1:]...)
			return
		}
	}
}

// expire closes connections that were not needed for a while.
func (ps *Pins[T]) expire() {
	for i := range ps.idle {
		old := 0
		for ; old < len(ps.idle[i]); old++ {
			limit := idleTime
			if len(ps.idle[i])-old > fewIdle {
				limit = spareTime
			}
			if time.Duration(ps.loop.Now()-ps.idle[i][old].since) <= limit {
				break
			}
		}
		for range old {
			ps.idle[i][0].Close()
		}
	}
}

// Close closes all connections in the pool.
func (ps *Pins[T]) Close() {
	for i := range ps.idle {
		for len(ps.idle[i]) > 0 {
			ps.idle[i][0].Close()
		}
	}
}
