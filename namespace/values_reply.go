package namespace

import (
	"bytes"

	"riptide-proxy/command"
	"riptide-proxy/resp"
)

// ValueAt says where in a reply a value stands.
type ValueAt struct {
	Index int    // of the element, for ElementValues and SortValues
	Key   []byte // name of the stream whose entry it is of, where the reply tells it: XREAD
}

// OpenValues appends to dst a complete reply with those values opened that spec
// says are there and sealed says are sealed. open appends a value's original to
// the dst it is given. If there is no sealed value, which costs no more than to see that,
// then nothing is appended and changed is false: the reply is right as it stands.
// So it is with an error or a null in place of the reply or of a value. On an error, be it one
// from open or that the reply is malformed, dst comes back as it was.
//
// dst must not overlap reply.
func OpenValues(
	dst, reply []byte, spec command.ReplySpec,
	sealed func(stored []byte) bool,
	open func(dst, stored []byte, at ValueAt) ([]byte, error),
) (out []byte, changed bool, err error) {
	if len(reply) == 0 {
		return dst, false, nil
	}
	switch reply[0] {
	case '$':
		if spec.Kind != command.WholeReply {
			return dst, false, nil
		}
		// It is known to be complete, so that its length need not be read to see how it begins.
		body := bytes.IndexByte(reply, '\n') + 1
		if end := len(reply) - len("\r\n"); body > end || !sealed(reply[body:end]) {
			return dst, false, nil
		}
	case '*', '~', '%', '|':
	default:
		return dst, false, nil
	}
	return openValues(dst, reply, spec, sealed, open)
}

// openValues is OpenValues for what has to be walked over. It is apart for the
// sake of most replies to GET, which need no opener.
func openValues(
	dst, reply []byte, spec command.ReplySpec,
	sealed func(stored []byte) bool,
	open func(dst, stored []byte, at ValueAt) ([]byte, error),
) (out []byte, changed bool, err error) {
	o := opener{Cursor: resp.NewCursor(reply), in: reply, out: dst, sealed: sealed, open: open}
	o.reply(spec)
	if o.Err() == nil && o.Pos() != len(reply) {
		o.Fail(resp.ErrReplyEnd)
	}
	if err := o.Err(); err != nil {
		return dst, false, err
	}
	if !o.changed {
		return dst, false, nil
	}
	return append(o.out, reply[o.copied:]...), true, nil
}

// opener walks over a reply and opens what is sealed in it. What stays as it is
// gets copied in as few pieces as possible: in[copied:Pos()] still has to be.
// How deep it goes is a matter of the shapes below and not of the reply.
type opener struct {
	resp.Cursor
	in, out []byte
	copied  int
	changed bool
	sealed  func(stored []byte) bool
	open    func(dst, stored []byte, at ValueAt) ([]byte, error)
}

// reply walks over the whole reply.
func (o *opener) reply(spec command.ReplySpec) {
	switch spec.Kind {
	case command.WholeReply:
		o.value(ValueAt{})
	case command.ElementValues, command.SortValues:
		o.elements(spec)
	case command.PairValues:
		o.pairs(nil)
	case command.ScanPairs:
		o.second(func() { o.pairs(nil) })
	case command.StreamEntries:
		o.entries(nil)
	case command.ClaimedEntries:
		o.second(func() { o.entries(nil) })
	case command.EntriesPerStream:
		o.streams()
	case command.StreamInfo:
		o.info()
	default:
		o.Skip()
	}
}

// value takes what should be a value, and opens it if it is sealed.
func (o *opener) value(at ValueAt) {
	from := o.Pos()
	stored, ok := o.Bulk()
	if !ok || !o.sealed(stored) {
		return
	}
	end := o.Pos() - len("\r\n")
	o.out = append(o.out, o.in[o.copied:end-len(stored)]...) // with the header, in whose place the new one comes
	body := len(o.out)
	out, err := o.open(o.out, stored, at)
	if err != nil {
		o.Fail(err)
		return
	}
	o.out = closeBulk(out, body-(end-len(stored)-from), body)
	o.copied = end
	o.changed = true
}

// elements opens the elements of an array.
func (o *opener) elements(spec command.ReplySpec) {
	all, ok := o.Enter()
	for i := 0; ok && o.More(&all); i++ {
		if spec.ElementIsValue(i) {
			o.value(ValueAt{Index: i})
		} else {
			o.Skip()
		}
	}
}

// second walks over an array, with f for its second element.
func (o *opener) second(f func()) {
	all, ok := o.Enter()
	for i := 0; ok && o.More(&all); i++ {
		if i == 1 {
			f()
		} else {
			o.Skip()
		}
	}
}

// pairs opens the second of each pair, be they one after the other, in a map or
// each in an array.
func (o *opener) pairs(key []byte) {
	all, ok := o.Enter()
	for first := true; ok && o.More(&all); {
		switch {
		case first && o.Kind() == '*':
			o.second(func() { o.value(ValueAt{Key: key}) })
		case first:
			o.Skip()
			first = false
		default:
			o.value(ValueAt{Key: key})
			first = true
		}
	}
}

// entries opens the fields of a stream's entries: each is an identifier, pairs,
// and possibly more. A deleted one has a null for the pairs, or is one.
func (o *opener) entries(key []byte) {
	all, ok := o.Enter()
	for ok && o.More(&all) {
		o.entry(key)
	}
}

// entry opens the fields of one entry.
func (o *opener) entry(key []byte) {
	o.second(func() { o.pairs(key) })
}

// streams opens the entries of several streams, each behind the stream's name,
// in a map or each in an array.
func (o *opener) streams() {
	all, ok := o.Enter()
	if all.Map() {
		for o.More(&all) {
			o.stream(&all)
		}
		return
	}
	for ok && o.More(&all) {
		if one, ok := o.Enter(); ok && o.More(&one) {
			o.stream(&one)
			o.Leave(&one)
		}
	}
}

// stream takes a stream's name, which More has announced, and opens the
// entries behind it.
func (o *opener) stream(of *resp.Aggregate) {
	key, _ := o.Bulk()
	if o.More(of) {
		o.entries(key)
	}
}

// info opens the entries that tell of a stream, which are among pairs of a name
// and something.
func (o *opener) info() {
	all, ok := o.Enter()
	for ok && o.More(&all) {
		name, _ := o.Bulk()
		if !o.More(&all) {
			return
		}
		switch string(name) {
		case "first-entry", "last-entry":
			o.entry(nil)
		case "entries":
			o.entries(nil)
		default:
			o.Skip()
		}
	}
}
