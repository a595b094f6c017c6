package namespace

import (
	"strconv"

	"riptide-proxy/resp"
)

// Request is a client's request: its bytes as a canonical array of bulks, and
// where its arguments lie. It serves as command.Args.
type Request struct {
	Raw  []byte
	Args []resp.Arg
}

// Len is the number of arguments, the command's name included.
func (r *Request) Len() int { return len(r.Args) }

// At is the content of argument i.
func (r *Request) At(i int) []byte {
	a := r.Args[i]
	return r.Raw[a.Beg:a.End]
}

// AppendPrefixed appends the request with prefix in front of argument i. It is
// what nearly every command comes to.
func (r *Request) AppendPrefixed(dst []byte, i int, prefix []byte) []byte {
	a := r.Args[i]
	dst = append(dst, r.Raw[:a.Head]...)
	dst = appendLength(dst, len(prefix)+int(a.End-a.Beg))
	dst = append(dst, prefix...)
	return append(dst, r.Raw[a.Beg:]...)
}

// AppendAllPrefixed appends the request with prefix in front of the arguments
// whose ascending indexes are given.
func (r *Request) AppendAllPrefixed(dst []byte, indexes []int32, prefix []byte) []byte {
	return r.appendFrom(dst, 0, indexes, prefix)
}

// appendFrom appends what stands in Raw from a position on, with prefix in front
// of arguments.
func (r *Request) appendFrom(dst []byte, from uint32, indexes []int32, prefix []byte) []byte {
	dst, from = r.appendTo(dst, from, indexes, prefix)
	return append(dst, r.Raw[from:]...)
}

// appendTo is appendFrom up to the content of the last of the arguments, where
// it returns the position.
func (r *Request) appendTo(dst []byte, from uint32, indexes []int32, prefix []byte) ([]byte, uint32) {
	for _, i := range indexes {
		a := r.Args[i]
		dst = append(dst, r.Raw[from:a.Head]...)
		dst = appendLength(dst, len(prefix)+int(a.End-a.Beg))
		dst = append(dst, prefix...)
		from = a.Beg
	}
	return dst, from
}

// Parts is AppendAllPrefixed for a large request: it appends to parts the
// pieces that make up the result. They lie in Raw and in scratch, which is
// returned for use in the next call.
func (r *Request) Parts(parts [][]byte, scratch []byte, indexes []int32, prefix []byte) ([][]byte, []byte) {
	if need := len(indexes) * (len(prefix) + maxLength); cap(scratch) < need {
		scratch = make([]byte, 0, need) // it must not move once pieces refer to it
	}
	scratch = scratch[:0]
	from := uint32(0)
	for _, i := range indexes {
		a := r.Args[i]
		at := len(scratch)
		scratch = appendLength(scratch, len(prefix)+int(a.End-a.Beg))
		scratch = append(scratch, prefix...)
		parts = append(parts, r.Raw[from:a.Head], scratch[at:])
		from = a.Beg
	}
	return append(parts, r.Raw[from:]), scratch
}

// maxLength is the longest header of a bulk: the type, 20 digits and CRLF.
const maxLength = 23

func appendLength(dst []byte, n int) []byte {
	dst = append(dst, '$')
	if n < 10 {
		dst = append(dst, byte('0'+n))
	} else if n < 100 {
		dst = append(dst, byte('0'+n/10), byte('0'+n%10))
	} else {
		dst = strconv.AppendInt(dst, int64(n), 10)
	}
	return append(dst, '\r', '\n')
}

// AppendRestPrefixed appends argument from and what follows it, with prefix in
// front of the arguments whose ascending indexes are given. The caller has written what
// comes before.
func (r *Request) AppendRestPrefixed(dst []byte, from int, indexes []int32, prefix []byte) []byte {
	return r.appendFrom(dst, r.Args[from].Head, indexes, prefix)
}
