package inside

import (
	"bytes"
	"math"
	"math/big"
	"strconv"
	"strings"
	"testing"

	"riptide-proxy/resp"
)

// integerModel is an operation of BITFIELD in big integers: the number that is
// stored, or nothing if it does not fit and the mode is to fail.
func integerModel(op *fieldOp, before int64) (after int64, ok bool) {
	n := big.NewInt(op.value)
	if op.code == bitIncrement {
		n.Add(n, big.NewInt(before))
	} else if !op.signed {
		n.SetUint64(uint64(op.value))
	}
	size := new(big.Int).Lsh(big.NewInt(1), uint(op.width))
	low, high := new(big.Int), new(big.Int).Set(size)
	if op.signed {
		high.Rsh(size, 1)
		low.Neg(high)
	}
	if n.Cmp(low) >= 0 && n.Cmp(high) < 0 {
		return n.Int64(), true
	}
	switch {
	case op.mode == overflowFail:
		return 0, false
	case op.mode == overflowSaturate && n.Cmp(low) < 0:
		return low.Int64(), true
	case op.mode == overflowSaturate:
		return new(big.Int).Sub(high, big.NewInt(1)).Int64(), true
	}
	n.Mod(n, size)
	if n.Cmp(high) >= 0 {
		n.Sub(n, size)
	}
	return n.Int64(), true
}

// FuzzBitField checks that whatever follows BITFIELD gives a reply, as long as
// it announces, that what an operation writes is what arithmetic without
// limits says, and that the bits beside a field stay.
func FuzzBitField(f *testing.F) {
	for _, s := range []string{
		"GET u8 0", "SET i16 #1 -5 GET i16 #1", "OVERFLOW SAT INCRBY u2 100 1", "overflow FAIL incrby i64 0 9223372036854775807 SET u63 7 -1",
		"SET i8 0 -9223372036854775808", "GET i8\x00x 3", "OVERFLOW", "OVERFLOW x", "GET u64 0", "GET i64 #9223372036854775807", "set u1 8191 1",
	} {
		f.Add([]byte(s), []byte("some value"), true)
	}
	f.Fuzz(func(t *testing.T, line, old []byte, exists bool) {
		if !exists || len(old) > 4096 {
			old = nil
		}
		env := Env{Proto: 3, Limit: 4096}
		args := append([][]byte{[]byte("bitfield"), []byte("k")}, bytes.Split(line, []byte(" "))...)
		copied := bytes.Clone(old)
		r := bitField(old, exists, args, env)
		if !bytes.Equal(old, copied) {
			t.Fatal("the old value was altered")
		}
		if r.Changed && len(r.Value) < len(old) || !r.Changed && r.Value != nil {
			t.Fatalf("%+v of %q", r, old)
		}
		ops, highest, problem := env.parseFields(args[2:])
		if problem != "" {
			if r.Changed || !bytes.Equal(r.Reply, appendError(nil, problem)) {
				t.Fatalf("%q: %+v", problem, r)
			}
			return
		}
		if n, err := resp.ValueSize(r.Reply); err != nil || n != len(r.Reply) {
			t.Fatalf("reply %q: %d, %v", r.Reply, n, err)
		}
		value := grown(old, highest>>3+1)
		for _, op := range ops {
			before, untouched := op.load(value), bytes.Clone(value)
			n, _, ok := op.apply(value)
			if op.code == bitGet {
				if !ok || n != before || !bytes.Equal(value, untouched) {
					t.Fatalf("%+v: %d, %v", op, n, ok)
				}
				continue
			}
			after, stored := integerModel(&op, before)
			tooLow := op.code == bitSet && op.signed && op.mode == overflowSaturate && op.value < 0
			if ok != stored || ok && op.load(value) != after && !tooLow {
				t.Fatalf("%+v on %d: %d, %v, not %d, %v", op, before, op.load(value), ok, after, stored)
			}
			op.store(value, before)
			if !bytes.Equal(value, untouched) {
				t.Fatalf("%+v: other bits changed", op)
			}
			if ok {
				op.store(value, after)
			}
		}
	})
}

// FuzzFloat checks numbers and their text: against Go's own reading where that
// takes the same form, and that a text read back is the same number as far as
// its 17 digits tell.
func FuzzFloat(f *testing.F) {
	for _, s := range []string{
		"0", "-0", "1", "3.0e3", ".5", "5.", "1e4932", "1.2e4932", "1e-4950", "1e-4951", "0x1p-16446", "0x1.8p-16446", "0x.8p1", "inf", "-Infinity",
		"nan", "1e", "0x", "1.8225997659412373e-4951", "3.814697265625e-06", "18446744073709551617", "1_0", "1e999999999999999999999",
	} {
		f.Add([]byte(s), []byte("1.5"))
	}
	f.Fuzz(func(t *testing.T, a, b []byte) {
		x, ok := parseFloat(a)
		if decimal := !bytes.ContainsAny(a, "xXpP_"); decimal && len(a) < maxFloatText {
			want, err := strconv.ParseFloat(string(a), 64)
			syntax := err != nil && strings.Contains(err.Error(), "syntax")
			if ok && syntax || !ok && err == nil && want != 0 && !math.IsNaN(want) {
				t.Fatalf("%q: %v, Go says %v, %v", a, ok, want, err)
			}
			if got := 0.0; ok && err == nil {
				got, _ = x.Float64()
				if got != want && math.Nextafter(got, want) != want {
					t.Fatalf("%q: %v, Go says %v", a, got, want)
				}
			}
		}
		y, ok2 := parseFloat(b)
		if !ok || !ok2 {
			return
		}
		sum, ok := sumOf(x, y)
		if !ok {
			return
		}
		text := appendFloat(nil, sum)
		again, ok := parseFloat(text)
		if !ok {
			t.Fatalf("%q + %q = %q, which can not be read", a, b, text)
		}
		if got := appendFloat(nil, again); len(text) < 18 && !bytes.Equal(got, text) {
			t.Fatalf("%q read back is %q", text, got)
		}
		if bytes.ContainsAny(text, "eExX+ ") || bytes.Equal(text, []byte("-0")) {
			t.Fatalf("text %q", text)
		}
	})
}
