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

// job is what to do. There is one connection for each login.
type job struct {
	Addr     string
	Logins   []login
	Pipeline int
	Op       string
	Keys     int // of each connection
	Duration time.Duration
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
	workers, err := connectAll(ctx, j)
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
	v, err := runAll(workers, j.Duration)
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
	batch  []byte // the commands; only the digits of the keys change
	digits []int  // where in batch they are
	want   []byte // the replies to a batch
	each   int    // length of one of them
	got    []byte
	took   []time.Duration
}

// connectAll opens the connections, a few at a time so that no listen queue
// overflows, and closes none: the process ends soon.
func connectAll(ctx context.Context, j job) ([]*worker, error) {
	workers := make([]*worker, len(j.Logins))
	errs := make([]error, len(j.Logins))
	var wg sync.WaitGroup
	turn := make(chan struct{}, 32)
	for i, who := range j.Logins {
		turn <- struct{}{}
		wg.Go(func() {
			defer func() { <-turn }()
			workers[i], errs[i] = connect(ctx, j, i, who)
		})
	}
	wg.Wait()
	return workers, errors.Join(errs...)
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
	content := small.content()
	for k := range j.Keys {
		fill = appendCommand(fill, "SET", small.keyName(w.first+k), content)
	}
	if _, err := c.Write(fill); err != nil {
		return nil, err
	}
	for range j.Keys {
		if _, err := c.reply(); err != nil {
			return nil, fmt.Errorf("SET as %s: %w", who.User, err)
		}
	}
	return w, nil
}

const keyDigits = 12

func newWorker(j job, i int) *worker {
	w := &worker{rnd: rand.New(rand.NewPCG(2, uint64(i))), keys: j.Keys, first: i * j.Keys}
	content := small.content()
	command := []string{j.Op, small.keyName(0)}
	reply := fmt.Appendf(nil, "$%d\r\n%s\r\n", len(content), content)
	if j.Op == "SET" {
		command = append(command, content)
		reply = []byte("+OK\r\n")
	}
	one := appendCommand(nil, command...)
	at := bytes.Index(one, []byte(command[1])) + len(command[1]) - keyDigits
	for n := range j.Pipeline {
		w.digits = append(w.digits, n*len(one)+at)
		w.batch = append(w.batch, one...)
	}
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
		if err := w.read(); err != nil {
			return err
		}
		end := time.Now()
		w.took = append(w.took, end.Sub(now))
		now = end
	}
	return nil
}

// read takes the replies to one batch. It compares what has come so far, and
// does not wait for the rest of a reply that is already wrong and may be short.
func (w *worker) read() error {
	for filled := 0; filled < len(w.want); {
		n, err := w.conn.r.Read(w.got[filled:])
		if err != nil {
			return err
		}
		if !bytes.Equal(w.got[filled:filled+n], w.want[filled:filled+n]) {
			from := filled - filled%w.each
			return fmt.Errorf("unexpected reply %q", w.got[from:min(filled+n, from+100)])
		}
		filled += n
	}
	return nil
}

func runAll(workers []*worker, d time.Duration) (verdict, error) {
	began := time.Now()
	until := began.Add(d)
	errs := make([]error, len(workers))
	var wg sync.WaitGroup
	for i, w := range workers {
		wg.Go(func() { errs[i] = w.run(until) })
	}
	wg.Wait()
	if err := errors.Join(errs...); err != nil {
		return verdict{}, err
	}
	v := verdict{Seconds: time.Since(began).Seconds()}
	var took []time.Duration
	for _, w := range workers {
		took = append(took, w.took...)
		v.Commands += int64(len(w.took) * len(w.digits))
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
