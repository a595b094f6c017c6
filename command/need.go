package command

// Need is what a user must be allowed to do with a key for a command to touch it. It may be nothing at all: some
// commands only tell whether a key is there, or what it is like. Then any pattern of the user's that has the key will do.
type Need uint8

const (
	NeedsRead  Need = 1 << iota // gives the value away, or copies it
	NeedsWrite                  // changes it
)

// need is what the flags of a specification come to.
func (f KeyFlag) need() (n Need) {
	if f&Access != 0 {
		n |= NeedsRead
	}
	if f&(Insert|Delete|Update) != 0 {
		n |= NeedsWrite
	}
	return n
}

// ChannelCheck says what a user's channels are asked about a command's.
type ChannelCheck uint8

const (
	ChannelsFree ChannelCheck = iota // nothing: the command takes no channels, or only tells about them, or leaves them
	ChannelNames                     // each must match one of the user's patterns
	ChannelGlobs                     // each is a pattern itself, and must be one of the user's
)

// HasKeys reports whether a request may have keys that a user must be allowed to touch. Patterns of keys, as KEYS and
// SCAN take them, are none.
func (c *Command) HasKeys() bool { return c.hasKeys }

// deriveNeeds looks at the specifications once and for all.
func (c *Command) deriveNeeds() {
	for _, spec := range c.Keys {
		c.hasKeys = c.hasKeys || spec.Flags&NotKey == 0
	}
	if len(c.Keys) == 1 && c.Needs == nil {
		c.oneNeed, c.need = true, c.Keys[0].Flags.need()
	}
}

// NeedAt returns what a user must be allowed to do with argument i, which is one of those that Prefixed has found. isKey
// is false for a pattern, which SORT makes the names of further keys of: that takes SortPattern. An argument that no
// specification explains is one of a request that does not parse, and needs everything.
func (c *Command) NeedAt(args Args, i int32) (need Need, isKey bool) {
	switch {
	case c.oneNeed:
		return c.need, true
	case c.Needs != nil:
		return c.Needs(args), true
	}
	for _, spec := range c.Keys {
		if spec.Flags&NotKey == 0 && spec.has(args, i) {
			return spec.Flags.need(), true
		}
	}
	if c.Patterns && i > 1 && (is(args.At(int(i)-1), "BY") || is(args.At(int(i)-1), "GET")) {
		return 0, false
	}
	return NeedsRead | NeedsWrite, true
}

// has reports whether the specification is the one that argument i follows from, if any does. A finder has found the
// argument to be a name, so that nothing else needs to be looked at again.
func (s *KeySpec) has(args Args, i int32) bool {
	at := int(i)
	switch s.Begin {
	case BeginKeyword:
		return s.Last != 0 || is(args.At(at-1), s.Keyword)
	case BeginUnknown: // the key of an option, which only SORT has
		return s.Flags&OW != 0 && is(args.At(at-1), "STORE")
	}
	if s.Find == KeysCount {
		first := s.Index + s.First
		return at >= first && (at-first)%s.Step == 0
	}
	last := s.Last
	if last < 0 {
		last += args.Len()
	} else {
		last += s.Index
	}
	return at >= s.Index && at <= last && (at-s.Index)%s.Step == 0
}

// setNeeds is for SET, which reads with GET only.
func setNeeds(args Args) Need {
	for i := 3; i < args.Len(); i++ {
		if is(args.At(i), "GET") {
			return NeedsRead | NeedsWrite
		}
	}
	return NeedsWrite
}

// bitFieldNeeds is for BITFIELD, which may do nothing but GET.
func bitFieldNeeds(args Args) Need {
	for i := 2; i < args.Len(); {
		left := args.Len() - i - 1
		switch word := args.At(i); {
		case is(word, "GET") && left >= 2:
			i += 3
		case is(word, "OVERFLOW") && left >= 1:
			i += 2
		default: // it writes, or does not parse
			return NeedsRead | NeedsWrite
		}
	}
	return NeedsRead
}

// SortPattern returns the first option of SORT and SORT_RO, "BY" or "GET", by which it reads keys whose names it makes
// up itself, so that only a user may give it who may read all keys; "" if there is none before a mistake in the request.
func SortPattern(args Args) string {
	for i := 2; i < args.Len(); i++ {
		left := args.Len() - i - 1
		switch option := args.At(i); {
		case is(option, "ASC"), is(option, "DESC"), is(option, "ALPHA"):
		case is(option, "LIMIT") && left >= 2:
			_, offset := parseInt(args.At(i + 1))
			_, count := parseInt(args.At(i + 2))
			if !offset || !count {
				return ""
			}
			i += 2
		case is(option, "STORE") && left >= 1:
			i++
		case is(option, "BY") && left >= 1:
			i++
			for _, b := range args.At(i) {
				if b == '*' {
					return "BY"
				}
			}
		case is(option, "GET") && left >= 1:
			return "GET"
		default:
			return ""
		}
	}
	return ""
}
