package namespace

// AppendSealed appends the request with prefix in front of the arguments
// prefixed, and with the arguments values replaced by what seal appends to the
// dst it is given. Where seal reports false the argument stays as it is. Both lists are
// ascending, and no argument is in both.
func (r *Request) AppendSealed(
	dst []byte, prefixed []int32, prefix []byte, values []int32,
	seal func(dst []byte, value int32) ([]byte, bool),
) []byte {
	from := uint32(0)
	for _, i := range values {
		n := 0
		for n < len(prefixed) && prefixed[n] < i {
			n++
		}
		dst, from = r.appendTo(dst, from, prefixed[:n], prefix)
		prefixed = prefixed[n:]

		// The argument's own header keeps the place for the new one.
		a := r.Args[i]
		dst = append(dst, r.Raw[from:a.Beg]...)
		from = a.Beg
		body := len(dst)
		if out, ok := seal(dst, i); ok {
			dst = closeBulk(out, body-int(a.Beg-a.Head), body)
			from = a.End
		}
	}
	return r.appendFrom(dst, from, prefixed, prefix)
}

// closeBulk writes the header of a bulk whose content is dst[body:] and for
// whose header the place dst[head:body] was kept. The content moves if that is
// not the right size.
func closeBulk(dst []byte, head, body int) []byte {
	n := len(dst) - body
	size := headerSize(n)
	switch room := body - head; {
	case room < size:
		var more [maxLength]byte
		dst = append(dst, more[:size-room]...)
		copy(dst[head+size:], dst[body:body+n])
	case room > size:
		copy(dst[head+size:], dst[body:])
		dst = dst[:head+size+n]
	}
	appendLength(dst[:head], n)
	return dst
}

// headerSize is the size of what appendLength writes.
func headerSize(n int) int {
	size := len("$0\r\n")
	for ; n >= 10; n /= 10 {
		size++
	}
	return size
}
