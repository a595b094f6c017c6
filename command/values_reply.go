package command

// ReplyKind is the shape in which a reply holds values.
type ReplyKind uint8

const (
	NoValues      ReplyKind = iota
	WholeReply              // the reply itself, if it is a bulk string
	ElementValues           // every element of the array: MGET
	PairValues              // the second of each pair, flat or nested, or the values of the map: HGETALL
	MaybePairs              // like PairValues if the request has WITHVALUES, otherwise none: HRANDFIELD
	ScanPairs               // the second element of the reply has PairValues, unless the request has NOVALUES: HSCAN
	SortValues              // elements if the request has GET with a pattern, otherwise none: SORT

	// The shapes of what holds entries of streams. An entry is an array of an identifier, of flat pairs whose second
	// are values, and possibly of more; where a null stands for the entry or for its pairs, it was deleted. Replies to
	// requests with JUSTID have these shapes too, but identifiers where entries would be.

	StreamEntries    // an array of entries: XRANGE
	EntriesPerStream // for each stream its key and an array of entries, nested or in a map: XREAD
	ClaimedEntries   // the second element of the reply is an array of entries: XAUTOCLAIM
	StreamInfo       // flat pairs or a map; first-entry and last-entry are entries, entries an array of them: XINFO STREAM
)

// ReplySpec says which parts of the reply to one request are values.
type ReplySpec struct {
	Kind ReplyKind // neither MaybePairs nor one that depends on the request any more
	Sort SortGets  // for SortValues
}

// None reports whether there are no values in the reply.
func (r ReplySpec) None() bool { return r.Kind == NoValues }

// SortGets says what a request to sort asks for with its GET options: the reply is made of groups, one for each
// element that was sorted, of as many elements as there are options.
type SortGets struct {
	Count  int    // of options
	Values uint64 // bit i: option i asks for a string or a hash value, and not with "#" for the element itself
}

// Value reports whether the element of the reply with an index is a string or hash value. From the 65th option on it
// takes everything for a value; nobody has so many, and an element that was never encoded need not look encoded.
func (g SortGets) Value(index int) bool {
	if g.Count == 0 {
		return false
	}
	option := index % g.Count
	return option >= 64 || g.Values>>option&1 != 0
}

// ElementIsValue reports whether the element of an array with an index is a value, for ElementValues and SortValues.
func (r ReplySpec) ElementIsValue(index int) bool {
	return r.Kind == ElementValues || r.Kind == SortValues && r.Sort.Value(index)
}

// ReplyValuesOf returns which parts of the reply to a request are string or hash values.
func (c *Command) ReplyValuesOf(args Args) ReplySpec {
	switch c.ReplyValues {
	case MaybePairs:
		if args.Len() == 4 && is(args.At(3), "WITHVALUES") {
			return ReplySpec{Kind: PairValues}
		}
		return ReplySpec{}
	case ScanPairs:
		if scansWithoutValues(args) {
			return ReplySpec{}
		}
	case SortValues:
		return sortReply(args)
	}
	return ReplySpec{Kind: c.ReplyValues}
}

// scansWithoutValues looks for NOVALUES among the options of HSCAN.
//
//	HSCAN key cursor [MATCH pattern] [COUNT count] [NOVALUES]
func scansWithoutValues(args Args) bool {
	for i, n := 3, args.Len(); i < n; i++ {
		switch option := args.At(i); {
		case is(option, "MATCH"), is(option, "COUNT"):
			i++
		case is(option, "NOVALUES"):
			return true
		}
	}
	return false
}

// sortReply walks the options as findSort does.
func sortReply(args Args) ReplySpec {
	r := ReplySpec{Kind: SortValues}
	for i, n := 2, args.Len(); i < n; i++ {
		switch option := args.At(i); {
		case is(option, "LIMIT"):
			i += 2
		case is(option, "BY"):
			i++
		case is(option, "STORE"):
			return ReplySpec{} // the reply is a number
		case is(option, "GET") && i+1 < n:
			i++
			if pattern := args.At(i); len(pattern) != 1 || pattern[0] != '#' {
				r.Sort.Values |= 1 << r.Sort.Count
			}
			r.Sort.Count++
		}
	}
	if r.Sort.Values == 0 && r.Sort.Count <= 64 {
		return ReplySpec{}
	}
	return r
}
