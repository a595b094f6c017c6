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
	NoCount     ValuesAfter = iota
	AfterCount              // argument First is the count: MSETEX
	AfterFields             // the count follows the option FIELDS, looked for from argument First on: HSETEX
)

// value is a single value at argument index.
func value(index int) ValueSpec { return ValueSpec{First: index, Last: index, Step: 1} }

// values is every second argument from first to the end, for commands that take pairs.
func values(first int) ValueSpec { return ValueSpec{First: first, Last: -1, Step: 2} }

// None reports whether the command stores no string or hash values.
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

// ReplySpec says which parts of a reply are string or hash values.
type ReplySpec uint8

const (
	NoValues      ReplySpec = iota
	WholeReply              // the reply itself, if it is a bulk string
	ElementValues           // every element of the array: MGET
	PairValues              // the second of each pair, flat or nested, or the values of the map: HGETALL
	MaybePairs              // like PairValues if the request has WITHVALUES, otherwise none: HRANDFIELD
	ScanPairs               // the second element of the reply has PairValues, unless the request has NOVALUES: HSCAN
	SortValues              // elements if the request has GET with a pattern, otherwise none: SORT
)

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
