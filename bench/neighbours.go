package main

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"time"
)

// Two loads that run side by side: a tenant who wants little, at a steady pace, and
// one who sends as much as it can and takes all that it gets.

const (
	opQuiet = "QUIET"
	opNoise = "NOISE"
)

// noiseParts is how many writes the pipeline of opNoise is spread over.
const noiseParts = 20

// steady sends one command at a time, in turn a SET and a GET of a key, Job.Every
// apart. What it has to wait counts from the moment at which a command was to be
// sent, if the one before was still unanswered then.
type steady struct {
	conn  *conn
	every time.Duration
	phase time.Duration // so that the connections do not send all at once
	ops   []known
	took  []time.Duration
}

func newSteady(ctx context.Context, j job, i int, who login) (*steady, error) {
	c, err := dial(ctx, j.Addr, who, j.Duration+jobMargin)
	if err != nil {
		return nil, err
	}
	key, content := j.keys().keyName(i), j.content(i)
	stored := bulk(content)
	s := &steady{conn: c, every: j.Every, phase: j.Every * time.Duration(i) / time.Duration(len(j.Logins)),
		ops: []known{newKnown("+OK\r\n", "SET", key, content), newKnown(stored, "GET", key)}}
	return s, s.ops[0].do(c)
}

func (s *steady) run(until time.Time) error {
	due := time.Now().Add(s.phase)
	for n := 0; due.Before(until); n++ {
		now := time.Now()
		if wait := due.Sub(now); wait > 0 {
			time.Sleep(wait)
			now = time.Now()
		} else {
			now = due
		}
		if err := s.ops[n%len(s.ops)].do(s.conn); err != nil {
			return err
		}
		s.took = append(s.took, time.Since(now))
		due = due.Add(s.every)
	}
	return nil
}

func (s *steady) done() (int64, []time.Duration) { return int64(len(s.took)), s.took }

// noise has Job.Pipeline commands on their way all the time, SET on every other
// connection and GET on the rest. At the end it leaves them unanswered.
type noise struct {
	conn     *conn
	batch    []byte
	answer   int // length of the reply to one command
	perBatch int
	ahead    int // batches that may be unanswered
	replies  int64
}

func newNoise(ctx context.Context, j job, i int, who login) (*noise, error) {
	c, err := dial(ctx, j.Addr, who, j.Duration+jobMargin)
	if err != nil {
		return nil, err
	}
	key, content := value{key: "nse"}.keyName(i), j.content(i)
	if _, err := c.do("SET", key, content); err != nil {
		return nil, err
	}
	one, answer := appendCommand(nil, "GET", key), bulk(content)
	if i%2 == 0 {
		one, answer = appendCommand(nil, "SET", key, content), "+OK\r\n"
	}
	// The pipeline goes out in parts, each of them when one is answered.
	n := &noise{conn: c, answer: len(answer), perBatch: max(1, j.Pipeline/noiseParts), ahead: noiseParts}
	n.batch = bytes.Repeat(one, n.perBatch)
	return n, nil
}

// run writes a new command whenever one is answered.
func (n *noise) run(until time.Time) error {
	n.conn.SetDeadline(until)
	room := make(chan struct{}, n.ahead)
	wrote := make(chan error, 1)
	ctx, cancel := context.WithCancel(context.Background())
	go func() {
		for {
			select {
			case room <- struct{}{}:
			case <-ctx.Done():
				wrote <- nil
				return
			}
			if _, err := n.conn.Write(n.batch); err != nil {
				wrote <- err
				return
			}
		}
	}()
	buf := make([]byte, 64<<10)
	var err error
	for got := 0; err == nil; {
		var k int
		k, err = n.conn.r.Read(buf)
		if k > 0 && got == 0 && n.replies == 0 && buf[0] == '-' {
			err = errors.New(string(buf[:min(k, 100)]))
		}
		got += k
		for ; got >= n.answer*n.perBatch; got -= n.answer * n.perBatch {
			n.replies += int64(n.perBatch)
			<-room
		}
	}
	cancel()
	if err2 := <-wrote; !errors.Is(err2, os.ErrDeadlineExceeded) {
		err = errors.Join(err, err2)
	}
	if errors.Is(err, os.ErrDeadlineExceeded) && !errors.Is(err, io.EOF) {
		err = nil
	}
	return err
}

func (n *noise) done() (int64, []time.Duration) { return n.replies, nil }

func bulk(content string) string { return bulks(content)[len("*1\r\n"):] }
