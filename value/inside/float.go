package inside

import (
	"bytes"
	"math/big"
	"strings"
)

// Redis computes with the long double of its C compiler. On x86-64 that is the
// extended format: 64 bits of precision and 15 bits of exponent.
const (
	precision   = 64
	maxExponent = 16384  // values are below 2^16384
	minExponent = -16445 // the smallest one above zero is 2^-16445

	// maxFloatText is how many bytes of text are too many for a number.
	maxFloatText = 5 * 1024

	// No decimal number with its first digit before this place, or behind
	// that one, can be in range.
	maxDecimal, minDecimal = 4935, -4960
	// saturated is an exponent that no number of digits brings back in range.
	saturated = 1 << 30
)

func newFloat() *big.Float { return new(big.Float).SetPrec(precision) }

// parseFloat reads a number as strtold does: decimal or hexadecimal, or an
// infinity. It is not ok if there is anything before or behind the number, or
// if it is too large, or so small that only zero is left of it.
func parseFloat(text []byte) (_ *big.Float, ok bool) {
	if len(text) >= maxFloatText {
		return nil, false
	}
	b, negative := text, false
	if len(b) > 0 && (b[0] == '-' || b[0] == '+') {
		b, negative = b[1:], b[0] == '-'
	}
	var f *big.Float
	switch {
	case is(b, "inf") && len(b) == 3, is(b, "infinity") && len(b) == 8:
		return newFloat().SetInf(negative), true
	case len(b) > 2 && b[0] == '0' && b[1]|0x20 == 'x':
		f, ok = parseHex(b[2:])
	default:
		f, ok = parseDecimal(b)
	}
	if !ok || f.MantExp(nil) > maxExponent {
		return nil, false
	}
	if negative {
		f.Neg(f)
	}
	return f, true
}

// split takes a number apart: its digits, how many of them stand behind the
// point, and the exponent, which is a decimal number behind the letter mark.
func split(b []byte, mark byte, digit func(byte) bool) (digits []byte, fraction, exponent int, ok bool) {
	i, point := 0, false
	for ; i < len(b); i++ {
		switch c := b[i]; {
		case digit(c):
			digits = append(digits, c)
			if point {
				fraction++
			}
			continue
		case c == '.' && !point:
			point = true
			continue
		}
		break
	}
	if len(digits) == 0 {
		return nil, 0, 0, false
	}
	if i < len(b) {
		if b[i]|0x20 != mark {
			return nil, 0, 0, false
		}
		if exponent, ok = parseExponent(b[i+1:]); !ok {
			return nil, 0, 0, false
		}
	}
	return bytes.TrimLeft(digits, "0"), fraction, exponent, true
}

// parseExponent reads an exponent. One that is far out of range stays so.
func parseExponent(b []byte) (n int, ok bool) {
	sign := 1
	if len(b) > 0 && (b[0] == '-' || b[0] == '+') {
		if b[0] == '-' {
			sign = -1
		}
		b = b[1:]
	}
	for _, c := range b {
		if !isDigit(c) {
			return 0, false
		}
		n = min(n*10+int(c-'0'), saturated)
	}
	return sign * n, len(b) > 0
}

func isDigit(c byte) bool { return c-'0' <= 9 }

func isHexDigit(c byte) bool { return isDigit(c) || c|0x20-'a' <= 5 }

func parseDecimal(b []byte) (*big.Float, bool) {
	digits, fraction, exponent, ok := split(b, 'e', isDigit)
	if !ok {
		return nil, false
	}
	if len(digits) == 0 {
		return newFloat(), true
	}
	exponent -= fraction
	if first := len(digits) + exponent; first > maxDecimal || first < minDecimal {
		return nil, false
	}
	numerator, _ := new(big.Int).SetString(string(digits), 10)
	denominator := big.NewInt(1)
	power := new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(max(exponent, -exponent))), nil)
	if exponent > 0 {
		numerator.Mul(numerator, power)
	} else {
		denominator = power
	}
	// Half of the smallest number is rounded to the even one of its neighbours: zero.
	scaled := new(big.Int).Lsh(numerator, 1-minExponent)
	if scaled.Cmp(denominator) <= 0 {
		return nil, false
	}
	// Both are exact, so that the quotient is rounded only once.
	return newFloat().Quo(new(big.Float).SetInt(numerator), new(big.Float).SetInt(denominator)), true
}

func parseHex(b []byte) (*big.Float, bool) {
	digits, fraction, exponent, ok := split(b, 'p', isHexDigit)
	if !ok {
		return nil, false
	}
	if len(digits) == 0 {
		return newFloat(), true
	}
	mantissa, _ := new(big.Int).SetString(string(digits), 16)
	exponent -= 4 * fraction
	top := mantissa.BitLen() + exponent // the value is below 2^top, and at least half of that
	onlyTop := mantissa.TrailingZeroBits() == uint(mantissa.BitLen()-1)
	if top > maxExponent || top < minExponent || top == minExponent && onlyTop {
		return nil, false
	}
	return newFloat().SetMantExp(newFloat().SetInt(mantissa), exponent), true
}

// sumOf adds. It is not ok if the sum is no finite number.
func sumOf(a, b *big.Float) (*big.Float, bool) {
	if a.IsInf() || b.IsInf() {
		return nil, false
	}
	sum := newFloat().Add(a, b)
	return sum, sum.MantExp(nil) <= maxExponent
}

// appendFloat writes a number in the form that Redis stores: 17 digits behind
// the point, less the zeros that they end with.
func appendFloat(dst []byte, f *big.Float) []byte {
	text := strings.TrimSuffix(strings.TrimRight(f.Text('f', 17), "0"), ".")
	if text == "-0" {
		text = "0"
	}
	return append(dst, text...)
}
