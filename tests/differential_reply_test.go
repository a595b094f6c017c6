package tests

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// diffReply is a reply as a tree.
type diffReply struct {
	kind byte
	null bool
	text string // of what has no elements
	kids []*diffReply
	raw  string
}

// diffParse makes a tree of a reply that the harness has found complete.
func diffParse(raw string) *diffReply {
	r, _ := diffParseOne(raw)
	return r
}

func diffParseOne(b string) (*diffReply, string) {
	line, rest, found := strings.Cut(b, "\r\n")
	if !found || line == "" {
		return &diffReply{raw: b}, ""
	}
	r := &diffReply{kind: line[0], text: line[1:]}
	n, _ := strconv.Atoi(r.text)
	switch r.kind {
	case '_':
		r.null = true
	case '$', '=', '!':
		if r.null = n < 0; !r.null && len(rest) >= n+2 {
			r.text, rest = rest[:n], rest[n+2:]
		}
	case '*', '~', '>', '%', '|':
		r.null = n < 0
		if r.kind == '%' || r.kind == '|' {
			n *= 2
		}
		for range n {
			var kid *diffReply
			kid, rest = diffParseOne(rest)
			r.kids = append(r.kids, kid)
		}
	}
	r.raw = b[:len(b)-len(rest)]
	return r, rest
}

// head is the type and the number of elements.
func (r *diffReply) head() string { return fmt.Sprintf("%c%v%d", r.kind, r.null, len(r.kids)) }

// sorted returns the elements in the order of their bytes, n by n.
func (r *diffReply) sorted(n int) (list []string) {
	for i := 0; i < len(r.kids); i += n {
		var b strings.Builder
		for _, k := range r.kids[i:min(i+n, len(r.kids))] {
			b.WriteString(k.raw)
		}
		list = append(list, b.String())
	}
	slices.Sort(list)
	return list
}

// diffAlike compares the structure of two replies, and with leaf what is in
// their leaves.
func diffAlike(x, y *diffReply, leaf func(x, y *diffReply) bool) bool {
	if x.head() != y.head() {
		return false
	}
	if len(x.kids) == 0 {
		return leaf(x, y)
	}
	for i := range x.kids {
		if !diffAlike(x.kids[i], y.kids[i], leaf) {
			return false
		}
	}
	return true
}

// diffClose compares two times or spans, of seconds or milliseconds, that the
// servers took within moments of each other. What is not positive is a signal
// and must be equal.
func diffClose(a, b string) bool {
	x, errX := strconv.ParseInt(a, 10, 64)
	y, errY := strconv.ParseInt(b, 10, 64)
	const moment = 20_000
	return errX == nil && errY == nil && (x > 1 && y > 1 || x >= 0 && y >= 0 && max(x, y) < moment) && x-y < moment && y-x < moment
}

// mask takes the times out of what is said about streams: numbers behind a name
// that tells them, and in an entry that waits for acknowledgement the number
// before the last.
func (r *diffReply) mask() {
	n := len(r.kids)
	if r.kind == '*' && n >= 3 && n <= 4 && r.kids[0].isStreamID() && r.kids[n-1].kind == ':' {
		r.kids[n-2].text = ""
	}
	for i, k := range r.kids {
		k.mask()
		if i > 0 && k.kind == ':' && slices.Contains(diffTimesOfStreams, r.kids[i-1].text) {
			k.text = ""
		}
	}
}

var diffTimesOfStreams = []string{"idle", "inactive", "seen-time", "active-time"}

func (r *diffReply) isStreamID() bool {
	a, b, found := strings.Cut(r.text, "-")
	_, errA := strconv.ParseUint(a, 10, 64)
	_, errB := strconv.ParseUint(b, 10, 64)
	return r.kind == '$' && found && errA == nil && errB == nil
}
