package command

import "bytes"

// ValueSpec says which arguments of a request are string or hash values. Only those may be stored encoded; members of
// sets and sorted sets, list elements and whatever a server compares or orders never are.
type ValueSpec struct {
	First, Last, Step int // arguments First, First+Step, ... up to Last, which counts from the end if negative

	// After is set for the commands whose values lie behind a count: the values are then the second of each pair that
	// follows it, as many pairs as it says.
	After ValuesAfter
}

// ValuesAfter says where the count stands that the pairs of names and values follow.
type ValuesAfter uint8

const (
	NoCount      ValuesAfter = iota
	AfterCount               // argument First is the count: MSETEX
	AfterFields              // the count follows the option FIELDS, looked for from argument First on: HSETEX
	AfterEntryID             // no count: the identifier, behind options from argument First on; the pairs go to the end: XADD
)

// value is a single value at argument index.
func value(index int) ValueSpec { return ValueSpec{First: index, Last: index, Step: 1} }

// values is every second argument from first to the end, for commands that take pairs.
func values(first int) ValueSpec { return ValueSpec{First: first, Last: -1, Step: 2} }

// None reports whether there are no values at all.
func (v ValueSpec) None() bool { return v.First == 0 }

// Positions appends to dst the indexes of the arguments that are values, in ascending order. A request that does not
// parse has none: the upstream rejects it, whatever the values look like.
func (v ValueSpec) Positions(dst []int32, args Args) []int32 {
	n := args.Len()
	first, last, step := v.First, v.Last, v.Step
	switch v.After {
	case NoCount:
		if last < 0 {
			last += n
		}
	case AfterCount, AfterFields:
		count := first
		if v.After == AfterFields {
			count = fieldsCount(args, first)
		}
		if count >= n {
			return dst
		}
		pairs, ok := parseInt(args.At(count))
		if !ok || pairs < 1 || pairs > int64(n-count-1)/2 {
			return dst
		}
		first, last, step = count+2, count+2*int(pairs), 2
	case AfterEntryID:
		id := entryID(args, first)
		if id >= n || (n-id)%2 == 0 {
			return dst
		}
		first, last, step = id+2, n-1, 2
	}
	if first == 0 || step == 0 {
		return dst
	}
	for i := first; i <= last && i < n; i += step {
		dst = append(dst, int32(i))
	}
	return dst
}

// fieldsCount returns the index of the count that follows the option FIELDS, or the number of arguments if there is
// none. The options before it are those of HSETEX: conditions and KEEPTTL alone, expirations with one argument.
func fieldsCount(args Args, from int) int {
	n := args.Len()
	for i := from; i < n; i++ {
		switch option := args.At(i); {
		case is(option, "FIELDS"):
			return i + 1
		case is(option, "EX"), is(option, "PX"), is(option, "EXAT"), is(option, "PXAT"):
			i++
		}
	}
	return n
}

// ReplyKeys says which parts of a reply name keys of the tenant and must lose the prefix.
type ReplyKeys uint8

const (
	NoKeys       ReplyKeys = iota
	WholeKey               // the reply itself: RANDOMKEY
	FirstKey               // the first element of the array: BLPOP, LMPOP
	KeyPerEntry            // the first of each entry of the array, or each name in the map: XREAD
	AllKeys                // every element of the array: KEYS
	ScanKeys               // every element of the second element: SCAN
	MessageNames           // what a pub/sub message or confirmation is about: SUBSCRIBE
	PairNames              // every first of a pair in a flat array, or each name in the map: PUBSUB NUMSUB
)

// LooksInside reports whether this request looks inside a string or hash value, so that one that is stored encoded
// has to be made plain first. It may say so needlessly of a SET whose other arguments begin with the letters IF.
func (c *Command) LooksInside(args Args) bool {
	if !c.InsideIf {
		return c.InsideString
	}
	for i, n := max(2, c.Values.First+1), args.Len(); i < n; i++ {
		if option := args.At(i); len(option) >= 4 && bytes.EqualFold(option[:2], []byte("IF")) {
			return true
		}
	}
	return false
}

// KeyOfValue returns the argument that names the key under which a value of the request is stored: the last of those
// that get the prefix before it. It returns 0 if there is none.
func (*Command) KeyOfValue(prefixed []int32, value int32) int32 {
	key := int32(0)
	for _, i := range prefixed {
		if i > value {
			break
		}
		key = i
	}
	return key
}

// entryID returns the index of the identifier of XADD's entry, or the number of arguments if there is none. Like the
// servers it takes for one the first argument that is no option.
//
//	XADD key [NOMKSTREAM] [KEEPREF | DELREF | ACKED] [IDMPAUTO producer | IDMP producer id]
//	    [MAXLEN | MINID [= | ~] threshold [LIMIT count]] <* | id> field value [field value ...]
func entryID(args Args, from int) int {
	n := args.Len()
	for i := from; i < n; i++ {
		left := n - i - 1
		switch option := args.At(i); {
		case is(option, "NOMKSTREAM"), is(option, "KEEPREF"), is(option, "DELREF"), is(option, "ACKED"):
		case (is(option, "LIMIT") || is(option, "IDMPAUTO")) && left >= 1:
			i++
		case is(option, "IDMP") && left >= 2:
			i += 2
		case (is(option, "MAXLEN") || is(option, "MINID")) && left >= 1:
			i++
			if how := args.At(i); left >= 2 && (is(how, "~") || is(how, "=")) {
				i++
			}
		default:
			return i
		}
	}
	return n
}
