package proxyproto

import (
	"bytes"
	"encoding/binary"
	"net/netip"
	"testing"
)

// made puts a header together.
func made(versionCommand, family byte, rest ...byte) []byte {
	b := append([]byte(signature), versionCommand, family)
	b = binary.BigEndian.AppendUint16(b, uint16(len(rest)))
	return append(b, rest...)
}

var (
	v4 = []byte{192, 0, 2, 7, 10, 0, 0, 1, 0x12, 0x34, 0x18, 0xec}
	v6 = append(append(append([]byte{}, netip.MustParseAddr("2001:db8::7").AsSlice()...), netip.MustParseAddr("::1").AsSlice()...), 0x12, 0x34, 0x18, 0xec)
	// mapped is an address of IPv4 that somebody dressed up as one of IPv6.
	mapped = append(append(append([]byte{}, netip.MustParseAddr("::ffff:192.0.2.7").AsSlice()...), netip.MustParseAddr("::1").AsSlice()...), 0x12, 0x34, 0x18, 0xec)
)

func TestParse(t *testing.T) {
	for _, c := range []struct {
		name   string
		in     []byte
		source string
		local  bool
		err    error
	}{
		{"IPv4", made(0x21, 0x11, v4...), "192.0.2.7:4660", false, nil},
		{"IPv6", made(0x21, 0x21, v6...), "[2001:db8::7]:4660", false, nil},
		{"IPv4 in IPv6", made(0x21, 0x21, mapped...), "192.0.2.7:4660", false, nil},
		{"with more behind the addresses", made(0x21, 0x11, append(bytes.Clone(v4), 0x20, 0, 3, 1, 2, 3)...), "192.0.2.7:4660", false, nil},
		{"for itself", made(0x20, 0), "", true, nil},
		{"for itself, with addresses", made(0x20, 0x11, v4...), "", true, nil},

		{"nobody's", made(0x21, 0), "", false, ErrUnknown},
		{"UDP", made(0x21, 0x12, v4...), "", false, ErrUnknown},
		{"a unix socket", made(0x21, 0x31, make([]byte, 216)...), "", false, ErrUnknown},
		{"another family", made(0x21, 0x41, v4...), "", false, ErrUnknown},
		{"too short for IPv4", made(0x21, 0x11, v4[:11]...), "", false, ErrBad},
		{"too short for IPv6", made(0x21, 0x21, v6[:35]...), "", false, ErrBad},
		{"version 1", []byte("PROXY TCP4 192.0.2.7 10.0.0.1 4660 6380\r\n"), "", false, ErrNoHeader},
		{"version 3", made(0x31, 0x11, v4...), "", false, ErrBad},
		{"another command", made(0x22, 0x11, v4...), "", false, ErrBad},
		{"a command of Redis", []byte("*1\r\n$4\r\nPING\r\n"), "", false, ErrNoHeader},
		{"empty lines", []byte("\r\n\r\nPING"), "", false, ErrNoHeader},
		{"too long", made(0x21, 0x11, make([]byte, MaxSize)...), "", false, ErrTooLong},
		{"endless for itself", append([]byte(signature), 0x20, 0, 0xff, 0xff), "", false, ErrTooLong},
	} {
		t.Run(c.name, func(t *testing.T) {
			h, n, err := Parse(append(bytes.Clone(c.in), "rest"...))
			if err != c.err {
				t.Fatalf("error %v, want %v", err, c.err)
			}
			if err != nil {
				if h != (Header{}) || n != 0 {
					t.Fatalf("%+v, %d with an error", h, n)
				}
				return
			}
			if n != len(c.in) || h.Local != c.local || (h.Source.IsValid() && h.Source.String() != c.source) || h.Source.IsValid() == c.local {
				t.Errorf("%+v, %d of %d", h, n, len(c.in))
			}
			// Until the last byte is there nothing is known.
			for k := range c.in {
				if h, n, err := Parse(c.in[:k]); n != 0 || err != nil || h != (Header{}) {
					t.Fatalf("after %d bytes: %+v, %d, %v", k, h, n, err)
				}
			}
		})
	}
}

func FuzzParse(f *testing.F) {
	f.Add(made(0x21, 0x11, v4...))
	f.Add(made(0x21, 0x21, v6...))
	f.Add(made(0x20, 0))
	f.Add([]byte("PROXY TCP4 1.2.3.4 1.2.3.4 1 2\r\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		h, n, err := Parse(b)
		switch {
		case err != nil || n == 0:
			if h != (Header{}) || n != 0 {
				t.Errorf("%+v, %d, %v", h, n, err)
			}
		case n > len(b) || n > MaxSize || h.Local == h.Source.IsValid() || h.Source.Addr().Is4In6():
			t.Errorf("%+v, %d of %d", h, n, len(b))
		default:
			if again, m, err := Parse(b[:n]); again != h || m != n || err != nil {
				t.Errorf("what follows a header changes it: %+v, %+v", h, again)
			}
		}
	})
}
