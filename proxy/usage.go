package proxy

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"time"

	"github.com/redis/go-redis/v9"

	"riptide-proxy/command"
	"riptide-proxy/quota"
	"riptide-proxy/quota/billing"
	"riptide-proxy/quota/ledger"
)

// Usage counts a command once its answer has left for the client, or the client has
// gone. So a proxy that is killed has never reported a command that nobody was
// answered. On the way of a command that costs one increment in the session;
// what is answered is found out when usage is reported.

// tally counts a session's commands, by class, until it is known that they were
// answered. Two generations make that known also of a session that is never idle.
type tally struct {
	fresh    [command.Classes]uint32 // taken since the others
	held     [command.Classes]uint32
	unrun    [command.Classes]uint32 // of both: those that the upstream was not there for
	mark     uint32                  // slot before which held's are
	sent     uint64                  // what has been sent by the time that their answers have
	holding  bool                    // there are any in held
	answered bool                    // they are; sent is known
}

// count counts a command.
func (s *session) count(cmd *command.Command) {
	s.stats.commands[cmd.ID]++
	s.tally.fresh[cmd.Class]++
}

// unrun is for a command that was not run, as far as is known: nobody is to pay for an upstream
// that is away. It is counted, or about to be.
func (s *session) unrun(cmd *command.Command) { s.tally.unrun[cmd.Class]++ }

// unavailable answers a command that the upstream is not there for.
func (s *session) unavailable(cmd *command.Command) {
	s.unrun(cmd)
	s.answerError(errUnavailable)
}

// failed answers a command in whose reply's place there came err.
func (s *session) failed(t *slot, err error) {
	if err != errOversized {
		s.unrun(t.cmd)
	}
	s.completeError(t.seq, err.Error())
}

// away reports whether a reply says that a command was not run, as far as is known.
func away(reply []byte) bool {
	return bytes.HasPrefix(reply, []byte("-UNAVAILABLE ")) || bytes.HasPrefix(reply, []byte("-UNKNOWN "))
}

// countLast counts the command by which a session has left the tenant: AUTH.
func (t *tenantStats) countLast(cmd *command.Command) {
	t.commands[cmd.ID]++
	t.settled[cmd.Class]++
}

// usageStats are a tenant's counters, in one loop, that only usage needs.
type usageStats struct {
	settled    [command.Classes]uint64 // commands answered
	connMicros uint64                  // that connections have been open, of all together
	connSince  int64                   // loop's clock up to which they are in it
	connPeak   int64                   // since the last report
}

// connected counts connections that come or, negative, go.
func (t *tenantStats) connected(now, n int64) {
	t.connTime(now)
	t.connections += n
	t.connPeak = max(t.connPeak, t.connections)
}

func (t *tenantStats) connTime(now int64) {
	micros := (now - t.connSince) / 1000
	t.connMicros += uint64(micros) * uint64(t.connections)
	t.connSince += micros * 1000
}

// settle finds out which of the session's commands are answered.
func (s *session) settle() {
	unsent := s.conn.Unsent()
	s.settleAt(s.head == s.tail && unsent == 0, s.conn.Sent(), uint64(unsent))
}

// settleAt is settle when so much was sent, and so much waits to be.
func (s *session) settleAt(idle bool, sent, unsent uint64) {
	t := &s.tally
	if t.holding {
		if !t.answered && int32(s.head-t.mark) >= 0 {
			t.answered, t.sent = true, sent+unsent
		}
		if idle || t.answered && sent >= t.sent {
			s.answered(&t.held)
			t.holding, t.answered = false, false
		}
	}
	switch {
	case t.holding:
	case idle:
		s.answered(&t.fresh)
	case t.fresh != [command.Classes]uint32{}:
		t.held, t.fresh = t.fresh, [command.Classes]uint32{}
		t.mark, t.holding = s.tail, true
	}
}

// settleAll counts what a session that leaves its tenant has had.
func (s *session) settleAll() {
	s.answered(&s.tally.held)
	s.answered(&s.tally.fresh)
	s.tally = tally{}
}

// answered counts n commands, and none of them any more.
func (s *session) answered(n *[command.Classes]uint32) {
	for class := range n {
		not := min(n[class], s.tally.unrun[class])
		s.tally.unrun[class] -= not
		s.stats.settled[class] += uint64(n[class] - not)
	}
	*n = [command.Classes]uint32{}
}

// settleTime is what answers that are on their way when usage is reported are
// given to arrive. Those that take longer are in the next report.
const settleTime = 20 * time.Millisecond

// sampleUsage asks every loop what its tenants have used.
func (s *Server) sampleUsage(ctx context.Context) (map[string]ledger.Sample, error) {
	if err := s.each(ctx, func(w *worker) {
		for _, t := range w.stats {
			for k := t.first; k != nil; k = k.next {
				k.settle()
			}
		}
	}); err != nil {
		return nil, err
	}
	select {
	case <-time.After(settleTime):
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	loops, err := everywhere(ctx, s, (*worker).used)
	if err != nil {
		return nil, err
	}
	all := make(map[string]ledger.Sample)
	for _, loop := range loops {
		if loop == nil {
			return nil, errors.New("a loop could not tell what was used") // a panic, which has been logged
		}
		for id, n := range loop {
			sum := all[id]
			sum.Add(&n)
			all[id] = sum
		}
	}
	return all, nil
}

// used is what a loop's tenants have used.
func (w *worker) used() map[string]ledger.Sample {
	all := make(map[string]ledger.Sample, len(w.stats))
	for id, t := range w.stats {
		if t == w.nobody {
			continue
		}
		unsent := uint64(0)
		for s := t.first; s != nil; s = s.next {
			s.settle()
			unsent += uint64(s.conn.Unsent())
		}
		t.connTime(w.loop.Now())
		n := ledger.Sample{Figures: ledger.Figures{
			In: int64(t.in), Out: int64(t.out - min(t.out, unsent)), Throttled: int64(t.throttled), Refused: int64(t.refused),
			ConnMillis: int64(t.connMicros / 1000), ConnPeak: t.connPeak,
		}}
		for class := range command.Classes {
			*n.Ops(class) = int64(t.settled[class])
		}
		t.connPeak = t.connections
		all[id] = n
	}
	return all
}

// Gauges implements ledger.Gauges: what was counted last, by whichever proxy has
// counted all tenants' keys.
func (s *Server) Gauges(tenant string) (memory, keys, storage int64, ok bool) {
	space, ok := s.Space(tenant)
	if !ok || space.At.IsZero() {
		return 0, 0, 0, false
	}
	return space.Counted[quota.Bytes], space.Counted[quota.Keys], 0, true
}

// usageLedger is the server's ledger with what it needs.
type usageLedger struct {
	ledger *ledger.Ledger
	closer billing.Closer
	client *redis.Client
	cancel context.CancelFunc
	done   chan struct{}
}

// usageConns are the connections that reports use.
const usageConns = 2

// checkSpool finds out at once what would otherwise be noticed in an outage.
func checkSpool(dir string) error {
	if dir == "" {
		return nil
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("usage.spool: %w", err)
	}
	f, err := os.CreateTemp(dir, ".usage-*")
	if err != nil {
		return fmt.Errorf("usage.spool: %w", err)
	}
	f.Close()
	return os.Remove(f.Name())
}

func (s *Server) startUsage() {
	c := &s.conf().cfg.Usage
	if c.Flush == 0 {
		return
	}
	u := &usageLedger{client: s.target.Client(usageConns), done: make(chan struct{})}
	u.ledger = ledger.New(ledger.Options{
		Client: u.client, Process: s.id,
		Flush: time.Duration(c.Flush), Grace: time.Duration(c.Grace), Retention: time.Duration(c.Retention), Spool: c.Spool,
		Sample:  s.sampleUsage,
		Tenants: func() []ledger.Tenant { return s.conf().reporting() },
		Gauges:  s,
		Closed:  func(ctx context.Context, store *ledger.Store) error { return u.closer.Run(ctx, store, s.conf().cfg) },
	})
	var ctx context.Context
	ctx, u.cancel = context.WithCancel(s.ctx)
	s.usage = u
	go func() {
		defer close(u.done)
		u.ledger.Run(ctx)
	}()
}

const (
	// lastReport bounds what a shutdown waits for the last report. It is made even if the
	// time for shutting down is over.
	lastReport = 3 * time.Second
	// lastSpool is for how long it is tried in that case if there is a spool to fall back on.
	lastSpool = 200 * time.Millisecond
)

// stopUsage reports for the last time, with a spool until ctx's deadline. The loops have to run still.
func (s *Server) stopUsage(ctx context.Context) {
	u := s.usage
	if u == nil {
		return
	}
	limit := lastReport
	if s.conf().cfg.Usage.Spool != "" {
		if deadline, bounded := ctx.Deadline(); bounded {
			limit = min(limit, time.Until(deadline)*3/4) // and the rest for what comes after it
		}
		if limit < lastSpool || ctx.Err() != nil {
			limit = lastSpool
		}
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), limit)
	defer cancel()
	context.AfterFunc(ctx, func() { u.client.Close() }) // breaks off what waits for the upstream
	u.cancel()
	<-u.done
	if err := u.ledger.Close(ctx); err != nil {
		slog.Warn("the last usage was not reported", "error", err)
	}
	u.client.Close()
}
