package inside

import "riptide-proxy/resp"

// lcsOptions are what a client asks of LCS.
type lcsOptions struct {
	length, index, withLength bool
	shortest                  int64 // matches that are shorter are left out of the index
}

func parseLCS(args [][]byte) (o lcsOptions, problem string) {
	for ; len(args) > 0; args = args[1:] {
		switch arg := args[0]; {
		case is(arg, "idx"):
			o.index = true
		case is(arg, "len"):
			o.length = true
		case is(arg, "withmatchlen"):
			o.withLength = true
		case is(arg, "minmatchlen") && len(args) > 1:
			var ok bool
			if o.shortest, ok = resp.ParseInt(args[1]); !ok {
				return o, errNotInteger
			}
			args = args[1:]
		default:
			return o, errSyntax
		}
	}
	if o.length && o.index {
		return o, "If you want both the length and indexes, please just use IDX."
	}
	return o, ""
}

// LCS returns the reply to LCS key1 key2 [LEN] [IDX] [MINMATCHLEN n]
// [WITHMATCHLEN], where a and b are the values, empty if missing. As in Redis,
// its memory and time are in proportion to the product of their lengths, and
// the table of four bytes each may be as long as env.Limit.
func LCS(a, b []byte, args [][]byte, env Env) []byte {
	o, problem := parseLCS(args[3:])
	if problem != "" {
		return appendError(nil, problem)
	}
	const longest = 1<<32 - 2
	if int64(len(a)) >= longest || int64(len(b)) >= longest {
		return appendError(nil, "String too long for LCS")
	}
	if cells := (uint64(len(a)) + 1) * (uint64(len(b)) + 1); cells > uint64(env.limit())/4 {
		return appendError(nil, "Insufficient memory, transient memory for LCS exceeds proto-max-bulk-len")
	}
	t := newTable(a, b)
	if o.length {
		return resp.AppendInt(nil, int64(t.at(len(a), len(b))))
	}
	common, matches := t.walk()
	if !o.index {
		return resp.AppendBulk(nil, common)
	}
	return o.appendIndex(nil, matches, len(common), env.Proto)
}

// match is a piece that both values have, from where it begins in each.
type match struct{ a, b, size int }

func (o *lcsOptions) appendIndex(dst []byte, matches []match, length, proto int) []byte {
	n := 0
	var list []byte
	for _, m := range matches {
		if int64(m.size) < o.shortest {
			continue
		}
		n++
		if o.withLength {
			list = resp.AppendArray(list, 3)
		} else {
			list = resp.AppendArray(list, 2)
		}
		for _, start := range [...]int{m.a, m.b} {
			list = resp.AppendArray(list, 2)
			list = resp.AppendInt(list, int64(start))
			list = resp.AppendInt(list, int64(start+m.size-1))
		}
		if o.withLength {
			list = resp.AppendInt(list, int64(m.size))
		}
	}
	dst = resp.AppendMap(dst, proto, 2)
	dst = resp.AppendBulkString(dst, "matches")
	dst = resp.AppendArray(dst, n)
	dst = append(dst, list...)
	dst = resp.AppendBulkString(dst, "len")
	return resp.AppendInt(dst, int64(length))
}

// table holds, for every pair of a prefix of a and one of b, the length of
// their longest common subsequence.
type table struct {
	a, b  []byte
	cells []uint32 // row by row, a row for each prefix of a
}

func newTable(a, b []byte) *table {
	width := len(b) + 1
	t := &table{a, b, make([]uint32, (len(a)+1)*width)}
	for i, c := range a {
		above, row := t.cells[i*width:(i+1)*width], t.cells[(i+1)*width:(i+2)*width]
		for j, d := range b {
			if c == d {
				row[j+1] = above[j] + 1
			} else {
				row[j+1] = max(above[j+1], row[j])
			}
		}
	}
	return t
}

func (t *table) at(i, j int) uint32 { return t.cells[i*(len(t.b)+1)+j] }

// walk goes back from the end of both values. Where there are several ways it
// takes the one that Redis takes. It returns a longest common subsequence, and
// the pieces that it consists of, the last one first.
func (t *table) walk() (common []byte, matches []match) {
	i, j := len(t.a), len(t.b)
	left := t.at(i, j)
	common = make([]byte, left)
	size := 0
	for i > 0 && j > 0 {
		if t.a[i-1] == t.b[j-1] {
			i, j, size = i-1, j-1, size+1
			left--
			common[left] = t.a[i]
			if i > 0 && j > 0 {
				continue
			}
		}
		if size > 0 {
			matches = append(matches, match{i, j, size})
			size = 0
		}
		switch {
		case i == 0 || j == 0:
		case t.at(i-1, j) > t.at(i, j-1):
			i--
		default:
			j--
		}
	}
	return common, matches
}
