package tests

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"riptide-proxy/tests/harness"
)

// fake is an upstream that is as wicked as a test wants it to be. It knows just
// enough to be taken for a server.
type fake struct {
	addr string
	mu   sync.Mutex
	data map[string]string
	evil func(args []string) []byte // its answer, or nil for the usual one
	slow bool                       // answers a byte at a time
}

// hangUp in place of a reply closes the connection.
const hangUp = "hang up"

func startFake(t *testing.T) *fake {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ln.Close() })
	f := &fake{addr: ln.Addr().String(), data: make(map[string]string)}
	go func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			go f.serve(c)
		}
	}()
	return f
}

// set changes what it does from now on.
func (f *fake) set(slow bool, evil func(args []string) []byte) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.slow, f.evil = slow, evil
}

func (f *fake) serve(c net.Conn) {
	defer c.Close()
	r := bufio.NewReader(c)
	for {
		args, err := readRequest(r)
		if err != nil {
			return
		}
		reply, slow := f.answer(args)
		if string(reply) == hangUp {
			return
		}
		if !slow {
			if _, err := c.Write(reply); err != nil {
				return
			}
			continue
		}
		for i := range reply {
			if _, err := c.Write(reply[i : i+1]); err != nil {
				return
			}
		}
	}
}

func readRequest(r *bufio.Reader) (args []string, err error) {
	line, err := r.ReadString('\n')
	if err != nil {
		return nil, err
	}
	n, _ := strconv.Atoi(strings.TrimSpace(line[1:]))
	for range n {
		if line, err = r.ReadString('\n'); err != nil {
			return nil, err
		}
		size, _ := strconv.Atoi(strings.TrimSpace(line[1:]))
		b := make([]byte, size+2)
		if _, err := io.ReadFull(r, b); err != nil {
			return nil, err
		}
		args = append(args, string(b[:size]))
	}
	return args, nil
}

func (f *fake) answer(args []string) (reply []byte, slow bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.evil != nil {
		if b := f.evil(args); b != nil {
			return b, f.slow
		}
	}
	switch strings.ToUpper(args[0]) {
	case "PING":
		return []byte("+PONG\r\n"), false
	case "HELLO":
		return []byte("%2\r\n$6\r\nserver\r\n$5\r\nredis\r\n$5\r\nproto\r\n:" + args[1] + "\r\n"), false
	case "INFO":
		return []byte("$22\r\nredis_version:7.0.15\r\n\r\n"), false
	case "COMMAND", "CONFIG":
		return []byte("-ERR unknown command\r\n"), false
	case "SET":
		f.data[args[1]] = args[2]
	case "GET":
		v := f.data[args[1]]
		return fmt.Appendf(nil, "$%d\r\n%s\r\n", len(v), v), false
	case "EXISTS":
		return []byte(":0\r\n"), false
	case "SCAN":
		return []byte("*2\r\n$1\r\n0\r\n*0\r\n"), false
	}
	return []byte("+OK\r\n"), false
}

// evils are replies that no server sends, or the beginnings of some.
var evils = map[string]string{
	"deep":                 strings.Repeat("*1\r\n", 1_000_000) + ":1\r\n",
	"deeper, maps":         strings.Repeat("%1\r\n+k\r\n", 300_000) + ":1\r\n",
	"deep and unfinished":  strings.Repeat("*2\r\n", 200_000),
	"attributes for ever":  strings.Repeat("|1\r\n+a\r\n", 100_000) + ":1\r\n",
	"negative bulk":        "$-2\r\n",
	"negative array":       "*-7\r\n",
	"negative map":         "%-1\r\n",
	"huge bulk":            "$9223372036854775807\r\n",
	"huge bulk, allocated": "$1000000000000\r\n",
	"bulk over 2^64":       "$18446744073709551620\r\n",
	"huge array":           "*9223372036854775807\r\n",
	"array, allocated":     "*100000000000\r\n",
	"huge map":             "%4611686018427387905\r\n",
	"many huge arrays":     strings.Repeat("*1099511627776\r\n", 1000),
	"no number":            "$abc\r\n",
	"no length":            "*\r\n",
	"no integer":           ":12a\r\n",
	"garbage":              "garbage\r\n",
	"zeros":                "\x00\x01\x02\x03\r\n",
	"bulk without its end": "$3\r\nabcdef",
	"no CRLF":              "+" + strings.Repeat("x", 4<<20),
	"streamed for ever":    strings.Repeat("*?\r\n", 1000),
	"half a reply":         "$10\r\nabc",
	"half a header":        "$1",
	"nothing":              "",
	"a push":               ">2\r\n+invalidate\r\n+x\r\n",
	"foreign key":          "*2\r\n$14\r\nt:globex:0:list\r\n*1\r\n$6\r\nsecret\r\n",
	"foreign name":         "*2\r\n$15\r\nt:globex:0:list\r\n*1\r\n$1\r\na\r\n",
	"HTTP":                 "HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n",
}

// upstreamProxy stands before a fake upstream.
func upstreamProxy(t *testing.T, f *fake) *harness.Proxy {
	t.Helper()
	p := harness.StartProxy(t, f.addr, harness.Options{Upstream: "  timeout: 1s\n  connect_timeout: 1s\n"})
	p.Ready(t)
	return p
}

// inParallel runs f for every evil, several at a time, since most of the time
// goes by with waiting.
func inParallel(f func(name, evil string)) {
	work := make(chan string, len(evils))
	for name := range evils {
		work <- name
	}
	close(work)
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for name := range work {
				f(name, evils[name])
			}
		})
	}
	wg.Wait()
}

// Whatever an upstream answers to a command, the client who sent it gets
// something, and the others work again at once. Nothing that is not the
// tenant's comes through where a reply is known to name keys.
func TestHostileUpstreamReplies(t *testing.T) {
	t.Parallel()
	inParallel(func(name, evil string) {
		f := startFake(t)
		p := upstreamProxy(t, f)
		high := peak(t, p.Process)
		for _, hello := range []string{"2", "3"} {
			calls := [][]string{{"GET", "evil"}, {"LMPOP", "1", "evil", "LEFT"}, {"SET", "evil", "x"}}
			if !full {
				calls = map[string][][]string{"2": {calls[0]}, "3": {calls[1]}}[hello]
			}
			for _, call := range calls {
				f.set(false, func(args []string) []byte {
					if slices.Contains(args, "t:acme:0:evil") {
						return append([]byte{}, evil...)
					}
					return nil
				})
				what := fmt.Sprintf("%s to %s in RESP%s", name, call[0], hello)
				c := dial(t, p)
				expect(t, c, map[string]string{"2": "*14\r\n", "3": "%7\r\n"}[hello], "HELLO", hello, "AUTH", "acme", "acme-secret")
				c.Write(append(harness.Request(call...), harness.Request("ECHO", "the end")...))
				reply, err := readUntil(c, "$7\r\nthe end\r\n")
				if err != nil {
					t.Errorf("%s: %.100q (%d bytes), %v", what, reply, len(reply), err)
				}
				if call[0] == "LMPOP" && bytes.Contains(reply, []byte("globex")) {
					t.Errorf("%s: %.100q", what, reply)
				}
				f.set(false, nil)
				c.Close()
				recovers(t, p, what)
			}
		}
		alive(t, p)
		if most := high(); most > 128<<20 {
			t.Errorf("%s: it cost %d MiB", name, most>>20)
		}
		p.Kill()
	})
}

// readUntil reads until the input ends in end, for a bounded time.
func readUntil(c *harness.Conn, end string) (b []byte, err error) {
	c.SetReadDeadline(time.Now().Add(15 * time.Second))
	part := make([]byte, 64<<10)
	for err == nil && !bytes.HasSuffix(b, []byte(end)) {
		var n int
		n, err = c.R.Read(part)
		b = append(b, part[:n]...)
	}
	return b, err
}

// recovers waits until a client works as if nothing had happened.
func recovers(t *testing.T, p *harness.Proxy, what string) {
	t.Helper()
	if !p.Running() {
		t.Fatalf("%s: the proxy died: %s", what, p.Log())
	}
	c := p.Connect(t, harness.Globex)
	defer c.Close()
	harness.Eventually(t, "it works again after: "+what, func() bool {
		set, _ := c.Do("SET", "canary", what)
		get, _ := c.Do("GET", "canary")
		return set == "+OK\r\n" && get == fmt.Sprintf("$%d\r\n%s\r\n", len(what), what)
	})
}

// quick are the evils that the short version of the next test tries.
var quick = []string{
	"deep", "attributes for ever", "negative bulk", "negative array", "huge bulk", "huge bulk, allocated", "huge array", "array, allocated",
	"huge map", "many huge arrays", "no number", "half a reply", "foreign name",
}

// fooled is a proxy with the fake it stands before.
type fooled struct {
	f *fake
	p *harness.Proxy
}

// The same answers to what the proxy asks for its own sake, or in several round
// trips, do not end the process.
func TestHostileUpstreamProbes(t *testing.T) {
	t.Parallel()
	all := t // whose end ends the proxies
	idle := make(chan fooled, 8)
	for range cap(idle) {
		f := startFake(t)
		idle <- fooled{f, upstreamProxy(t, f)}
	}
	for _, probe := range []string{"INFO", "CONFIG", "COMMAND", "PING", "HELLO", "CLIENT", "SCAN", "UNLINK"} {
		t.Run(probe, func(t *testing.T) {
			inParallel(func(name, evil string) {
				if full || slices.Contains(quick, name) {
					one := <-idle
					one.probe(t, probe, name, evil)
					if !one.p.Running() {
						one.p = upstreamProxy(all, one.f)
					}
					idle <- one
				}
			})
		})
	}
}

func (one fooled) probe(t *testing.T, probe, name, evil string) {
	seen, lost := make(chan struct{}, 1), false
	one.f.set(false, func(args []string) []byte {
		switch {
		case strings.EqualFold(args[0], "PING") && !lost:
			lost = true
			return []byte(hangUp) // so that all is asked again
		case strings.EqualFold(args[0], probe):
			select {
			case seen <- struct{}{}:
			default:
			}
			return append([]byte{}, evil...)
		case strings.EqualFold(args[0], "SCAN"):
			return []byte("*2\r\n$1\r\n0\r\n*1\r\n$10\r\nt:acme:0:k\r\n")
		}
		return nil
	})
	defer one.f.set(false, nil)
	c, err := harness.Dial(one.p.Addr)
	if err != nil {
		t.Errorf("%s to %s: %v", name, probe, err)
		return
	}
	defer c.Close()
	for _, args := range [][]string{{"AUTH", "acme", "acme-secret"}, {"DBSIZE"}, {"KEYS", "*"}, {"SCAN", "0"}, {"RANDOMKEY"}, {"FLUSHDB"}} {
		if reply, err := c.Do(args...); err != nil {
			t.Errorf("%s to %s: %q: %q, %v", name, probe, args, reply, err)
			break
		}
	}
	select {
	case <-seen:
	case <-time.After(4 * time.Second):
		t.Logf("%s is not asked for: %s shows nothing", probe, name)
	}
	one.f.set(false, nil)
	harness.Eventually(t, name+" to "+probe+": it works again, or died", func() bool {
		d, err := harness.Dial(one.p.Addr)
		if err != nil {
			return !one.p.Running()
		}
		defer d.Close()
		d.Do("AUTH", "acme", "acme-secret")
		reply, _ := d.Do("EXISTS", "k")
		return reply == ":0\r\n"
	})
	if !one.p.Running() {
		t.Errorf("%s to %s: the proxy died: %.1500s", name, probe, one.p.Log())
	}
}

// Good replies that come a byte at a time are good replies.
func TestHostileUpstreamByteByByte(t *testing.T) {
	t.Parallel()
	f := startFake(t)
	p := upstreamProxy(t, f)
	for _, reply := range []string{
		"+OK\r\n", "-ERR no\r\n", ":-12\r\n", "$-1\r\n", "*-1\r\n", "$0\r\n\r\n", "$5\r\na\r\nbc\r\n", "*2\r\n$1\r\na\r\n*1\r\n:1\r\n",
		"*0\r\n", "$300\r\n" + strings.Repeat("v", 300) + "\r\n", "%1\r\n+k\r\n,1.5\r\n", "~1\r\n#t\r\n", "_\r\n", "(123\r\n", "=5\r\ntxt:x\r\n",
	} {
		f.set(true, func(args []string) []byte {
			if len(args) == 2 && args[1] == "t:acme:0:evil" {
				return []byte(reply)
			}
			return nil
		})
		c := p.Connect(t, harness.Acme)
		for range 3 {
			if got, err := c.Do("GET", "evil"); err != nil || got != reply {
				t.Errorf("%q, %v; want %q", got, err, reply)
			}
		}
	}
	alive(t, p)
}
