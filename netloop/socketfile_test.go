package netloop

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestListenUnix(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	l := startLoop(t)
	ln, err := ListenUnix(path, 0o620)
	if err != nil {
		t.Fatal(err)
	}
	if info, err := os.Lstat(path); err != nil || info.Mode() != os.ModeSocket|0o620 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
	peers := make(chan netip.AddrPort, 1)
	on(t, l, func() {
		echo := acceptEcho(t, l, 0)
		ln.Serve(l, func(fd int, peer netip.AddrPort) { peers <- peer; echo(fd, peer) })
	})
	c, err := net.Dial("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	mustWrite(t, c, []byte("hello"))
	mustRead(t, c, "hello")
	if peer := await(t, peers, "the peer"); peer.IsValid() {
		t.Errorf("the peer has the address %v", peer)
	}
	// Nobody takes the place of one who is there.
	if second, err := ListenUnix(path, 0o600); err == nil || !strings.Contains(err.Error(), "listens there already") {
		second.Close()
		t.Error(err)
	}
	on(t, l, func() { ln.Close(); ln.Close() })
	if _, err := os.Lstat(path); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the socket is left behind: %v", err)
	}
}

// What has the name already is replaced only if it is a socket of one who is gone.
func TestListenUnixReplaces(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	gone, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	gone.SetUnlinkOnClose(false)
	gone.Close()
	ln, err := ListenUnix(path, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	// Another one has taken over meanwhile: its socket stays.
	os.Remove(path)
	next, err := ListenUnix(path, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	ln.Close()
	if c, err := net.Dial("unix", path); err != nil {
		t.Error("the next one's socket is gone:", err)
	} else {
		c.Close()
	}
	next.Close()
	if err := os.WriteFile(path, []byte("precious"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := ListenUnix(path, 0o600); err == nil {
		t.Error("it listens in place of a file")
	}
	if b, err := os.ReadFile(path); string(b) != "precious" {
		t.Errorf("%q, %v", b, err)
	}
}

// herald takes three bytes and hands the connection over.
type herald struct {
	conn *Conn
	next *echo
}

func (h *herald) Received(b []byte) (int, Next) {
	if len(b) < 3 {
		return 0, More
	}
	h.next.conn = h.conn
	h.conn.Handover(h.next, netip.MustParseAddrPort("192.0.2.7:1"))
	return 3, Again
}
func (h *herald) Ended()       {}
func (h *herald) Written()     {}
func (h *herald) HungUp()      {}
func (h *herald) Closed(error) { panic("the connection is not the herald's any more") }

// The handler that a connection is handed over to gets all that is left, whether it came with the rest or later.
func TestHandover(t *testing.T) {
	for _, pieces := range [][]string{{"abcdef"}, {"abc", "def"}, {"a", "b", "cde", "f"}, {"abc" + strings.Repeat("x", 200<<10)}} {
		l := startLoop(t)
		h := &herald{next: &echo{limit: 128 << 10, how: 3}}
		h.next.rnd = rand.New(rand.NewPCG(1, 2))
		c := adopt(t, l, &h.conn, h)
		var sent bytes.Buffer
		go func() {
			for _, p := range pieces {
				c.Write([]byte(p))
			}
		}()
		for _, p := range pieces {
			sent.WriteString(p)
		}
		mustRead(t, c, sent.String()[3:])
		on(t, l, func() {
			if got := h.conn.Peer().String(); got != "192.0.2.7:1" {
				t.Error(got)
			}
		})
		c.Close()
	}
}
