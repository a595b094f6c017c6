package netloop

import (
	"bufio"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// TestMain drops the log, which is long where handlers are made to panic.
func TestMain(m *testing.M) {
	if os.Getenv("NETLOOP_TEST_CHILD") == "" {
		slog.SetDefault(slog.New(slog.DiscardHandler))
	}
	os.Exit(m.Run())
}

func acceptEcho(t testing.TB, l *Loop, seed uint64) func(int, netip.AddrPort) {
	return func(fd int, peer netip.AddrPort) {
		e := &echo{rnd: rand.New(rand.NewPCG(seed, 5)), limit: 128 << 10, how: 3}
		var err error
		if e.conn, err = l.Adopt(fd, peer, e); err != nil {
			t.Error(err)
		}
	}
}

func TestListen(t *testing.T) {
	l := startLoop(t)
	ln, err := Listen("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	peers := make(chan netip.AddrPort, 1)
	on(t, l, func() {
		echo := acceptEcho(t, l, 0)
		ln.Serve(l, func(fd int, peer netip.AddrPort) {
			peers <- peer
			if nodelay, err := unix.GetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_NODELAY); err != nil || nodelay == 0 {
				t.Errorf("Nagle's algorithm is on: %d, %v", nodelay, err)
			}
			echo(fd, peer)
		})
	})
	c, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	mustWrite(t, c, []byte("hello"))
	mustRead(t, c, "hello")
	if got := await(t, peers, "the peer").String(); got != c.LocalAddr().String() {
		t.Errorf("peer %s, want %s", got, c.LocalAddr())
	}
	on(t, l, func() { ln.Close(); ln.Close() })
	if c, err := net.Dial("tcp", ln.Addr().String()); err == nil {
		c.Close()
		t.Error("a closed listener was connected to")
	}
	mustWrite(t, c, []byte("still there"))
	mustRead(t, c, "still there")
}

func TestDial(t *testing.T) {
	l := startLoop(t)
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	got := make(chan error, 1)
	on(t, l, func() {
		l.Dial(dialing(ln.Addr().String()), func(fd int, err error) {
			if err == nil {
				unix.Close(fd)
			}
			got <- err
		})
	})
	if err := await(t, got, "the connection"); err != nil {
		t.Error(err)
	}
	ln.Close()
	on(t, l, func() {
		l.Dial(dialing(ln.Addr().String()), func(_ int, err error) { got <- err })
	})
	if err := await(t, got, "the refusal"); err == nil {
		t.Error("nobody listens, yet there is no error")
	}
}

// A process out of descriptors must neither burn the processor nor forget the
// connections that wait. It happens in a process of its own.
func TestOutOfDescriptors(t *testing.T) {
	if os.Getenv("NETLOOP_TEST_CHILD") != "" {
		outOfDescriptors(t)
		return
	}
	cmd := exec.Command(os.Args[0], "-test.run=^TestOutOfDescriptors$", "-test.v")
	cmd.Env = append(os.Environ(), "NETLOOP_TEST_CHILD=1")
	stdin, _ := cmd.StdinPipe()
	stdout, _ := cmd.StdoutPipe()
	cmd.Stderr = cmd.Stdout
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer cmd.Wait()
	defer stdin.Close()
	lines := make(chan string, 1000)
	go func() {
		defer close(lines)
		for s := bufio.NewScanner(stdout); s.Scan(); {
			lines <- s.Text()
		}
	}()
	find := func(mark string) string {
		for {
			line, rest, ok := "", "", false
			if line = await(t, lines, mark); line != "" {
				_, rest, ok = strings.Cut(line, mark)
			}
			if ok {
				return rest
			}
			if strings.Contains(line, "FAIL") {
				t.Fatalf("the child failed while waiting for %q", mark)
			}
		}
	}
	address := find("listening on ")

	const clients = 60
	greeted := make(chan net.Conn, clients)
	for range clients {
		c, err := net.Dial("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		go func() {
			if _, err := io.ReadFull(c, make([]byte, 1)); err == nil {
				greeted <- c
			}
		}()
	}
	find("accepting connections failed")
	fmt.Fprintln(stdin)
	turns := 0
	fmt.Sscan(find("turns "), &turns)
	if turns > 200 {
		t.Errorf("%d turns while nothing could be accepted", turns)
	}
	for range clients {
		await(t, greeted, "a connection to be accepted").Close() // makes room for another
	}
}

func outOfDescriptors(t *testing.T) {
	l := newLoop(t)
	turns := 0
	l.BeforeWrite(func() { turns++ })
	begin(t, l)
	ln, err := Listen("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	dup, err := unix.Dup(0) // the lowest that is free
	if err != nil {
		t.Fatal(err)
	}
	unix.Close(dup)
	limit := unix.Rlimit{Cur: 20} // of a type that differs among systems
	for range dup {
		limit.Cur++
	}
	limit.Max = limit.Cur
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		t.Skip(err)
	}
	on(t, l, func() {
		ln.Serve(l, func(fd int, peer netip.AddrPort) {
			var c *Conn
			c, _ = l.Adopt(fd, peer, &funcs{ended: func() { c.Close(nil) }})
			c.Write([]byte{1})
		})
	})
	fmt.Println("listening on " + ln.Addr().String())
	in := bufio.NewReader(os.Stdin)
	in.ReadString('\n')
	on(t, l, func() { l.After(3*acceptPause, func() { fmt.Println("turns", turns) }) }) // over several attempts
	gone := make(chan struct{})
	go func() {
		in.ReadString('\n') // until the parent is done
		close(gone)
	}()
	select {
	case <-gone:
	case <-time.After(patience):
	}
}

// A listener that another process has as well goes on there once it is closed here, and this loop hears
// nothing of it any more.
func TestListenShared(t *testing.T) {
	l := startLoop(t)
	first, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	fd, err := Detach(first.(*net.TCPListener))
	if err != nil {
		t.Fatal(err)
	}
	file := os.NewFile(uintptr(fd), "listener")
	other, err := net.FileListener(file)
	file.Close()
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	ln, err := TakeOver(first)
	if err != nil {
		t.Fatal(err)
	}
	accepted := 0
	on(t, l, func() {
		ln.Serve(l, func(fd int, _ netip.AddrPort) { accepted++; unix.Close(fd) })
		ln.Close()
	})
	c, err := net.Dial("tcp", other.Addr().String())
	if err != nil {
		t.Fatal("a shared listener is closed:", err)
	}
	defer c.Close()
	turns := func() (n uint64) {
		on(t, l, func() {
			for _, b := range l.Turns().Buckets {
				n += b
			}
		})
		return n
	}
	before := turns()
	time.Sleep(20 * time.Millisecond)
	if n := turns() - before; n > 10 {
		t.Errorf("the loop had %d turns for nothing", n)
	}
	conn, err := other.Accept()
	if err != nil {
		t.Fatal(err)
	}
	conn.Close()
	on(t, l, func() {
		if accepted > 0 {
			t.Error("a closed listener has accepted")
		}
	})
	if _, err := TakeOver(plain{other}); err == nil {
		t.Error("a listener without a descriptor")
	}
}

// plain is a listener that shows nothing else.
type plain struct{ net.Listener }
