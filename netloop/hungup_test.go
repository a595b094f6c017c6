package netloop

import (
	"io"
	"runtime"
	"testing"
)

// A peer that sends no more while its connection is on hold is noticed once,
// whether something is unread or not; what it has sent still comes, then the end.
func TestHungUp(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("only Linux tells")
	}
	for _, c := range []struct {
		name   string
		unread string // sent before the end, while on hold
		held   bool
		close  bool // the peer closes altogether
	}{
		{name: "at once", held: true},
		{name: "with more unread", unread: "more", held: true},
		{name: "closed", held: true, close: true},
		{name: "closed with more unread", unread: "more", held: true, close: true},
		{name: "not on hold"},
	} {
		t.Run(c.name, func(t *testing.T) {
			l := newLoop(t)
			turns := 0
			l.BeforeWrite(func() { turns++ })
			begin(t, l)
			var conn *Conn
			first, done := make(chan bool, 1), make(chan string, 1)
			hungUp, ended := 0, 0
			got := ""
			holding := c.held
			peer := adopt(t, l, &conn, &funcs{
				received: func(b []byte) (int, Next) {
					if holding {
						select {
						case first <- true:
						default:
						}
						return 0, Hold
					}
					got += string(b)
					return len(b), More
				},
				hungUp: func() { hungUp++ },
				ended:  func() { ended++; done <- got; conn.Close(nil) },
			})
			write := func(s string) {
				if _, err := io.WriteString(peer, s); err != nil {
					t.Fatal(err)
				}
			}
			write("first")
			if c.held {
				await(t, first, "the hold")
			}
			write(c.unread)
			if c.close {
				peer.Close()
			} else if err := peer.CloseWrite(); err != nil {
				t.Fatal(err)
			}
			if c.held {
				eventually(t, l, "the end to be noticed", func() bool { return hungUp > 0 })
				if n := idle(t, l, &turns); n > 10 {
					t.Errorf("%d turns for nothing", n)
				}
				on(t, l, func() {
					if ended != 0 || hungUp != 1 {
						t.Errorf("ended %d times, hung up %d times", ended, hungUp)
					}
					holding = false
					conn.Resume()
				})
			}
			if got := await(t, done, "the end"); got != "first"+c.unread {
				t.Errorf("%q came", got)
			}
			on(t, l, func() {
				if want := map[bool]int{true: 1}[c.held]; ended != 1 || hungUp != want {
					t.Errorf("ended %d times, hung up %d times", ended, hungUp)
				}
			})
		})
	}
}
