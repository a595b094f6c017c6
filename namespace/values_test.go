package namespace

import (
	"slices"
	"strings"
	"testing"

	"riptide-proxy/resp"
)

// sealedForm is what stands for a sealed value in these tests; of what begins
// with it the rest is written twice when it is opened.
const sealedForm = "S:"

func TestAppendSealed(t *testing.T) {
	long := strings.Repeat("v", 1000)
	prefix := []byte("t:acme:0:")
	for _, c := range []struct {
		args     []string
		prefixed []int32
		values   []int32
		refused  []int32
		sealed   func(v string) string
	}{
		{[]string{"GET", "k"}, []int32{1}, nil, nil, nil},
		{[]string{"PING"}, nil, nil, nil, nil},
		{[]string{"SET", "k", "v"}, []int32{1}, []int32{2}, nil, nil},
		{[]string{"SET", "k", ""}, []int32{1}, []int32{2}, nil, nil},
		{[]string{"SET", "k", "v"}, []int32{1}, []int32{2}, []int32{2}, nil},
		{[]string{"SET", "k", "v", "EX", "10"}, []int32{1}, []int32{2}, nil, nil},
		{[]string{"SET", "k", long, "EX", "10"}, []int32{1}, []int32{2}, nil, func(string) string { return "" }},
		{[]string{"SET", "k", long}, []int32{1}, []int32{2}, nil, func(v string) string { return v[:9] }},
		{[]string{"SET", "k", long}, []int32{1}, []int32{2}, nil, func(v string) string { return v[:99] }},
		{[]string{"SET", "k", long}, []int32{1}, []int32{2}, nil, func(v string) string { return v[:100] }},
		{[]string{"SET", "k", "123456789"}, []int32{1}, []int32{2}, nil, func(v string) string { return v + "0" }},
		{[]string{"SET", "k", "1"}, []int32{1}, []int32{2}, nil, func(string) string { return strings.Repeat("x", 123456) }},
		{[]string{"MSET", "a", "1", "b", long, "c", "3"}, []int32{1, 3, 5}, []int32{2, 4, 6}, []int32{4}, nil},
		{[]string{"MSET", "a", "1", "b", long, "c", "3"}, []int32{1, 3, 5}, []int32{2, 4, 6}, []int32{2, 6}, func(v string) string { return v[1:] }},
		{[]string{"HSET", "h", "f", "1", "g", "2"}, []int32{1}, []int32{3, 5}, nil, nil},
		{[]string{"X", "1", "k"}, []int32{2}, []int32{1}, nil, nil}, // a value before the key
		{[]string{"X", "1", "k"}, nil, []int32{0, 1, 2}, nil, nil},
	} {
		if c.sealed == nil {
			c.sealed = func(v string) string { return sealedForm + v }
		}
		r, _, ok := scan(resp.AppendRequest(nil, c.args...))
		if !ok {
			t.Fatalf("%q does not scan", c.args)
		}
		want := slices.Clone(c.args)
		for _, i := range c.prefixed {
			want[i] = string(prefix) + want[i]
		}
		for _, i := range c.values {
			if !slices.Contains(c.refused, i) {
				want[i] = c.sealed(want[i])
			}
		}
		for _, room := range []int{0, 64, 1 << 20} {
			dst := append(make([]byte, 0, room), "before"...)
			var asked []int32
			dst = r.AppendSealed(dst, c.prefixed, prefix, c.values, func(dst []byte, i int32) ([]byte, bool) {
				asked = append(asked, i)
				if slices.Contains(c.refused, i) {
					return append(dst, "rubbish"...), false
				}
				return append(dst, c.sealed(string(r.At(int(i))))...), true
			})
			if got, want := string(dst), "before"+string(resp.AppendRequest(nil, want...)); got != want {
				t.Errorf("%.60q: %.90q, want %.90q", c.args, got, want)
			}
			if !slices.Equal(asked, c.values) {
				t.Errorf("%.60q: asked for %v, not %v", c.args, asked, c.values)
			}
		}
	}
}
