package main

import (
	"bufio"
	"bytes"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"
)

func TestOperation(t *testing.T) {
	for op, keys := range map[string]int{"GET": 1, "SET": 1, "EXEC": 5, "EVALSHA": 2} {
		w := newWorker(job{Op: op, Pipeline: 3, Keys: 10}, 7)
		if w.size != 3 || len(w.digits) != 3*keys {
			t.Errorf("%s: %d operations, %d keys", op, w.size, len(w.digits))
		}
		w.pickKeys()
		if n := bytes.Count(w.batch, []byte("\r\nk64:00000000007")); n != 3*keys {
			t.Errorf("%s: %d keys of connection 7 in %.200q", op, n, w.batch)
		}
		if len(w.want) != 3*w.each || w.each == 0 {
			t.Errorf("%s: %d bytes of replies of %d each", op, len(w.want), w.each)
		}
	}
	request, reply := operation("EXEC", small.keyName(0), small.content())
	if n := bytes.Count(request, []byte("*")); n != 7 {
		t.Errorf("a transaction of 5 is %d commands", n)
	}
	if !strings.HasPrefix(string(reply), "+OK\r\n"+strings.Repeat("+QUEUED\r\n", 5)+"*5\r\n") {
		t.Errorf("replies to a transaction: %.100q", reply)
	}
}

// Connections have a document each, under keys of their own.
func TestOperationOnDocuments(t *testing.T) {
	seen := map[string]bool{}
	for i := range 3 {
		w := newWorker(job{Op: "SET", Pipeline: 1, Keys: 10, Size: 1 << 10}, i)
		w.pickKeys()
		if n := bytes.Count(w.batch, fmt.Appendf(nil, "\r\njsn:%011d", i)); n != 1 || len(w.digits) != 1 || len(w.batch) < 1<<10 {
			t.Errorf("%d keys of connection %d in %.200q", n, i, w.batch)
		}
		seen[string(w.batch[bytes.IndexByte(w.batch, '{'):])] = true
	}
	if len(seen) != 3 {
		t.Errorf("%d documents for 3 connections", len(seen))
	}
}

// answering is a connection to somebody who answers every request alike.
func answering(reply string) *conn {
	near, far := net.Pipe()
	near.SetDeadline(time.Now().Add(5 * time.Second))
	go func() {
		buf := make([]byte, 4<<10)
		for {
			if _, err := far.Read(buf); err != nil {
				return
			}
			far.Write([]byte(reply))
		}
	}()
	return &conn{Conn: near, r: bufio.NewReader(near)}
}

// A pair of which one fails must end, and so must its partner.
func TestPingpongFails(t *testing.T) {
	p := &pingpong{ping: answering(":1\r\n"), pong: answering("-ERR no\r\n")}
	p.pushPing, p.popPing = newKnown(":1\r\n", "RPUSH"), newKnown(bulks("l", "v"), "BLPOP")
	p.popPong = newKnown(bulks("l", "v"), "BLPOP")
	if err := p.run(time.Now().Add(time.Minute)); err == nil || !strings.Contains(err.Error(), "unexpected reply") {
		t.Error(err)
	}
}

// A subscriber that gets something else fails the run.
func TestFanoutFails(t *testing.T) {
	wrong := answering("*-1\r\n")
	f := &fanout{publisher: answering(":1\r\n"), publish: newKnown(":1\r\n", "PUBLISH"), subscribers: []*conn{wrong},
		message: []byte(bulks("message", "c", "v")), arrived: make(chan struct{}, 1)}
	go wrong.Write([]byte("PING"))
	if err := f.run(time.Now().Add(time.Minute)); err == nil || !strings.Contains(err.Error(), "unexpected reply") {
		t.Error(err)
	}
}
