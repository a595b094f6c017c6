package upstream

import (
	"fmt"

	"riptide-proxy/netloop"
	"riptide-proxy/resp"
)

// replies cuts what a server sends into replies.
type replies struct {
	scan    resp.ReplyScanner
	scanned int  // bytes of the reply at the beginning of the input that scan has seen
	drop    bool // the reply is too long, and dropped as it comes
}

// next takes one reply from the beginning of b. used is how much of b is done
// with; reply is nil when no reply is complete. dropped says that the reply was longer than
// limit says: then what is returned is not the whole of it.
func (r *replies) next(conn *netloop.Conn, b []byte, limit func() int) (reply []byte, used int, dropped bool, err error) {
	n, done, err := r.scan.Feed(b[r.scanned:])
	r.scanned += n
	if err != nil {
		return nil, len(b), false, fmt.Errorf("what the upstream sends is no reply of a Redis: %w", err)
	}
	if done {
		reply, used, dropped = b[:r.scanned], r.scanned, r.drop
		r.scanned, r.drop = 0, false
		return reply, used, dropped, nil
	}
	if r.scanned+r.scan.Need() > limit() {
		r.drop = true
	}
	if r.drop {
		used, r.scanned = r.scanned, 0
	} else if need := r.scan.Need(); need > 0 {
		conn.Expect(r.scanned + need)
	}
	return nil, used, false, nil
}

// reset forgets a reply that will never be complete, and reports whether there
// was one.
func (r *replies) reset() (begun bool) {
	begun = r.scanned > 0 || r.drop
	*r = replies{}
	return begun
}
