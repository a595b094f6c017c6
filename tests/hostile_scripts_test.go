package tests

import (
	"strings"
	"testing"
	"time"

	"riptide-proxy/tests/harness"
)

// A script or an argument that is longer than the upstream takes makes it close
// the connection, and that for scripts is everybody's.
func TestHostileLongScripts(t *testing.T) {
	t.Parallel()
	w := newWorld(t, false, harness.Options{}, "--proto-max-bulk-len", "1mb")
	stop, done := make(chan struct{}), make(chan struct{})
	g := w.proxy.Connect(t, harness.Globex)
	go func() {
		defer close(done)
		for {
			select {
			case <-stop:
				return
			default:
			}
			if reply, err := g.Do("EVAL", "for i=1,10000 do local x=i end return 1", "0"); err != nil || reply != ":1\r\n" {
				t.Errorf("another tenant's script: %q, %v", reply, err)
				return
			}
		}
	}()
	a := w.proxy.Connect(t, harness.Acme)
	long := strings.Repeat("x", 2<<20)
	a.Do("SCRIPT", "LOAD", "return #ARGV[1]")
	for _, call := range [][]string{
		{"EVAL", "return #ARGV[1]", "0", long},
		{"EVAL", "return 1", "1", long},
		{"EVAL", "return 1 --" + long, "0"},
		{"EVAL", "return 1 --" + long[:1<<20-20], "0"},                              // too long with what is put in front
		{"EVAL", "return (1 --" + strings.Repeat("\x01", 300<<10), "0"},             // and with what takes its place
		{"EVAL", "return 1 1 --" + strings.Repeat("\x01", 300<<10), "0"},            // and in finding its error
		{"EVALSHA", "bc3fa3d17bd6a13d1f4e26fd7c2b75d6c1b3c2c1", "1", long, "again"}, // unknown
		{"FCALL", "f", "0", long},
		{"SCRIPT", "LOAD", "return 1 --" + long},
	} {
		if reply, err := a.Do(call...); err != nil || reply[0] != '-' || strings.HasPrefix(reply, "-UN") {
			t.Errorf("%s %.20q: %q, %v", call[0], call[1], reply, err)
		}
	}
	close(stop)
	<-done
}

// Nobody waits while another's long script is looked at.
func TestHostileScriptsDoNotStall(t *testing.T) {
	w := newWorld(t, false, harness.Options{})
	a, g := w.proxy.Connect(t, harness.Acme), w.proxy.Connect(t, harness.Globex)
	a.Write(harness.Request("EVAL", strings.Repeat("((((", 8<<20), "0"))
	slowest, answered := time.Duration(0), make(chan struct{})
	go func() {
		defer close(answered)
		if reply, err := a.Reply(); err != nil || !strings.HasPrefix(reply, "-ERR the script is longer") {
			t.Errorf("%.100q, %v", reply, err)
		}
	}()
	for waiting := true; waiting; {
		began := time.Now()
		if reply, err := g.Do("PING"); err != nil || reply != "+PONG\r\n" {
			t.Fatalf("PING: %q, %v", reply, err)
		}
		slowest = max(slowest, time.Since(began))
		select {
		case <-answered:
			waiting = false
		default:
		}
	}
	if slowest > 3*time.Second { // it was 12 s, and several GiB
		t.Errorf("another tenant waited for %v", slowest)
	}
	if rss := w.proxy.RSS(t); rss > 1<<30 {
		t.Errorf("the proxy takes %d MiB", rss>>20)
	}
	// Long ones run as short ones do, also in a transaction and among others.
	long := "return ARGV[1] --" + strings.Repeat("x", 900<<10)
	for _, call := range []string{"PING", "EVAL % 0 a", "GET none", "MULTI", "EVAL % 0 b", "EXEC"} {
		words := strings.Fields(call)
		for i := range words {
			words[i] = strings.ReplaceAll(words[i], "%", long)
		}
		a.Write(harness.Request(words...))
	}
	for _, want := range []string{"+PONG\r\n", "$1\r\na\r\n", "$-1\r\n", "+OK\r\n", "+QUEUED\r\n", "*1\r\n$1\r\nb\r\n"} {
		if reply, err := a.Reply(); err != nil || reply != want {
			t.Fatalf("%.100q, %v, want %q", reply, err, want)
		}
	}
}

// Scripts that wait for their tenant's user, and answers that wait for a busy
// upstream, do not pile up.
func TestHostileWaitingForTheUpstream(t *testing.T) {
	t.Parallel()
	text := strings.Repeat("x", 1<<20)
	for name, call := range map[string][]string{"scripts": {"EVAL", "return 1", "0", text}, "answers": {"ECHO", text}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, false, harness.Options{}, "--enable-debug-command", "yes")
			a := w.proxy.Connect(t, harness.Acme)
			a.Do("HELLO", "3")
			for range 1500 { // so that it may have many commands unanswered
				a.Do("PING")
			}
			if name == "answers" {
				a.Do("SUBSCRIBE", "ch")
			}
			base := w.proxy.RSS(t)
			if err := w.control.Send("DEBUG", "SLEEP", "3"); err != nil {
				t.Fatal(err)
			}
			time.Sleep(100 * time.Millisecond)
			const n = 250
			go func() {
				a.Write(harness.Request("PUBLISH", "ch", "m"))
				for range n {
					a.Write(harness.Request(call...))
				}
			}()
			time.Sleep(1500 * time.Millisecond)
			if rss := w.proxy.RSS(t); rss-base > 128<<20 {
				t.Errorf("the proxy has grown by %d MiB", (rss-base)>>20)
			}
			if _, err := w.control.Reply(); err != nil {
				t.Fatal(err)
			}
			for answered := 0; answered < n+1; {
				reply, err := a.Reply()
				if err != nil || reply[0] == '-' {
					t.Fatalf("after %d: %.60q, %v", answered, reply, err)
				}
				if reply[0] != '>' {
					answered++
				}
			}
		})
	}
}
