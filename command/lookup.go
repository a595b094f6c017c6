package command

import (
	"encoding/binary"
	"math/bits"
	"strings"
)

// The lookup of a name must cost next to nothing, since it happens once per command: a name is read as two words of
// eight bytes, folded to lower case a word at a time, and compared as two numbers. Commands and subcommands share one
// hash table, the container's ID telling them apart.

// place is one place of the hash table.
type place struct {
	head, tail uint64 // the first and the last eight bytes of the name, in lower case
	about      uint64 // whose name it is and how long, see whose
	command    *Command
}

const (
	placesCount = 1 << 11 // about four times as many as rows, so that most names are found at the first look
	longestName = 32      // nothing longer can be a command, so nothing longer needs to be hashed
)

var (
	places [placesCount]place
	all    []*Command
)

// find returns the command of a container, 0 meaning the top level, that has this name in any case.
func find(container int, name []byte) *Command {
	if len(name) == 0 || len(name) > longestName {
		return nil
	}
	head, tail := words(name)
	about := whose(container, len(name))
	for at := hash(head, tail, about); ; at++ {
		p := &places[at%placesCount]
		if p.head == head && p.tail == tail && p.about == about {
			if len(name) <= 16 || sameFold(name, p.command.sub) {
				return p.command
			}
		}
		if p.command == nil {
			return nil
		}
	}
}

// Named returns the command or subcommand with that full name, in lower case; nil if there is none.
func Named(name string) *Command {
	container, sub, isSub := strings.Cut(name, "|")
	c := find(0, []byte(container))
	if c == nil || !isSub {
		return c
	}
	return c.Sub([]byte(sub))
}

// enter makes a command findable. The table is filled once, before anything is looked up.
func enter(c *Command) {
	container := 0
	if c.Parent != nil {
		container = c.Parent.ID + 1
	}
	head, tail := words([]byte(c.sub))
	about := whose(container, len(c.sub))
	at := hash(head, tail, about)
	for places[at%placesCount].command != nil {
		at++
	}
	places[at%placesCount] = place{head: head, tail: tail, about: about, command: c}
}

// whose puts a container and the length of a name into one number.
func whose(container, size int) uint64 { return uint64(container)<<8 | uint64(size) }

// hash returns where the search for a name begins. One long multiplication whose halves are added up mixes well; the
// constants only have to be odd and irregular.
func hash(head, tail, about uint64) uint64 {
	high, low := bits.Mul64(head^0x9e3779b97f4a7c15, tail^about*0xc2b2ae3d27d4eb4f)
	return high ^ low
}

// words returns the first and the last eight bytes of a name in lower case. A name shorter than that fills the first
// word alone, in a way that differs for different names of the same length.
func words(name []byte) (head, tail uint64) {
	switch n := len(name); {
	case n >= 8:
		return lower(binary.LittleEndian.Uint64(name)), lower(binary.LittleEndian.Uint64(name[n-8:]))
	case n >= 4:
		head = uint64(binary.LittleEndian.Uint32(name)) | uint64(binary.LittleEndian.Uint32(name[n-4:]))<<32
	default:
		head = uint64(name[0]) | uint64(name[n/2])<<8 | uint64(name[n-1])<<16
	}
	return lower(head), 0
}

// lower folds the letters A to Z in a word of eight bytes and leaves all other bytes as they are.
func lower(w uint64) uint64 {
	const ones = 0x0101010101010101
	low := w &^ (0x80 * ones)
	fromA := low + (0x80-'A')*ones                // the high bit of a byte is set if it is A or more
	afterZ := low + (0x80-'Z'-1)*ones             // the high bit of a byte is set if it is more than Z
	upper := fromA &^ afterZ &^ w & (0x80 * ones) // high bits of the bytes that are upper case
	return w | upper>>2
}

// sameFold reports whether name is want, which is in lower case.
func sameFold(name []byte, want string) bool {
	if len(name) != len(want) {
		return false
	}
	for i, b := range name {
		if b >= 'A' && b <= 'Z' {
			b += 'a' - 'A'
		}
		if b != want[i] {
			return false
		}
	}
	return true
}
