package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"sync"
	"time"
)

// The load generator is a process of its own with one thread for Go code, so
// that it takes the same share of the machine in every case and as much as
// redis-benchmark does. It talks JSON with its parent: a job comes in, "ready"
// goes out once every connection has logged in and stored its keys, anything
// that comes in then is the starting shot, and a verdict goes out. Logging in
// is not part of the measurement.

// job is what to do. There is one connection for each login, for BLPOP two,
// and for PUBLISH the first login publishes what all others listen to.
type job struct {
	Addr     string
	Logins   []login
	Pipeline int
	Op       string
	Keys     int // of each connection
	Size     int // of the JSON documents that they hold, in bytes; 0: they hold what small does
	Duration time.Duration
	Every    time.Duration // of opQuiet: from one command of a connection to its next
}

// load is something that runs on connections of its own until a moment and
// finishes what it has begun. An error or a reply that is not the expected one
// fails it.
type load interface {
	run(until time.Time) error
	// done is how many operations were carried out, and how long they took.
	done() (operations int64, took []time.Duration)
}

const (
	ready = "ready"
	// jobMargin is the time for logging in, storing keys and ending.
	jobMargin = 30 * time.Second
)

// verdict is what a job achieved. Latencies are those of a whole batch, in
// milliseconds.
type verdict struct {
	Commands int64
	Seconds  float64
	P50, P99 float64
}

func loadgen(in io.Reader, out io.Writer) error {
	from, to := json.NewDecoder(in), json.NewEncoder(out)
	var j job
	if err := from.Decode(&j); err != nil {
		return fmt.Errorf("read the job: %w", err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), j.Duration+jobMargin)
	defer cancel()
	loads, err := connectAll(ctx, j)
	if err != nil {
		return err
	}
	if err := to.Encode(ready); err != nil {
		return err
	}
	var start any
	if err := from.Decode(&start); err != nil {
		return fmt.Errorf("wait for the start: %w", err)
	}
	v, err := runAll(loads, j.Duration)
	if err != nil {
		return err
	}
	return to.Encode(v)
}

// worker drives one connection: write a batch, read its replies, again.
type worker struct {
	conn   *conn
	rnd    *rand.Rand
	keys   int
	first  int    // number of its first key
	batch  []byte // the operations; only the digits of the keys change
	size   int    // how many there are
	digits []int  // where in batch they are
	want   []byte // the replies to a batch
	each   int    // length of the reply to one operation
	got    []byte
	took   []time.Duration
}

// connectAll opens the connections, a few at a time so that no listen queue
// overflows, and closes none: the process ends soon.
func connectAll(ctx context.Context, j job) ([]load, error) {
	if j.Op == "PUBLISH" {
		f, err := newFanout(ctx, j)
		return []load{f}, err
	}
	loads := make([]load, len(j.Logins))
	errs := make([]error, len(j.Logins))
	var wg sync.WaitGroup
	turn := make(chan struct{}, 32)
	for i, who := range j.Logins {
		turn <- struct{}{}
		wg.Go(func() {
			defer func() { <-turn }()
			switch j.Op {
			case "BLPOP":
				loads[i], errs[i] = newPingpong(ctx, j, i, who)
			case opQuiet:
				loads[i], errs[i] = newSteady(ctx, j, i, who)
			case opNoise:
				loads[i], errs[i] = newNoise(ctx, j, i, who)
			default:
				loads[i], errs[i] = connect(ctx, j, i, who)
			}
		})
	}
	wg.Wait()
	return loads, errors.Join(errs...)
}

// connect logs in and stores the connection's keys. Keys are the same with one
// tenant and with many: each connection has its own range of numbers.
func connect(ctx context.Context, j job, i int, who login) (*worker, error) {
	c, err := dial(ctx, j.Addr, who, j.Duration+jobMargin)
	if err != nil {
		return nil, err
	}
	w := newWorker(j, i)
	w.conn = c
	var fill []byte
	content := j.content(i)
	for k := range j.Keys {
		fill = appendCommand(fill, "SET", j.keys().keyName(w.first+k), content)
	}
	if _, err := c.Write(fill); err != nil {
		return nil, err
	}
	for range j.Keys {
		if _, err := c.reply(); err != nil {
			return nil, fmt.Errorf("SET as %s: %w", who.User, err)
		}
	}
	if j.Op == "EVALSHA" {
		if sha, err := c.do("SCRIPT", "LOAD", script); err != nil || sha != scriptSHA() {
			return nil, fmt.Errorf("SCRIPT LOAD: %q, %w", sha, err)
		}
	}
	return w, nil
}

const keyDigits = 12

func newWorker(j job, i int) *worker {
	w := &worker{rnd: rand.New(rand.NewPCG(2, uint64(i))), keys: j.Keys, first: i * j.Keys}
	key := []byte(j.keys().keyName(0))
	one, reply := operation(j.Op, string(key), j.content(i))
	for at := 0; ; {
		next := bytes.Index(one[at:], key)
		if next < 0 {
			break
		}
		at += next + len(key)
		for n := range j.Pipeline {
			w.digits = append(w.digits, n*len(one)+at-keyDigits)
		}
	}
	w.batch = bytes.Repeat(one, j.Pipeline)
	w.size = j.Pipeline
	w.want = bytes.Repeat(reply, j.Pipeline)
	w.each = len(reply)
	w.got = make([]byte, len(w.want))
	return w
}

// pickKeys writes the numbers of random keys into the batch.
func (w *worker) pickKeys() {
	for _, at := range w.digits {
		n := w.first + w.rnd.IntN(w.keys)
		for d := keyDigits - 1; d >= 0; d-- {
			w.batch[at+d] = byte('0' + n%10)
			n /= 10
		}
	}
}

// run goes on until a moment and finishes its batch. Every reply is compared:
// an error or a missing key fails the run.
func (w *worker) run(until time.Time) error {
	for now := time.Now(); now.Before(until); {
		w.pickKeys()
		if _, err := w.conn.Write(w.batch); err != nil {
			return err
		}
		if err := w.conn.expect(w.want, w.got, w.each); err != nil {
			return err
		}
		end := time.Now()
		w.took = append(w.took, end.Sub(now))
		now = end
	}
	return nil
}

func (w *worker) done() (int64, []time.Duration) { return int64(len(w.took) * w.size), w.took }

// expect takes replies that are known beforehand, each of a certain length. It
// compares what has come so far, and does not wait for the rest of a reply that
// is already wrong and may be short.
func (c *conn) expect(want, got []byte, each int) error {
	for filled := 0; filled < len(want); {
		n, err := c.r.Read(got[filled:len(want)])
		if err != nil {
			return err
		}
		if !bytes.Equal(got[filled:filled+n], want[filled:filled+n]) {
			from := filled - filled%each
			return fmt.Errorf("unexpected reply %q", got[from:min(filled+n, from+100)])
		}
		filled += n
	}
	return nil
}

func runAll(loads []load, d time.Duration) (verdict, error) {
	began := time.Now()
	until := began.Add(d)
	errs := make([]error, len(loads))
	var wg sync.WaitGroup
	for i, l := range loads {
		wg.Go(func() { errs[i] = l.run(until) })
	}
	wg.Wait()
	if err := errors.Join(errs...); err != nil {
		return verdict{}, err
	}
	v := verdict{Seconds: time.Since(began).Seconds()}
	var took []time.Duration
	for _, l := range loads {
		n, each := l.done()
		took = append(took, each...)
		v.Commands += n
	}
	slices.Sort(took)
	v.P50, v.P99 = percentile(took, 50), percentile(took, 99)
	return v, nil
}

// percentile of sorted durations, in milliseconds.
func percentile(sorted []time.Duration, p int) float64 {
	if len(sorted) == 0 {
		return 0
	}
	return float64(sorted[(len(sorted)-1)*p/100].Microseconds()) / 1000
}
