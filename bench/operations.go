package main

import (
	"context"
	"crypto/sha1"
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"sync/atomic"
	"time"
)

// script copies one key to another, which is what most scripts are like: a
// read, a decision that costs nothing, a write.
const script = `redis.call('SET', KEYS[2], redis.call('GET', KEYS[1])) return redis.call('STRLEN', KEYS[2])`

func scriptSHA() string {
	sum := sha1.Sum([]byte(script))
	return hex.EncodeToString(sum[:])
}

// operation is what a worker sends at once and what must come back. All keys
// are the same, the worker picks others.
func operation(op, key, content string) (request, reply []byte) {
	stored := fmt.Sprintf("$%d\r\n%s\r\n", len(content), content)
	add := func(answer string, args ...string) {
		request, reply = appendCommand(request, args...), append(reply, answer...)
	}
	switch op {
	case "GET":
		add(stored, "GET", key)
	case "SET":
		add("+OK\r\n", "SET", key, content)
	case "EXEC":
		add("+OK\r\n", "MULTI")
		for _, args := range [][]string{{"SET", key, content}, {"GET", key}, {"EXPIRE", key, "3600"}, {"STRLEN", key}, {"GET", key}} {
			add("+QUEUED\r\n", args...)
		}
		add("*5\r\n+OK\r\n"+stored+":1\r\n:"+strconv.Itoa(len(content))+"\r\n"+stored, "EXEC")
	case "EVALSHA":
		add(":"+strconv.Itoa(len(content))+"\r\n", "EVALSHA", scriptSHA(), "2", key, key)
	}
	return request, reply
}

// known is a command whose reply is known beforehand.
type known struct {
	request, reply, got []byte
}

func newKnown(reply string, args ...string) known {
	return known{appendCommand(nil, args...), []byte(reply), make([]byte, len(reply))}
}

func (k known) do(c *conn) error {
	if _, err := c.Write(k.request); err != nil {
		return err
	}
	return k.await(c)
}

func (k known) await(c *conn) error { return c.expect(k.reply, k.got, len(k.reply)) }

// bulks is an array of strings on the wire.
func bulks(all ...string) string { return string(appendCommand(nil, all...)) }

// pingpong has two clients throw a value to each other by way of two lists, at
// which each of them waits for the other.
type pingpong struct {
	ping, pong        *conn
	pushPing, popPing known
	pushPong, popPong known
	ending            atomic.Bool
	took              []time.Duration
}

func newPingpong(ctx context.Context, j job, i int, who login) (*pingpong, error) {
	there, back, content := fmt.Sprint("ping:", i), fmt.Sprint("pong:", i), small.content()
	p := &pingpong{
		pushPing: newKnown(":1\r\n", "RPUSH", there, content),
		popPing:  newKnown(bulks(there, content), "BLPOP", there, "0"),
		pushPong: newKnown(":1\r\n", "RPUSH", back, content),
		popPong:  newKnown(bulks(back, content), "BLPOP", back, "0"),
	}
	var err1, err2 error
	p.ping, err1 = dial(ctx, j.Addr, who, j.Duration+jobMargin)
	p.pong, err2 = dial(ctx, j.Addr, who, j.Duration+jobMargin)
	if err := errors.Join(err1, err2); err != nil {
		return nil, err
	}
	_, err := p.ping.do("DEL", there, back)
	return p, err
}

// run measures there and back.
func (p *pingpong) run(until time.Time) error {
	other := make(chan error, 1)
	go func() {
		err := p.answer()
		if err != nil {
			p.ping.Close() // it would wait in vain
		}
		other <- err
	}()
	err := p.throw(until)
	if err != nil {
		p.pong.Close()
	}
	return errors.Join(err, <-other)
}

func (p *pingpong) throw(until time.Time) error {
	for now := time.Now(); now.Before(until); {
		if err := p.pushPing.do(p.ping); err != nil {
			return err
		}
		if err := p.popPong.do(p.ping); err != nil {
			return err
		}
		end := time.Now()
		p.took = append(p.took, end.Sub(now))
		now = end
	}
	p.ending.Store(true)
	return p.pushPing.do(p.ping)
}

func (p *pingpong) answer() error {
	for {
		if err := p.popPing.do(p.pong); err != nil || p.ending.Load() {
			return err
		}
		if err := p.pushPong.do(p.pong); err != nil {
			return err
		}
	}
}

func (p *pingpong) done() (int64, []time.Duration) { return int64(len(p.took)), p.took }

// fanout publishes a message, waits until every subscriber has it, and
// publishes the next.
type fanout struct {
	publisher   *conn
	publish     known
	subscribers []*conn
	message     []byte
	missing     atomic.Int64 // subscribers that have yet to get the message
	arrived     chan struct{}
	ending      atomic.Bool
	took        []time.Duration
}

func newFanout(ctx context.Context, j job) (*fanout, error) {
	const channel = "news"
	content := small.content()
	f := &fanout{message: []byte(bulks("message", channel, content)), arrived: make(chan struct{}, 1)}
	f.publish = newKnown(fmt.Sprintf(":%d\r\n", len(j.Logins)-1), "PUBLISH", channel, content)
	for i, who := range j.Logins {
		c, err := dial(ctx, j.Addr, who, j.Duration+jobMargin)
		if err != nil {
			return nil, err
		}
		if i == 0 {
			f.publisher = c
			continue
		}
		confirmed := fmt.Sprintf("*3\r\n$9\r\nsubscribe\r\n$%d\r\n%s\r\n:1\r\n", len(channel), channel)
		if err := newKnown(confirmed, "SUBSCRIBE", channel).do(c); err != nil {
			return nil, fmt.Errorf("SUBSCRIBE: %w", err)
		}
		f.subscribers = append(f.subscribers, c)
	}
	return f, nil
}

func (f *fanout) run(until time.Time) error {
	failed := make(chan error, len(f.subscribers))
	for _, c := range f.subscribers {
		go func() {
			if err := f.listen(c); err != nil {
				failed <- err
			}
		}()
	}
	one := func() error {
		f.missing.Store(int64(len(f.subscribers)))
		if err := f.publish.do(f.publisher); err != nil {
			return err
		}
		select {
		case <-f.arrived:
			return nil
		case err := <-failed:
			return err
		}
	}
	for now := time.Now(); now.Before(until); {
		if err := one(); err != nil {
			return err
		}
		end := time.Now()
		f.took = append(f.took, end.Sub(now))
		now = end
	}
	f.ending.Store(true)
	return one()
}

func (f *fanout) listen(c *conn) error {
	got := make([]byte, len(f.message))
	for {
		if err := c.expect(f.message, got, len(got)); err != nil {
			return err
		}
		// Read before the last of them lets the publisher go on.
		ending := f.ending.Load()
		if f.missing.Add(-1) == 0 {
			f.arrived <- struct{}{}
		}
		if ending {
			return nil
		}
	}
}

func (f *fanout) done() (int64, []time.Duration) { return int64(len(f.took)), f.took }
