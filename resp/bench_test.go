package resp

import (
	"bytes"
	"fmt"
	"testing"
)

// pipeline is how many requests or replies a buffer holds; figures are for one of them.
const pipeline = 16

func BenchmarkScan(b *testing.B) {
	lim := DefaultLimits()
	for _, c := range []struct {
		name string
		args []string
	}{
		{"PING", []string{"PING"}},
		{"GET", []string{"GET", "user:1000"}},
		{"SET64", []string{"SET", "key:000000012345", string(bytes.Repeat([]byte{'x'}, 64))}},
		{"SET1024", []string{"SET", "key:000000012345", string(bytes.Repeat([]byte{'x'}, 1024))}},
		{"MSET32", append([]string{"MSET"}, words(32, "key:%06d")...)},
	} {
		b.Run(c.name, func(b *testing.B) {
			buf := bytes.Repeat(AppendRequest(nil, c.args...), pipeline)
			var r Request
			b.ReportAllocs()
			for i := 0; i < b.N; i += pipeline {
				for rest := buf; len(rest) > 0; {
					r.Reset()
					n, err := r.Scan(rest, &lim)
					if n == 0 || err != nil {
						b.Fatal(n, err)
					}
					rest = rest[n:]
				}
			}
		})
	}
}

func BenchmarkFeed(b *testing.B) {
	for _, c := range []struct{ name, reply string }{
		{"OK", "+OK\r\n"},
		{"QUEUED", "+QUEUED\r\n"},
		{"int", ":1\r\n"},
		{"bulk5", "$5\r\nhello\r\n"},
		{"bulk64", "$64\r\n" + string(bytes.Repeat([]byte{'x'}, 64)) + "\r\n"},
		{"null2", "$-1\r\n"},
		{"null3", "_\r\n"},
		{"error", "-ERR unknown command 'x'\r\n"},
		{"array32", string(AppendRequest(nil, words(32, "key:%06d")...))},
		{"zset32", string(mapOfDoubles(32))},
	} {
		b.Run(c.name, func(b *testing.B) {
			buf := bytes.Repeat([]byte(c.reply), pipeline)
			var s ReplyScanner
			b.ReportAllocs()
			for i := 0; i < b.N; i += pipeline {
				for rest := buf; len(rest) > 0; {
					n, done, err := s.Feed(rest)
					if !done || err != nil {
						b.Fatal(n, err)
					}
					rest = rest[n:]
				}
			}
		})
	}
}

func BenchmarkRewrite(b *testing.B) {
	reply := AppendRequest(nil, words(100, "t:acme:0:key:%06d")...)
	prefix := []byte("t:acme:0:")
	var dst []byte
	b.ReportAllocs()
	for b.Loop() {
		var err error
		dst, err = Rewrite(dst[:0], reply, func(_ []int, _ byte, data []byte) ([]byte, bool) {
			return bytes.CutPrefix(data, prefix)
		})
		if err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkAppendBulk(b *testing.B) {
	var dst []byte
	key := []byte("key:000000012345")
	b.ReportAllocs()
	for b.Loop() {
		dst = AppendBulk(dst[:0], key)
	}
}

func words(n int, format string) []string {
	w := make([]string, n)
	for i := range w {
		w[i] = fmt.Sprintf(format, i)
	}
	return w
}

func mapOfDoubles(n int) []byte {
	b := AppendMap(nil, 3, n)
	for i := range n {
		b = AppendBulkString(b, fmt.Sprintf("member:%06d", i))
		b = AppendDouble(b, 3, float64(i)+0.5)
	}
	return b
}
