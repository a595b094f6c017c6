package inside

import (
	"slices"
	"strconv"
	"strings"
	"testing"

	"riptide-proxy/resp"
)

func TestAsServer(t *testing.T) {
	s := newServer(t)
	plain := func(g *gen) string { return g.value() }
	tests := []struct {
		names string
		value func(g *gen) string
		args  func(g *gen, name string) []string
	}{
		{"append", plain, func(g *gen, _ string) []string { return []string{g.value()} }},
		{"strlen", plain, func(g *gen, _ string) []string { return nil }},
		{"getrange substr", plain, func(g *gen, _ string) []string { return []string{g.index(), g.index()} }},
		{"setrange", plain, func(g *gen, _ string) []string {
			return []string{g.pick(g.index(), g.index(), g.index(), "1048575", "1048576", "1048570"), g.pick(g.value(), g.value(), "")}
		}},
		{"getbit", plain, func(g *gen, _ string) []string { return []string{g.offset()} }},
		{"setbit", plain, func(g *gen, _ string) []string {
			return []string{g.offset(), g.pick("0", "1", "0", "1", "0", "1", g.integer())}
		}},
		{"bitcount", plain, func(g *gen, _ string) []string { return g.some(g.index(), g.index(), g.unit(), "x") }},
		{"bitpos", plain, func(g *gen, _ string) []string {
			return append([]string{g.pick("0", "1", "0", "1", "0", "1", "0", "1", "2", g.integer())}, g.some(g.index(), g.index(), g.unit(), "x")...)
		}},
		{"bitfield bitfield_ro", plain, func(g *gen, name string) []string { return g.bitfield(name == "bitfield_ro") }},
		{"incr decr", (*gen).integer, func(*gen, string) []string { return nil }},
		{"incrby decrby", (*gen).integer, func(g *gen, _ string) []string { return []string{g.integer()} }},
		{"incrbyfloat", (*gen).float, func(g *gen, _ string) []string { return []string{g.float()} }},
		{"hincrby", (*gen).integer, func(g *gen, _ string) []string { return []string{"f", g.integer()} }},
		{"hincrbyfloat", (*gen).float, func(g *gen, _ string) []string { return []string{"f", g.float()} }},
		{"hstrlen", plain, func(*gen, string) []string { return []string{"f"} }},
	}
	tested := 0
	for _, tt := range tests {
		for _, name := range strings.Fields(tt.names) {
			tested++
			t.Run(name, func(t *testing.T) {
				g := newGen(uint64(tested))
				for range differentialSteps {
					s.compare(t, 2+g.IntN(2), tt.value(g), g.IntN(6) > 0, append([]string{name, "k"}, tt.args(g, name)...)...)
				}
			})
		}
	}
	if tested != len(functions) {
		t.Errorf("%d of %d functions tested", tested, len(functions))
	}
}

// differentialSteps is how many calls of each command are compared.
const differentialSteps = 600

// some is a number of the arguments, mostly not all.
func (g *gen) some(args ...string) []string {
	n := g.IntN(len(args))
	if g.IntN(30) == 0 {
		n = len(args)
	}
	return args[:n]
}

func TestBitOpAsServer(t *testing.T) {
	s := newServer(t)
	ops := []string{"AND", "or", "Xor", "NOT", "nand", ""}
	// A build between two versions says it is of version 255, and may not know them yet.
	if s.env.redis82() && s.env.Server.Major < 255 {
		ops = append(ops, "DIFF", "diff1", "AndOr", "ONE")
	}
	g := newGen(1)
	for range 2 * differentialSteps {
		s.do(t, 2, "FLUSHALL")
		args := []string{"BITOP", g.pick(ops...), "to"}
		if args[1] == "nand" && s.env.Server.Major == 255 {
			continue
		}
		n := 1 + g.IntN(4)
		if args[1] == "NOT" && g.IntN(10) > 0 {
			n = 1
		}
		var sources [][]byte
		for i := range n {
			name := strconv.Itoa(i)
			args = append(args, name)
			value := ""
			if g.IntN(6) > 0 {
				value = g.value()
				s.do(t, 2, "SET", name, value)
			}
			sources = append(sources, []byte(value))
		}
		want := s.do(t, 2, args...)
		value, err := BitOp([]byte(args[1]), sources, s.env)
		got := resp.AppendInt(nil, int64(len(value)))
		if err != nil {
			got = resp.AppendError(nil, "ERR "+err.Error())
		}
		stored := resp.AppendNull(nil, 2)
		if len(value) > 0 {
			stored = resp.AppendBulk(nil, value)
		}
		if string(got) != want {
			t.Fatalf("%q of %q: %q, the server says %q", args, sources, got, want)
		}
		if want := s.do(t, 2, "GET", "to"); string(stored) != want {
			t.Fatalf("%q of %q: stores %q, the server %q", args, sources, stored, want)
		}
	}
}

func TestLCSAsServer(t *testing.T) {
	s := newServer(t)
	g := newGen(2)
	text := func() string {
		b := make([]byte, g.pickInt(0, 1, int64(g.IntN(12)), int64(g.IntN(60))))
		for i := range b {
			b[i] = byte('a' + g.IntN(3))
		}
		return string(b)
	}
	for i := range 2 * differentialSteps {
		a, b := text(), text()
		if i%3 == 0 {
			b = a[:len(a)/2] + b + a[len(a)/2:]
		}
		if i%500 == 0 { // up to the limit of the table
			a, b = strings.Repeat("ab", 256)[:511], strings.Repeat("bac", 200)[:511+i/500%2]
		}
		s.do(t, 2, "FLUSHALL")
		for name, value := range map[string]string{"a": a, "b": b} {
			if value != "" {
				s.do(t, 2, "SET", name, value)
			}
		}
		args := []string{"LCS", "a", "b"}
		for range g.IntN(4) {
			switch g.IntN(9) {
			case 0:
				args = append(args, "len")
			case 1, 2, 3:
				args = append(args, g.pick("IDX", "idx"))
			case 4, 5:
				args = append(args, "WITHMATCHLEN")
			case 6, 7:
				args = append(args, "MinMatchLen", g.pick("0", "1", "2", "3", "-4", g.integer()))
			default:
				args = append(args, g.pick("x", "minmatchlen", ""))
			}
		}
		env := s.env
		env.Proto = 2 + g.IntN(2)
		want := s.do(t, env.Proto, args...)
		if got := LCS([]byte(a), []byte(b), bytesOf(args), env); string(got) != want {
			t.Fatalf("%q of %q and %q: %q, the server says %q", args, a, b, got, want)
		}
	}
}

// TestFloatAsServer compares sums and their text on many more numbers, as the
// server takes them in one script each.
func TestFloatAsServer(t *testing.T) {
	s := newServer(t)
	g := newGen(3)
	for range 20 * differentialSteps / 100 {
		var args []string
		for range 100 {
			args = append(args, g.float(), g.float())
		}
		s.do(t, 2, "DEL", "k")
		want := s.do(t, 2, slices.Concat([]string{"EVAL", floatScript, "1", "k"}, args)...)
		var reply []byte
		for i := 0; i < len(args); i += 2 {
			r := incrementByFloat([]byte(args[i]), true, [][]byte{nil, nil, []byte(args[i+1])}, s.env)
			got := r.Value
			if !r.Changed {
				got = r.Reply[:len(r.Reply)-2]
			}
			reply = resp.AppendBulk(reply, got)
		}
		if got := string(resp.AppendArray(nil, len(args)/2)) + string(reply); got != want {
			for i := 0; i < len(args); i += 2 {
				s.compare(t, 2, args[i], true, "incrbyfloat", "k", args[i+1])
			}
			t.Fatalf("%q, the server says %q", got, want)
		}
	}
}

const floatScript = `
local out = {}
for i = 1, #ARGV, 2 do
  redis.call('SET', KEYS[1], ARGV[i])
  local r = redis.pcall('INCRBYFLOAT', KEYS[1], ARGV[i + 1])
  if type(r) == 'table' then r = '-' .. r.err end
  out[#out + 1] = r
end
return out`
