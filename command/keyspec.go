package command

// KeyFlag says what a command does to the keys of one specification.
type KeyFlag uint16

const (
	RO            KeyFlag = 1 << iota // reads the value, changes nothing
	RW                                // reads and changes the value
	OW                                // replaces the value without looking at it
	RM                                // deletes the key
	Access                            // gives the user's data away, or copies it
	Update                            // changes data that is there
	Insert                            // adds data, and neither changes nor deletes any
	Delete                            // deletes data explicitly
	NotKey                            // not a key, but routed like one (a shard channel)
	Incomplete                        // the specification may miss keys
	VariableFlags                     // what happens depends on the arguments
)

// keyFlagNames lists the key flags in the order of the constants, spelled as COMMAND spells them.
var keyFlagNames = []string{
	"RO", "RW", "OW", "RM", "access", "update", "insert", "delete", "not_key", "incomplete", "variable_flags",
}

// Names returns the flags as COMMAND spells them.
func (f KeyFlag) Names() []string { return bitNames(uint64(f), keyFlagNames) }

// ParseKeyFlag returns the key flag that COMMAND spells as name.
func ParseKeyFlag(name string) (KeyFlag, bool) {
	bit, ok := bitOf(name, keyFlagNames)
	return KeyFlag(bit), ok
}

// BeginKind says how the first key of a specification is found.
type BeginKind uint8

const (
	BeginUnknown BeginKind = iota // the specification cannot say
	BeginIndex                    // at argument Index
	BeginKeyword                  // after the argument Keyword, looked for from argument Index
)

// KeysKind says how the other keys are found, from the first one on.
type KeysKind uint8

const (
	KeysUnknown KeysKind = iota // the specification cannot say
	KeysRange                   // every Step-th argument as far as Last
	KeysCount                   // as many as argument Last says, every Step-th, from argument First
)

// KeySpec is one key specification of a command, as COMMAND reports it.
type KeySpec struct {
	Flags   KeyFlag
	Begin   BeginKind
	Index   int    // for a keyword: where the search begins, from the end if negative
	Keyword string // in upper case
	Find    KeysKind
	Last    int // range: relative to the first key, or to the end if negative; count: where the count is
	First   int // count: where the first key is, relative to where the specification begins
	Step    int
	Limit   int // range up to the end: only this fraction of the arguments (2: the first half) are keys
}

// KeySpecs are all specifications of a command.
type KeySpecs []KeySpec

// and puts two lists of specifications together, which keeps rows with several of them on one line.
func (k KeySpecs) and(more KeySpecs) KeySpecs { return append(k[:len(k):len(k)], more...) }

// key is one key right after the command's name, by far the most common case.
func key(flags KeyFlag) KeySpecs { return span(1, 0, 1, flags) }

// keyAt is one key at argument index.
func keyAt(index int, flags KeyFlag) KeySpecs { return span(index, 0, 1, flags) }

// span is every step-th argument from first up to last, which counts from first or, if negative, from the end.
func span(first, last, step int, flags KeyFlag) KeySpecs {
	return KeySpecs{{Flags: flags, Begin: BeginIndex, Index: first, Find: KeysRange, Last: last, Step: step}}
}

// counted is a number of keys at argument index, followed by the keys themselves.
func counted(index int, flags KeyFlag) KeySpecs { return countedStep(index, 1, flags) }

// countedStep is like counted with other arguments between the keys.
func countedStep(index, step int, flags KeyFlag) KeySpecs {
	return KeySpecs{{Flags: flags, Begin: BeginIndex, Index: index, Find: KeysCount, First: 1, Step: step}}
}

// after is the arguments that follow a keyword looked for from argument from on.
func after(keyword string, from, last, limit int, flags KeyFlag) KeySpecs {
	return KeySpecs{{
		Flags: flags, Begin: BeginKeyword, Index: from, Keyword: keyword,
		Find: KeysRange, Last: last, Step: 1, Limit: limit,
	}}
}

// unfindable is a specification that only says that there may be keys somewhere.
func unfindable(flags KeyFlag) KeySpecs { return KeySpecs{{Flags: flags}} }
