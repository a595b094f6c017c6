package upstream

import (
	"context"
	"strings"
	"testing"

	"riptide-proxy/command"
)

// answer serves go-redis: fixed answers by the beginning of the command.
func (f *fake) answer(answers map[string]string) {
	for c := range f.conns {
		go func() {
			for s := c.next(); s != ""; s = c.next() {
				reply := "-ERR unknown command\r\n"
				if strings.HasPrefix(s, "client setname") {
					reply = "+OK\r\n"
				}
				for begin, r := range answers {
					if strings.HasPrefix(strings.ToUpper(s), begin) {
						reply = r
					}
				}
				if f.sick.Load() {
					reply = "-LOADING for a while\r\n"
				}
				if _, err := c.Write([]byte(reply)); err != nil {
					return
				}
			}
		}()
	}
}

func row(name string, subs ...string) string {
	tail := "*0\r\n"
	if len(subs) > 0 {
		tail = "*" + string(rune('0'+len(subs))) + "\r\n" + strings.Join(subs, "")
	}
	return "*10\r\n" + bulk(name) + ":-2\r\n*0\r\n:0\r\n:0\r\n:0\r\n*0\r\n*0\r\n*0\r\n" + tail
}

func probe(t *testing.T, answers map[string]string) (*Facts, error) {
	t.Helper()
	f := newFake(t)
	go f.answer(answers)
	target := &Target{Address: f.address(), ConnectTimeout: patience, Timeout: patience}
	c := target.Client(1)
	defer c.Close()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	return Probe(ctx, c)
}

func TestProbe(t *testing.T) {
	f, err := probe(t, map[string]string{
		"INFO":       bulk("# Server\r\nredis_version:7.9.1\r\nredis_mode:standalone\r\n"),
		"CONFIG GET": "*2\r\n" + bulk("proto-max-bulk-len") + bulk("1048576"),
		"COMMAND":    "*4\r\n" + row("get") + row("no-such-command") + row("client", row("client|id"), row("client|no-such")) + "*1\r\n$1\r\nx\r\n",
	})
	if err != nil {
		t.Fatal(err)
	}
	if f.Version != "7.9.1" || f.MaxBulk != 1<<20 {
		t.Errorf("%q, %d", f.Version, f.MaxBulk)
	}
	client := command.Lookup([]byte("client"))
	for name, test := range map[string]struct {
		c    *command.Command
		want bool
	}{
		"get":            {command.Lookup([]byte("get")), true},
		"set":            {command.Lookup([]byte("set")), false},
		"client":         {client, true},
		"client id":      {client.Sub([]byte("id")), true},
		"client getname": {client.Sub([]byte("getname")), false},
	} {
		if got := f.Known[test.c.ID]; got != test.want {
			t.Errorf("%s is known: %v", name, got)
		}
	}
}

// A server that can not or may not tell is not one that is down.
func TestProbeOfLittle(t *testing.T) {
	for _, refusal := range []string{"-ERR unknown command\r\n", "-NOPERM no permissions\r\n"} {
		f, err := probe(t, map[string]string{"INFO": refusal, "CONFIG": refusal, "COMMAND": refusal})
		if err != nil {
			t.Errorf("%s: %v", refusal, err)
		} else if f.Version != "" || f.Known != nil || f.MaxBulk != DefaultMaxBulk {
			t.Errorf("%s: %+v", refusal, f)
		}
	}
	f, err := probe(t, map[string]string{"INFO": bulk("x"), "COMMAND": "*0\r\n"})
	if err != nil || f.Known != nil {
		t.Errorf("with no commands at all: %+v, %v", f, err)
	}
	if _, err := probe(t, map[string]string{"INFO": "-NOAUTH Authentication required.\r\n"}); err == nil {
		t.Error("a server that wants a password counts as found")
	}
}

func TestProbeEmbedded(t *testing.T) {
	e, err := StartEmbedded()
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	c := (&Target{Address: e.Address(), ConnectTimeout: patience, Timeout: patience}).Client(1)
	defer c.Close()
	if _, err := Probe(context.Background(), c); err != nil {
		t.Error(err)
	}
}

// Watch tells of the server when it is found, lost and found again.
func TestWatch(t *testing.T) {
	t.Parallel()
	f := newFake(t)
	go f.answer(map[string]string{"PING": "+PONG\r\n"})
	c := (&Target{Address: f.address(), ConnectTimeout: patience, Timeout: patience}).Client(1)
	defer c.Close()
	told := make(chan *Facts, 10)
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	done := make(chan bool)
	go func() {
		defer close(done)
		Watch(ctx, c, nil, func(f *Facts) { told <- f }, func() {})
	}()
	if await(t, told, "the server to be found") == nil {
		t.Error("lost before it was found")
	}
	f.sick.Store(true)
	if await(t, told, "the server to be lost") != nil {
		t.Error("found twice")
	}
	f.sick.Store(false)
	if await(t, told, "the server to be found again") == nil {
		t.Error("lost twice")
	}
	cancel()
	await(t, done, "Watch to end")
	if len(told) > 0 {
		t.Error("told once more")
	}
}
