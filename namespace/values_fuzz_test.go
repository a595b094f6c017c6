package namespace

import (
	"bytes"
	"slices"
	"strings"
	"testing"

	"riptide-proxy/command"
	"riptide-proxy/resp"
)

// FuzzOpenValues checks that a reply in which nothing is sealed stays as it is,
// that opening values changes nothing else, and that what comes out is a reply
// whenever what went in is one.
func FuzzOpenValues(f *testing.F) {
	for _, reply := range []string{
		"$3 S:a ", "$-1 ", "_ ", "-ERR S:a ", "*3 $3 S:a $-1 $5 S:bad ", "*4 $1 f $3 S:a $1 g $3 S:b ", "%1 $1 f $3 S:a ", "*1 *2 $1 f $3 S:a ",
		"*2 $1 0 *2 $1 f $3 S:a ", "*2 *2 $3 1-0 *2 $1 f $3 S:a *2 $3 2-0 *-1 ", "%1 $1 k *1 *2 $3 1-0 *2 $1 f $3 S:a ", "*? $3 S:a . ",
		"*3 $3 0-0 *1 *2 $3 1-0 *2 $1 f $3 S:a *0 ", "%2 $11 first-entry *2 $3 1-0 *2 $1 f $3 S:a $7 entries *1 *2 $3 1-0 *2 $1 f $3 S:a ",
		"*2 |1 +a +b $3 S:a >1 $3 S:x $3 S:b ", "*2 $? ;3 S:a ;0 =7 txt:S:a ",
	} {
		for kind := command.NoValues; kind <= command.StreamInfo; kind++ {
			f.Add(wire(reply), uint8(kind), uint8(2), uint64(2))
		}
	}
	f.Fuzz(func(t *testing.T, reply []byte, kind, gets uint8, values uint64) {
		s := command.ReplySpec{Kind: command.ReplyKind(kind), Sort: command.SortGets{Count: int(gets), Values: values}}
		in := bytes.Clone(reply)
		size, err := resp.ValueSize(reply)
		valid := err == nil && size == len(reply)
		before := []byte("before")

		out, changed, err := OpenValues(before, in, s, func([]byte) bool { return false }, nil)
		if changed || string(out) != "before" || err != nil && valid {
			t.Fatalf("%q: nothing is sealed, and %q, %v, %v", in, out, changed, err)
		}

		count := 0
		same := func(dst, stored []byte, _ ValueAt) ([]byte, error) {
			count++
			return append(dst, stored...), nil
		}
		out, changed, err = OpenValues(before, in, s, testSealed, same)
		if changed != (count > 0) && err == nil || changed && string(out) != "before"+string(reply) || !changed && string(out) != "before" || err != nil && valid {
			t.Fatalf("%q: opened to the same it is %q, %v, %v", in, out, changed, err)
		}

		out, changed, err = OpenValues(before, in, s, testSealed, testOpen)
		if err != nil && (changed || string(out) != "before" || valid && err != errBad) {
			t.Fatalf("%q: %q, %v, %v", in, out, changed, err)
		}
		if changed {
			if size, err := resp.ValueSize(out[6:]); valid && (err != nil || size != len(out)-6) {
				t.Fatalf("%q: %q is no reply", in, out)
			}
		}
		if !bytes.Equal(in, reply) {
			t.Fatalf("%q has become %q", reply, in)
		}
		if !valid {
			return
		}
		if want, ok := byPath(reply, s); ok && err == nil && (changed != !bytes.Equal(want, reply) || changed && !bytes.Equal(out[6:], want)) {
			t.Fatalf("%q: %q, %v, want %q", in, out, changed, want)
		}
	})
}

// byPath opens values by their place in the reply, where that says it all.
func byPath(reply []byte, s command.ReplySpec) ([]byte, bool) {
	if bytes.Contains(reply, []byte("$?")) || reply[0] == '>' {
		return nil, false
	}
	value := func(path []int) bool { return len(path) == 0 }
	switch s.Kind {
	case command.WholeReply:
	case command.ElementValues, command.SortValues:
		if top := bytes.TrimLeft(reply, "*~%"); len(top) == len(reply) {
			return nil, false
		}
		value = func(path []int) bool { return len(path) == 1 && path[0] >= 0 && s.ElementIsValue(path[0]) }
	default:
		return nil, false
	}
	out, err := resp.Rewrite(nil, reply, func(path []int, kind byte, data []byte) ([]byte, bool) {
		if kind != '$' || !value(path) || !testSealed(data) {
			return nil, false
		}
		open, _ := testOpen(nil, data, ValueAt{})
		return open, true
	})
	return out, err == nil
}

// FuzzAppendSealed checks requests against ones that are encoded anew. The
// arguments are separated by newlines; bits say which get the prefix, which are
// values, and which of those are not sealed.
func FuzzAppendSealed(f *testing.F) {
	f.Add("SET\nk\nv", uint16(0b10), uint16(0b100), uint16(0), "t:acme:0:", "sealed")
	f.Add("MSET\na\n1\nb\n2", uint16(0b1010), uint16(0b10100), uint16(0b10000), "t:a:0:", strings.Repeat("s", 100))
	f.Add("HSET\nh\nf\n0123456789\ng\n", uint16(0b10), uint16(0b101000), uint16(0), "", "")
	f.Fuzz(func(t *testing.T, text string, prefixedBits, valueBits, refusedBits uint16, prefix, sealed string) {
		args := strings.Split(text, "\n")
		r, _, ok := scan(resp.AppendRequest(nil, args...))
		if !ok {
			return
		}
		var prefixed, values []int32
		for i := range min(len(args), 16) {
			switch bit := uint16(1) << i; {
			case valueBits&bit != 0:
				values = append(values, int32(i))
				if refusedBits&bit == 0 {
					args[i] = sealed
				}
			case prefixedBits&bit != 0:
				prefixed = append(prefixed, int32(i))
				args[i] = prefix + args[i]
			}
		}
		raw := bytes.Clone(r.Raw)
		var asked []int32
		got := r.AppendSealed([]byte("x"), prefixed, []byte(prefix), values, func(dst []byte, i int32) ([]byte, bool) {
			asked = append(asked, i)
			return append(dst, sealed...), refusedBits&(1<<i) == 0
		})
		if want := "x" + string(resp.AppendRequest(nil, args...)); string(got) != want || !slices.Equal(asked, values) || !bytes.Equal(raw, r.Raw) {
			t.Fatalf("%q: %q, want %q; asked for %v", text, got, want, asked)
		}
	})
}
