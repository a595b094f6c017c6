package resp

// Rest is what is to come of a request that is not wanted, and of which nothing is kept.
type Rest struct {
	left  int // arguments whose header has not come
	bulk  int // bytes to come of the argument in progress, with its CRLF
	total int // bytes up to the end of that
	head  Request
}

// Rest tells what is to come of a request of which Scan wants more, when all of buf, which Scan was given, is dropped.
// It is for one that is in the middle of an argument, which is the last of Args.
func (r *Request) Rest(buf []byte) Rest {
	return Rest{left: r.left, bulk: r.bulkEnd + 2 - len(buf), total: r.bulkEnd + 2}
}

// InArgument reports whether Scan stopped in the middle of an argument, which is the last of Args.
func (r *Request) InArgument() bool { return r.bulkEnd > 0 }

// Skip goes on with what comes next. It takes n bytes of buf, and done tells that the request ends there. What it
// leaves is to be given to it again, with more behind it. The limits hold as for Scan, and after an error the client
// can only be disconnected.
func (s *Rest) Skip(buf []byte, lim *Limits) (n int, done bool, err error) {
	for {
		k := min(s.bulk, len(buf)-n)
		s.bulk -= k
		n += k
		if s.bulk > 0 {
			return n, false, nil
		}
		if s.left == 0 {
			return n, true, nil
		}
		r := &s.head
		r.Reset()
		h := buf[n:]
		eol, err := r.line(h, ErrBulkCount)
		if eol == 0 {
			return n, false, err
		}
		if _, err := r.argument(h[:eol+2], lim); err != nil {
			return n, false, err
		}
		s.bulk = int(r.Args[0].End-r.Args[0].Beg) + 2
		if s.total += eol + 2 + s.bulk; s.total > min(lim.Request, MaxRequest) {
			return n, false, ErrRequestSize
		}
		n += eol + 2
		s.left--
	}
}
