package command

// Args gives a finder read access to the arguments of a request. At(0) is the command's name, and of a subcommand
// At(1) is its own.
type Args interface {
	Len() int
	At(i int) []byte
}

// Finder appends to dst the ascending indexes of the arguments that must get the tenant's prefix.
//
// What every finder must do with a request that does not parse: append the names found so far and then every argument
// from the first one that could still be a name to the end. A prefix too many stays inside the tenant, and the upstream
// rejects the request with its own error; a prefix too few would let the tenant out. Counts and options in front of
// the point of failure stay as they are, so that the upstream's error is the one the tenant should see.
type Finder func(dst []int32, args Args) ([]int32, Verdict)

// Verdict is what a finder learns about a request besides the positions.
type Verdict uint8

const (
	Unparsed Verdict = 1 << iota // the request does not parse, so more is prefixed than keys
	Blocks                       // the request may wait (XREAD with BLOCK)
	Stores                       // the request writes, though the command need not (SORT with STORE)
	Patterns                     // some of the arguments are patterns of keys (SORT with BY or GET)
)

// ShapeKind says how to find the names of a request.
type ShapeKind uint8

const (
	ShapeNone   ShapeKind = iota // there are none
	ShapeOne                     // argument First
	ShapeRange                   // every Step-th argument from First to Last
	ShapeCustom                  // ask Find
)

// Shape is the position of the arguments that get the prefix, simple enough in nearly all rows that a caller on the
// hot path can use it in place and call Prefixed for ShapeCustom alone.
type Shape struct {
	Kind  ShapeKind
	First int32
	Last  int32 // from the end if negative: -1 is the last argument
	Step  int32
}

// Bounds returns the first and the last candidate of a range in a request of n arguments.
func (s Shape) Bounds(n int) (first, last int32) {
	last = s.Last
	if last < 0 {
		last += int32(n)
	} else if last >= int32(n) {
		last = int32(n) - 1
	}
	return s.First, last
}

// Prefixed appends to dst the ascending indexes of all arguments that must get the tenant's prefix: keys, patterns of
// keys, channels and patterns of channels. The name of the command is never among them, and a request shorter than the
// command's arity is no danger.
func (c *Command) Prefixed(dst []int32, args Args) ([]int32, Verdict) {
	switch c.Shape.Kind {
	case ShapeOne:
		if int(c.Shape.First) < args.Len() {
			dst = append(dst, c.Shape.First)
		}
	case ShapeRange:
		first, last := c.Shape.Bounds(args.Len())
		for i := first; i <= last; i += c.Shape.Step {
			dst = append(dst, i)
		}
	case ShapeCustom:
		return c.Find(dst, args)
	}
	return dst, 0
}

// rest appends the arguments from index from to the end, for requests that do not parse.
func rest(dst []int32, args Args, from int) []int32 {
	for n := args.Len(); from < n; from++ {
		dst = append(dst, int32(from))
	}
	return dst
}

// is reports whether an argument is the option called word, given in upper case. Servers compare with strcasecmp,
// which ends at a zero byte; a finder need not, since an option it does not know makes the request unparsed.
func is(arg []byte, word string) bool {
	if len(arg) != len(word) {
		return false
	}
	for i := range arg {
		b := arg[i]
		if b >= 'a' && b <= 'z' {
			b -= 'a' - 'A'
		}
		if b != word[i] {
			return false
		}
	}
	return true
}

// parseInt reads a decimal integer as strictly as the servers do: an optional minus sign and digits, nothing around
// them, no leading zero, within 64 bits.
func parseInt(arg []byte) (int64, bool) {
	digits := arg
	negative := len(arg) > 0 && arg[0] == '-'
	if negative {
		digits = arg[1:]
	}
	if len(digits) == 0 || len(digits) > 19 {
		return 0, false
	}
	if digits[0] == '0' {
		return 0, len(arg) == 1
	}
	var u uint64
	for _, b := range digits {
		if b < '0' || b > '9' {
			return 0, false
		}
		u = u*10 + uint64(b-'0') // 19 digits stay below 2^64
	}
	if negative {
		return int64(-u), u <= 1<<63
	}
	return int64(u), u < 1<<63
}

// at is the shape of one name at argument index, for commands whose names are no keys in COMMAND's eyes.
func at(index int32) Shape { return Shape{Kind: ShapeOne, First: index, Last: index, Step: 1} }

// from is the shape of names from argument index to the end.
func from(index int32) Shape { return Shape{Kind: ShapeRange, First: index, Last: -1, Step: 1} }
