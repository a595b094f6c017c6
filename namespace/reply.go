package namespace

import (
	"bytes"

	"riptide-proxy/command"
	"riptide-proxy/resp"
)

// Restore appends a reply as the tenant is to see it: the parts that name keys
// lose the prefix. A name without the prefix can not be the tenant's; it is
// never passed on, and an error says that it was there.
func Restore(dst, reply []byte, what command.ReplyKeys, prefix []byte) ([]byte, error) {
	foreign := false
	if len(reply) > 0 && reply[0] == '|' {
		return dst, ErrForeign // nobody sends attributes, and names would be elsewhere
	}
	dst, err := resp.Rewrite(dst, reply, func(path []int, kind byte, data []byte) ([]byte, bool) {
		if !names(what, path, reply[0]) || kind == ':' || kind == ',' {
			return nil, false
		}
		own, ok := bytes.CutPrefix(data, prefix)
		if !ok {
			foreign = true
			return nil, true
		}
		return own, true
	})
	if err == nil && foreign {
		err = ErrForeign
	}
	return dst, err
}

// names tells whether the leaf at path names a key. top is the type of the
// whole reply.
func names(what command.ReplyKeys, path []int, top byte) bool {
	switch what {
	case command.NoKeys:
		return false
	case command.WholeKey:
		return len(path) == 0
	case command.FirstKey:
		return len(path) == 1 && path[0] == 0
	case command.AllKeys:
		return len(path) == 1
	case command.KeyPerEntry:
		if top == '%' {
			return len(path) == 1 && path[0]%2 == 0
		}
		return len(path) == 2 && path[1] == 0
	case command.ScanKeys:
		return len(path) != 1 || path[0] != 0 // all but the cursor
	case command.PairNames:
		return len(path) == 1 && path[0]%2 == 0
	}
	return true // of what is not known here nothing may pass without the prefix
}

// Where a server quotes the name of a key in an error.
var quotes = [][]byte{[]byte("-NOGROUP No such key '"), []byte("for key name '")}

// RestoreError appends an error reply without the prefix of the key that it
// quotes. Streams' commands quote one when a group is missing.
func RestoreError(dst, reply, prefix []byte) []byte {
	for _, quote := range quotes {
		marker := append(append(make([]byte, 0, len(quote)+len(prefix)), quote...), prefix...)
		if i := bytes.Index(reply, marker); i >= 0 {
			dst = append(dst, reply[:i+len(quote)]...)
			return append(dst, reply[i+len(marker):]...)
		}
	}
	return append(dst, reply...)
}

// EscapeGlob returns a pattern that matches text and nothing else.
func EscapeGlob(text []byte) string {
	b := make([]byte, 0, len(text))
	for _, c := range text {
		if bytes.IndexByte([]byte(`*?[]\`), c) >= 0 {
			b = append(b, '\\')
		}
		b = append(b, c)
	}
	return string(b)
}
