package tests

import (
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"riptide-proxy/tests/harness"
)

// A command that the upstream took without an answer: a read is sent once more,
// a write is not, and a read whose second try fails as well is given up.
func TestFailureSentTwice(t *testing.T) {
	t.Parallel()
	f := startFake(t)
	p := harness.StartProxy(t, f.addr, harness.Options{})
	p.Ready(t)
	c := p.Connect(t, harness.Acme)
	for _, tc := range []struct {
		args     []string
		failures int32 // of the first tries
		want     string
		tries    int32
	}{
		{[]string{"GET", "evil"}, 1, "+fine\r\n", 2},
		{[]string{"GET", "evil"}, 2, unknown, 2},
		{[]string{"SET", "evil", "v"}, 1, unknown, 1},
		{[]string{"INCR", "evil"}, 1, unknown, 1},
		{[]string{"SORT", "evil"}, 1, unknown, 1},
		{[]string{"EXISTS", "evil"}, 1, "+fine\r\n", 2},
		{[]string{"SET", "evil", strings.Repeat("v", 100<<10)}, 1, unknown, 1},
	} {
		var tries atomic.Int32
		f.set(false, func(args []string) []byte {
			switch {
			case !slices.Contains(args, "t:acme:0:evil"):
				return nil
			case tries.Add(1) <= tc.failures:
				return []byte(hangUp)
			}
			return []byte("+fine\r\n")
		})
		expect(t, c, tc.want, tc.args...)
		if tries.Load() != tc.tries {
			t.Errorf("%.40q was sent %d times", tc.args, tries.Load())
		}
	}
}

// pattern is a value of a size that is wrong when anything in it is missing or
// moved.
func pattern(size int) string {
	var b strings.Builder
	b.Grow(size + 16)
	for i := 0; b.Len() < size; i++ {
		fmt.Fprintf(&b, "%015x\n", i*2654435761)
	}
	return b.String()[:size]
}

// Values of any size that Redis allows come back as they went in.
func TestFailureLargeValues(t *testing.T) {
	t.Parallel()
	p := hostileProxy(t, "")
	k := startCanary(t, p)
	k.patience = 10 * time.Second // its replies come behind large ones, on a busy machine
	c, c3 := p.Connect(t, harness.Acme), dial(t, p)
	expect(t, c3, "%7\r\n", "HELLO", "3", "AUTH", "acme", "acme-secret")
	sizes := []int{0, 1, 4<<10 - 1, 4 << 10, 8 << 10, 64<<10 - 1, 64 << 10, 64<<10 + 1, 256 << 10, 1 << 20, 1<<20 + 8<<10 + 1, 64 << 20}
	if full {
		sizes = append(sizes, 512<<20)
	}
	for _, size := range sizes {
		value := pattern(size)
		for _, conn := range []*harness.Conn{c, c3} {
			expect(t, conn, "+OK\r\n", "SET", "v", value)
			if size <= 1<<20 {
				expect(t, conn, "+OK\r\n", "MSET", "w", value, "x", value)
			}
			reply, err := conn.Do("GET", "v")
			if err != nil || reply != fmt.Sprintf("$%d\r\n%s\r\n", size, value) {
				t.Fatalf("a value of %d bytes came back with %d, %v", size, len(reply), err)
			}
		}
	}
	expect(t, c, ":1\r\n", "DEL", "v")
	k.finish(t)
	alive(t, p)
}

// Requests and replies of very many small parts take time in proportion to
// their number, and hold nobody else up.
func TestFailureManyElements(t *testing.T) {
	p := hostileProxy(t, "")
	k := startCanary(t, p)
	c := p.Connect(t, harness.Acme)
	for _, n := range []int{1000, 10000, 100000} {
		call := []string{"RPUSH", fmt.Sprint("l", n)}
		want := fmt.Appendf(nil, "*%d\r\n", n)
		for i := range n {
			element := fmt.Sprintf("element %08d", i)
			call = append(call, element)
			want = fmt.Appendf(want, "$%d\r\n%s\r\n", len(element), element)
		}
		began := time.Now()
		if reply, err := c.Do(call...); err != nil || reply != fmt.Sprintf(":%d\r\n", n) {
			t.Fatalf("RPUSH of %d: %.100q, %v", n, reply, err)
		}
		pushed := time.Since(began)
		began = time.Now()
		if reply, err := c.Do("LRANGE", call[1], "0", "-1"); err != nil || reply != string(want) {
			t.Fatalf("LRANGE of %d: %d bytes, %v", n, len(reply), err)
		}
		t.Logf("%d elements: RPUSH %v, LRANGE %v", n, pushed, time.Since(began))
		if pushed > 2*time.Second || time.Since(began) > 2*time.Second {
			t.Errorf("%d elements: RPUSH took %v, LRANGE %v", n, pushed, time.Since(began))
		}
	}
	k.finish(t)
	if k.worst > 500*time.Millisecond {
		t.Errorf("meanwhile another tenant had to wait %v", k.worst)
	}
}

// One reply that is far larger than what a client may leave unread reaches a
// client that takes its time, whole, while others are served.
func TestFailureLargeReplySlowly(t *testing.T) {
	t.Parallel()
	p := hostileProxy(t, "")
	k := startCanary(t, p)
	k.patience = 10 * time.Second // its replies come behind large ones, on a busy machine
	c := p.Connect(t, harness.Acme)
	const n, size = 100, 1 << 20
	value := pattern(size)
	call, want := []string{"MGET"}, fmt.Sprintf("*%d\r\n", n)
	expect(t, c, "+OK\r\n", "SET", "v", value)
	for range n {
		call = append(call, "v")
		want += fmt.Sprintf("$%d\r\n%s\r\n", size, value)
	}
	high := peak(t, p.Process)
	if err := c.Send(call...); err != nil {
		t.Fatal(err)
	}
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	part := make([]byte, 256<<10)
	for len(want) > 0 {
		<-tick.C // slower than the proxy could be
		c.SetReadDeadline(time.Now().Add(time.Minute))
		got, err := c.R.Read(part)
		if err != nil || want[:got] != string(part[:got]) {
			t.Fatalf("%d bytes before the end: %v", len(want), err)
		}
		want = want[got:]
	}
	k.finish(t)
	alive(t, p)
	t.Logf("%d MiB at once; peak %d MiB", n*size>>20, high()>>20)
}
