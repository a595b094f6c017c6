package resp

import (
	"bytes"
	"math"
)

// Arg locates one argument within a request's bytes b: b[Head:Beg] is its bulk header, b[Beg:End] its content. The
// content is followed by CRLF.
type Arg struct{ Head, Beg, End uint32 }

// Limits bound what one request may cost. They are checked as soon as a length is announced.
type Limits struct {
	Args    int // most arguments of a request
	Bulk    int // longest argument in bytes
	Request int // longest request in bytes, headers included; never more than MaxRequest

	// Unauthenticated says that the limits are those of a client who has yet to log in; the errors then are the
	// ones Redis has for that case.
	Unauthenticated bool
}

const (
	// MaxRequest is the longest request whatever the limits say; positions in it are kept in 32 bits.
	MaxRequest = math.MaxInt32

	// maxLine is how long a header or an inline command may be, as in Redis.
	maxLine = 64 << 10

	// maxBulk is Redis's default for the longest argument. A client who has not logged in is told that a length is
	// invalid above it, and that he must log in below it.
	maxBulk = 512 << 20

	// keepArgs and keepScratch are the capacities that Reset leaves to a Request, so that an idle client costs little.
	keepArgs    = 512
	keepScratch = 4 << 10
)

// DefaultLimits are the limits of Redis, with a bound for the whole request that Redis does not have.
func DefaultLimits() Limits {
	return Limits{Args: 1 << 20, Bulk: maxBulk, Request: 1 << 30}
}

// UnauthenticatedLimits are what Redis grants a client that must log in first and has not.
func UnauthenticatedLimits() Limits {
	return Limits{Args: 10, Bulk: 16 << 10, Request: 256 << 10, Unauthenticated: true}
}

// Request scans one request at a time, in as many pieces as it comes. The zero value is ready for the first; Reset
// makes it ready for the next. Its state is Args and a few integers: the bytes themselves stay with the caller.
type Request struct {
	// Args are the arguments found so far; after Scan returned a length they are the request's. An empty request,
	// such as "*0\r\n" or an empty line, has none, and Redis does not answer it.
	Args []Arg

	pos     int    // where that begins which is not yet understood
	seen    int    // buf[pos:seen] is known to hold no end of line
	bulkEnd int    // where the content of the argument in progress ends, 0 without one
	left    int    // arguments whose header has not come
	have    int    // length of buf when Scan last wanted more
	started bool   // the array's header, or the inline command, has been read
	inline  bool   // Args refer to scratch
	scratch []byte // an inline command: unquoted arguments, then the canonical form
	form    int    // where in scratch the canonical form begins
}

// Reset forgets the request. It keeps what was allocated unless that was for an unusually large request.
func (r *Request) Reset() {
	r.Args = r.Args[:0]
	r.pos, r.seen, r.bulkEnd, r.left, r.have = 0, 0, 0, 0, 0
	r.started = false
	if r.inline || cap(r.Args) > keepArgs {
		r.release()
	}
}

func (r *Request) release() {
	r.inline, r.form = false, 0
	if cap(r.Args) > keepArgs {
		r.Args = nil
	}
	if cap(r.scratch) > keepScratch {
		r.scratch = nil
	}
}

// Scan goes on where it stopped. buf begins with the request's first byte and holds at least what the former call
// saw, possibly at another address. It returns the length of the complete request, or 0 when more is needed. After an
// error the client can only be disconnected.
//
// Unlike Redis it insists on the LF after a header's CR, and on CRLF after an argument: the bytes are passed on as
// they are, and whoever reads them next must find the same request in them.
func (r *Request) Scan(buf []byte, lim *Limits) (int, error) {
	if !r.started {
		if n, size := shortLength(buf); size > 0 && buf[0] == '*' && n <= lim.Args {
			r.pos, r.left, r.started = size, n, true
		} else if err := r.begin(buf, lim); !r.started {
			return 0, err
		}
	}
	if r.bulkEnd > 0 {
		if ok, err := r.content(buf); !ok {
			return 0, err
		}
	}
	limit := min(lim.Request, MaxRequest) - 2
	pos, left, args := r.pos, r.left, r.Args
	for left > 0 {
		if h := buf[pos:]; len(h) > 0 && h[0] == '$' {
			n, size := shortLength(h)
			if size == 0 {
				n, size = longLength(h)
			}
			beg := pos + size
			end := beg + n
			if size > 0 && n < len(buf)-beg-1 && buf[end] == '\r' && buf[end+1] == '\n' && n <= lim.Bulk && end <= limit {
				args = append(args, Arg{uint32(pos), uint32(beg), uint32(end)})
				pos = end + 2
				left--
				continue
			}
		}
		r.pos, r.left, r.Args = pos, left, args
		if ok, err := r.argument(buf, lim); !ok {
			return 0, err
		}
		pos, left, args = r.pos, r.left, r.Args
	}
	r.pos, r.left, r.Args = pos, left, args
	return pos, nil
}

// Bytes returns the bytes that Args refer to, in the canonical form of an array of bulks, after Scan returned a
// length: the request as it came, or the Request's own until Reset for an inline command. buf is what Scan was given.
func (r *Request) Bytes(buf []byte) []byte {
	if r.inline {
		return r.scratch[r.form:]
	}
	return buf[:r.pos]
}

// Want returns how long buf must become before Scan can get any further. The length of a large argument is only the
// client's word for it: a caller who makes room for it should do so in steps.
func (r *Request) Want() int {
	if r.bulkEnd > 0 {
		return r.bulkEnd + 2
	}
	return r.have + 1
}

// begin reads what a request begins with: the header of an array, or the whole of an inline command. It leaves
// r.started unset on an error and when more is needed.
func (r *Request) begin(buf []byte, lim *Limits) error {
	if len(buf) == 0 {
		return nil
	}
	if buf[0] != '*' {
		return r.scanInline(buf, lim)
	}
	eol, err := r.line(buf, ErrMultibulkCount)
	if eol == 0 {
		return err
	}
	n, ok := ParseInt(buf[1:eol])
	switch {
	case !ok || n > math.MaxInt32 || buf[eol+1] != '\n':
		return ErrMultibulkLength
	case n > int64(lim.Args) && lim.Unauthenticated:
		return ErrMultibulkUnauthenticated
	case n > int64(lim.Args):
		return ErrMultibulkLength
	}
	r.pos, r.left, r.started = eol+2, int(max(n, 0)), true
	return nil
}

// argument reads the header of the next argument, then its content. It is the careful way, for a header or an argument
// that is incomplete or wrong or large, and says false when more is needed.
func (r *Request) argument(buf []byte, lim *Limits) (bool, error) {
	eol, err := r.line(buf, ErrBulkCount)
	if eol == 0 {
		return false, err
	}
	if buf[r.pos] != '$' {
		return false, expectedBulk(buf[r.pos])
	}
	n, ok := ParseInt(buf[r.pos+1 : eol])
	switch {
	case !ok || n < 0 || buf[eol+1] != '\n':
		return false, ErrBulkLength
	case n > int64(lim.Bulk) && lim.Unauthenticated && n <= maxBulk:
		return false, ErrBulkUnauthenticated
	case n > int64(lim.Bulk):
		return false, ErrBulkLength
	}
	beg := eol + 2
	if n > int64(min(lim.Request, MaxRequest)-2-beg) {
		return false, ErrRequestSize
	}
	r.Args = append(r.Args, Arg{uint32(r.pos), uint32(beg), uint32(beg + int(n))})
	r.bulkEnd = beg + int(n)
	r.left--
	return r.content(buf)
}

// content ends the argument in progress once all of it is there.
func (r *Request) content(buf []byte) (bool, error) {
	if len(buf) < r.bulkEnd+2 {
		r.have = len(buf)
		return false, nil
	}
	if buf[r.bulkEnd] != '\r' || buf[r.bulkEnd+1] != '\n' {
		return false, ErrBulkEnd
	}
	r.pos, r.bulkEnd = r.bulkEnd+2, 0
	return true, nil
}

// line finds the CR that ends the header line at r.pos; the byte after it is there too, whatever it is. It returns 0
// when more is needed, and tooBig once that is certain to be too much.
func (r *Request) line(buf []byte, tooBig error) (int, error) {
	window := buf[:min(len(buf), r.pos+maxLine+1)]
	from := max(r.seen, r.pos)
	i := bytes.IndexByte(window[from:], '\r')
	switch {
	case i >= 0 && from+i+1 < len(buf):
		return from + i, nil
	case i >= 0:
		r.seen = from + i
	case len(window) > r.pos+maxLine:
		return 0, tooBig
	default:
		r.seen = len(window)
	}
	r.have = len(buf)
	return 0, nil
}
