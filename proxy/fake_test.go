package proxy

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"sync"
	"testing"
)

// fake is an upstream that does as a test says. By itself it is a server with
// SET, GET, DEL and EXISTS which does not know COMMAND.
type fake struct {
	t    testing.TB
	ln   net.Listener
	quit chan struct{} // closed when the test ends

	mu    sync.Mutex
	on    map[string]answer
	data  map[string]string
	seen  map[string]int // commands by name
	conns map[net.Conn]struct{}
}

// answer returns the reply to a command, or nil when the connection is to be
// closed. It may block, which holds up its connection only, as in a server that
// is busy with it.
type answer func(args []string) []byte

func newFake(t testing.TB) *fake {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	f := &fake{
		t: t, ln: ln, quit: make(chan struct{}),
		on: make(map[string]answer), data: make(map[string]string), seen: make(map[string]int), conns: make(map[net.Conn]struct{}),
	}
	var running sync.WaitGroup
	running.Go(func() { f.accept(&running) })
	t.Cleanup(func() {
		close(f.quit)
		ln.Close()
		f.mu.Lock()
		for c := range f.conns {
			c.Close()
		}
		f.mu.Unlock()
		running.Wait()
	})
	return f
}

func (f *fake) address() string { return f.ln.Addr().String() }

// handle sets what answers a command, given in upper case.
func (f *fake) handle(name string, a answer) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.on[name] = a
}

// gate makes a command wait until open is called; arrived gets its arguments
// when one arrives.
func (f *fake) gate(name, reply string) (arrived <-chan []string, open func()) {
	came := make(chan []string, 1<<16)
	gate := make(chan struct{})
	f.handle(name, func(args []string) []byte {
		came <- args
		select {
		case <-gate:
		case <-f.quit:
			return nil
		}
		return []byte(reply)
	})
	return came, sync.OnceFunc(func() { close(gate) })
}

// count is how often a command has come, given in upper case.
func (f *fake) count(name string) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.seen[name]
}

func (f *fake) accept(running *sync.WaitGroup) {
	for {
		c, err := f.ln.Accept()
		if err != nil {
			return
		}
		f.mu.Lock()
		f.conns[c] = struct{}{}
		f.mu.Unlock()
		running.Go(func() {
			f.serve(c)
			c.Close()
			f.mu.Lock()
			delete(f.conns, c)
			f.mu.Unlock()
		})
	}
}

func (f *fake) serve(c net.Conn) {
	r, w := bufio.NewReaderSize(c, 64<<10), bufio.NewWriterSize(c, 64<<10)
	for {
		args, err := readRequest(r)
		if err != nil {
			if !errors.Is(err, io.EOF) && !errors.Is(err, net.ErrClosed) && !strings.Contains(err.Error(), "reset by peer") {
				f.t.Errorf("the upstream got: %v", err)
			}
			return
		}
		if strings.EqualFold(args[0], "GET") && len(args) == 2 && strings.Count(args[1], ":") == 2 && strings.HasSuffix(args[1], ":values") {
			w.WriteString("$-1\r\n") // no tenant's values are sealed
			if r.Buffered() == 0 && w.Flush() != nil {
				return
			}
			continue
		}
		a := f.lookup(args)
		if a == nil {
			w.Write(f.reply(args))
		} else {
			w.Flush() // it may take its time
			reply := a(args)
			if reply == nil {
				return
			}
			w.Write(reply)
		}
		if r.Buffered() == 0 && w.Flush() != nil {
			return
		}
	}
}

func (f *fake) lookup(args []string) answer {
	name := strings.ToUpper(args[0])
	f.mu.Lock()
	defer f.mu.Unlock()
	f.seen[name]++
	return f.on[name]
}

func (f *fake) reply(args []string) []byte {
	f.mu.Lock()
	defer f.mu.Unlock()
	switch name := strings.ToUpper(args[0]); name {
	case "PING":
		return []byte("+PONG\r\n")
	case "HELLO":
		if len(args) > 1 && args[1] == "3" {
			return []byte("%1\r\n$5\r\nproto\r\n:3\r\n")
		}
		return []byte("*2\r\n$5\r\nproto\r\n:2\r\n")
	case "CLIENT":
		return []byte("+OK\r\n")
	case "SET":
		f.data[args[1]] = args[2]
		return []byte("+OK\r\n")
	case "GET":
		v, ok := f.data[args[1]]
		if !ok {
			return []byte("$-1\r\n")
		}
		return bulk(v)
	case "EXISTS", "DEL":
		_, ok := f.data[args[1]]
		if name == "DEL" {
			delete(f.data, args[1])
		}
		if ok {
			return []byte(":1\r\n")
		}
		return []byte(":0\r\n")
	}
	return fmt.Appendf(nil, "-ERR unknown command '%s'\r\n", args[0])
}

func bulk(v string) []byte { return fmt.Appendf(nil, "$%d\r\n%s\r\n", len(v), v) }

// readRequest reads an array of bulks, which is all that a proxy may send. It
// is on purpose not the code under test.
func readRequest(r *bufio.Reader) ([]string, error) {
	n, err := readLength(r, '*')
	if err != nil {
		return nil, err
	}
	args := make([]string, n)
	for i := range args {
		size, err := readLength(r, '$')
		if err != nil {
			return nil, err
		}
		b := make([]byte, size+2)
		if _, err := io.ReadFull(r, b); err != nil {
			return nil, err
		}
		if string(b[size:]) != "\r\n" {
			return nil, fmt.Errorf("bulk ends in %q", b[size:])
		}
		args[i] = string(b[:size])
	}
	return args, nil
}

func readLength(r *bufio.Reader, kind byte) (int, error) {
	line, err := r.ReadString('\n')
	if err != nil {
		return 0, err
	}
	n, err := strconv.Atoi(strings.TrimSuffix(line[1:], "\r\n"))
	if line[0] != kind || err != nil || n < 0 || kind == '*' && n < 1 {
		return 0, fmt.Errorf("header %q", line)
	}
	return n, nil
}
