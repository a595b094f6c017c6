package proxy

import (
	"bytes"
	"context"
	"errors"

	"riptide-proxy/command"
	"riptide-proxy/namespace"
)

// sortPatterns are the names that SORT makes of each element, to look at the values there.
type sortPatterns struct {
	key   []byte
	names [][]byte // with an asterisk for the element
}

// sortsBy takes the patterns of SORT whose values have to be plain. Where nothing is
// encrypted, numbers are plain anyway, and what GET answers with is opened like any reply.
// With all it is all of them.
func (v *tenantValues) sortsBy(r *namespace.Request, all bool) (names [][]byte) {
	var by []byte
	var gets [][]byte
	alpha, store := false, false
	for i := 2; i < r.Len(); i++ {
		switch option := r.At(i); {
		case fold(option, "ALPHA"):
			alpha = true
		case fold(option, "LIMIT"):
			i += 2
		case i+1 == r.Len():
		case fold(option, "STORE"):
			store = true
			i++
		case fold(option, "BY"):
			i++
			by = r.At(i)
		case fold(option, "GET"):
			i++
			if pattern := r.At(i); string(pattern) != "#" {
				gets = append(gets, pattern)
			}
		}
	}
	encrypts := v.binds()
	if bytes.IndexByte(by, '*') >= 0 && (alpha || encrypts) {
		names = append(names, by)
	}
	if store || encrypts || all {
		names = append(names, gets...)
	}
	return names
}

// maxSorted bounds how many values SORT may look at, since each is watched.
const maxSorted = 100_000

var errLongSort = errors.New("ERR SORT has too many elements for values that are stored sealed")

// lookSorted adds to needs the values that SORT is going to look at.
func (p *plan) lookSorted(ctx context.Context, talk talker) error {
	for _, n := range p.needs[p.named:] {
		delete(p.byKey, string(n.key))
	}
	p.needs = p.needs[:p.named]
	for _, s := range p.sorts {
		key := string(s.key)
		replies, err := ask(ctx, talk, rawRequest("WATCH", key), rawRequest("TYPE", key))
		if err != nil {
			return err
		}
		read := rawRequest("LRANGE", key, "0", "-1")
		switch string(replies[1]) {
		case "+list\r\n":
		case "+set\r\n":
			read = rawRequest("SMEMBERS", key)
		case "+zset\r\n":
			read = rawRequest("ZRANGE", key, "0", "-1")
		default:
			continue
		}
		if replies, err = ask(ctx, talk, read); err != nil {
			return err
		}
		elements, _ := contents(replies[0])
		if len(elements)*len(s.names) > maxSorted {
			return errLongSort
		}
		for _, pattern := range s.names {
			star := bytes.IndexByte(pattern, '*')
			if star < 0 {
				continue
			}
			after, field := pattern[star+1:], []byte(nil)
			if i := bytes.Index(after, []byte("->")); i >= 0 && i+2 < len(after) {
				after, field = after[:i], after[i+2:]
			}
			for _, e := range elements {
				name := string(pattern[:star]) + string(e) + string(after)
				n := p.need([]byte(name))
				if field == nil {
					n.text = true
				} else {
					n.fields = append(n.fields, field)
				}
			}
		}
	}
	return nil
}

// sorts reports whether a command is SORT or SORT_RO.
func sorts(cmd *command.Command) bool { return cmd.ReplyValues == command.SortValues }
