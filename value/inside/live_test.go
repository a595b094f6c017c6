package inside

import (
	"fmt"
	"math/rand/v2"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"riptide-proxy/command"
	"riptide-proxy/resp"
	"riptide-proxy/tests/harness"
)

// testLimit is the server's proto-max-bulk-len, and so the longest string.
const testLimit = 1 << 20

// server is a real one, with a connection in RESP2 and one in RESP3.
type server struct {
	conns [4]*harness.Conn
	env   Env
}

func newServer(t testing.TB) *server {
	t.Helper()
	addr := harness.StartRedis(t, "--proto-max-bulk-len", strconv.Itoa(testLimit)).Addr
	s := &server{env: Env{Limit: testLimit}}
	for _, proto := range []int{2, 3} {
		c, err := harness.Dial(addr)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		s.conns[proto] = c
		s.do(t, proto, "HELLO", strconv.Itoa(proto))
	}
	info := s.do(t, 2, "INFO", "server")
	for _, product := range []string{"redis", "valkey"} {
		m := regexp.MustCompile(product + `_version:(\d+)\.(\d+)`).FindStringSubmatch(info)
		if m != nil {
			major, _ := strconv.Atoi(m[1])
			minor, _ := strconv.Atoi(m[2])
			s.env.Server = command.Server{Product: product, Major: major, Minor: minor}
		}
	}
	t.Logf("%+v", s.env.Server)
	return s
}

func (s *server) do(t testing.TB, proto int, args ...string) string {
	t.Helper()
	reply, err := s.conns[proto].Do(args...)
	if err != nil {
		t.Fatalf("%q: %v", args, err)
	}
	return reply
}

// stored makes the key what the case begins with, and read reads it back.
func (s *server) store(t testing.TB, hash bool, value string, exists bool) {
	t.Helper()
	s.do(t, 2, "DEL", "k")
	switch {
	case exists && hash:
		s.do(t, 2, "HSET", "k", "f", value)
	case exists:
		s.do(t, 2, "SET", "k", value)
	}
}

func (s *server) read(t testing.TB, hash bool) string {
	t.Helper()
	if hash {
		return s.do(t, 2, "HGET", "k", "f")
	}
	return s.do(t, 2, "GET", "k")
}

// compare computes a command here and lets the server do it. Both have to say
// the same, and to leave the same.
func (s *server) compare(t testing.TB, proto int, value string, exists bool, args ...string) {
	t.Helper()
	hash := args[0][0] == 'h'
	if !exists {
		value = ""
	}
	s.store(t, hash, value, exists)
	want := s.do(t, proto, args...)
	env := s.env
	env.Proto = proto
	r := Lookup(args[0])([]byte(value), exists, bytesOf(args), env)
	if string(r.Reply) != want {
		t.Fatalf("%.200q on %.200q (%v): %.200q, the server says %.200q", args, value, exists, r.Reply, want)
	}
	got := resp.AppendNull(nil, 2)
	switch {
	case r.Changed:
		got = resp.AppendBulk(nil, r.Value)
	case exists:
		got = resp.AppendBulkString(nil, value)
	}
	if want := s.read(t, hash); string(got) != want {
		t.Fatalf("%.200q on %.200q (%v) leaves %.200q, the server has %.200q", args, value, exists, got, want)
	}
}

func bytesOf(args []string) [][]byte {
	b := make([][]byte, len(args))
	for i, a := range args {
		b[i] = []byte(a)
	}
	return b
}

// gen makes values and arguments up.
type gen struct{ *rand.Rand }

func newGen(seed uint64) *gen { return &gen{rand.New(rand.NewPCG(seed, 7))} }

func (g *gen) pick(of ...string) string { return of[g.IntN(len(of))] }

func (g *gen) bytes(n int) string {
	b := make([]byte, n)
	kind := g.IntN(4)
	for i := range b {
		switch kind {
		case 0:
			b[i] = byte(g.Uint32())
		case 1:
			b[i] = "\x00\x00\x00\xff\x01"[g.IntN(5)]
		case 2:
			b[i] = "\xff\xff\xff\xff\x7f"[g.IntN(5)]
		default:
			b[i] = byte('a' + g.IntN(26))
		}
	}
	return string(b)
}

func (g *gen) value() string {
	switch g.IntN(6) {
	case 0:
		return g.integer()
	case 1:
		return g.bytes(g.IntN(400))
	case 2:
		return strings.Repeat(g.pick("\x00", "\xff"), g.IntN(40)) + g.bytes(g.IntN(2))
	}
	return g.bytes(g.IntN(24))
}

// integer is mostly an integer.
func (g *gen) integer() string {
	switch g.IntN(8) {
	case 0:
		return g.pick("", "-", "+1", "01", "-0", " 1", "1 ", "1.0", "abc", "1\x00", "99999999999999999999", "9223372036854775808", "-9223372036854775809", "0x10", "#1")
	case 1:
		return g.pick("9223372036854775807", "-9223372036854775808", "9223372036854775806", "-9223372036854775807", "4611686018427387904")
	case 2:
		return strconv.FormatInt(int64(g.Uint64())>>g.IntN(64), 10)
	}
	return strconv.Itoa(g.IntN(60) - 30)
}

// index is a place in a value, in bytes or in bits.
func (g *gen) index() string {
	switch g.IntN(12) {
	case 0:
		return g.integer()
	case 1:
		return strconv.Itoa(g.IntN(6000) - 3000)
	}
	return strconv.Itoa(g.IntN(120) - 60)
}

// offset is the place of a bit.
func (g *gen) offset() string {
	switch g.IntN(12) {
	case 0:
		return g.integer()
	case 1:
		return g.pick("8388607", "8388608", "8388600", "8388609", "67108864", "4294967295", "4294967296")
	}
	return strconv.Itoa(g.IntN(300))
}

func (g *gen) unit() string { return g.pick("BIT", "BYTE", "bit", "Byte", "bits", "", "bit\x00x") }

func (g *gen) float() string {
	switch g.IntN(14) {
	case 0:
		return g.pick("", ".", "-", "+", "e", "1e", "1e+", "0x", "0xp1", "0x1p", " 1", "1 ", "1\x00", "1_0", "nan", "-nan", "nan(1)", "infinit", "1.5.2", "--1", "0x.", "0xg", "1f", "1l")
	case 1:
		return g.pick("inf", "-inf", "+Inf", "INFINITY", "-infinity", "1e4932", "-1e4932", "1.18973149535723176502e4932", "1.18973149535723176506e4932", "1.2e4932", "1e5000", "1e99999999999999999999",
			"0e99999999999999999999", "1e-99999999999999999999", "1e-4950", "1e-4951", "3e-4951", "3.6451995318824746025e-4951", "1.8225997659412373e-4951", "1.8225997659412374e-4951", "0x1p16383", "0x1p16384", "0x1p-16445", "0x1p-16446",
			"0x1.8p-16446", "0x1.ffffffffffffffffp16383", "0x1.fffffffffffffffep16383", "0x1.ffffffffffffffff8p16383", "0x0p99999999999", "0x1p99999999999", "0x1p-99999999999")
	case 2:
		return g.integer()
	case 3:
		return fmt.Sprintf("%s0x%x.%xp%d", g.pick("", "-", "+"), g.Uint64()>>g.IntN(64), g.Uint64()>>g.IntN(64), g.IntN(200)-100)
	case 4:
		return g.pick("0.00000000000000001", "5e-18", "0.5e-17", "4.9999999999999999e-18", "3.814697265625e-06", "0x1p-18", "0x3p-18", "-0x1p-18", "-0", "-0.0", "5.", ".5", "+.5e1", "1E3", "0X1P3", "1e17", "1e18", "1e19", "1e20", "3.0e3",
			"18446744073709551616", "18446744073709551615", "18446744073709551617", "36893488147419103233", "0.1", "0.2", "0.3", "1.1", "10.50", "5.0e3")
	case 5:
		return g.pick("", "-") + g.digits(1+g.IntN(60)) + "." + g.digits(g.IntN(60)) + g.pick("", "e"+strconv.Itoa(g.IntN(10000)-5000))
	case 6:
		return strings.Repeat("0", g.IntN(10)) + "." + g.digits(g.IntN(5200))
	case 7:
		return strconv.FormatFloat((g.Float64()-0.5)*2e3, 'g', -1, 64)
	}
	return g.pick("", "-") + g.digits(1+g.IntN(6)) + g.pick("", "."+g.digits(1+g.IntN(20)))
}

func (g *gen) digits(n int) string {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte('0' + g.IntN(10))
	}
	return string(b)
}

// bitfield is what follows BITFIELD and the key.
func (g *gen) bitfield(only bool) (args []string) {
	for range g.IntN(6) {
		name := g.pick("GET", "SET", "INCRBY", "OVERFLOW", "set", "incrby", "SET", "INCRBY")
		if only || g.IntN(60) == 0 {
			name = g.pick("get", "GET", "get", "GET", "SET", "gett", "GET\x00")
		}
		args = append(args, name)
		if strings.EqualFold(name, "overflow") {
			args = append(args, g.pick("WRAP", "SAT", "FAIL", "sat", "fail", "SAT", "FAIL", g.pick("", "x", "sat\x00y", "wrap")))
			continue
		}
		width := g.pick("1", "2", "5", "8", "16", "31", "32", "33", "62", "63", "64", strconv.Itoa(1+g.IntN(64)))
		kind := g.pick("i", "u")
		if kind == "u" && width == "64" && g.IntN(8) > 0 {
			width = "63"
		}
		if g.IntN(30) == 0 {
			kind, width = g.pick("", "I", "U", "x", "i", "u"), g.pick("", "0", "-1", "65", "08", "8\x00z", "a", "8")
		}
		args = append(args, kind+width)
		args = append(args, g.pick("", "", "#")+g.offset())
		if !strings.EqualFold(strings.TrimRight(name, "\x00"), "get") {
			args = append(args, g.fieldValue())
		}
	}
	if g.IntN(40) == 0 && len(args) > 0 {
		args = args[:len(args)-1]
	}
	return args
}

func (g *gen) fieldValue() string {
	if g.IntN(3) == 0 {
		return g.integer()
	}
	n := int64(1) << g.IntN(64)
	return strconv.FormatInt(g.pickInt(n, n-1, -n, -n-1, n+1, int64(g.Uint64())>>g.IntN(64)), 10)
}

func (g *gen) pickInt(of ...int64) int64 { return of[g.IntN(len(of))] }
